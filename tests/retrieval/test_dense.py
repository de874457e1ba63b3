"""Exact search over single vectors, and vectors out of a token index."""

import numpy as np
import pytest

from optical_ir.models import encode_documents
from optical_ir.models.muvera import Muvera, MuveraSettings
from optical_ir.models.single_vector import MeanPooling
from optical_ir.records import Doc, Query
from optical_ir.retrieval import dense
from optical_ir.retrieval.dense import pool_index, search_dense
from optical_ir.retrieval.index import build_index

TEXTS = ["the cat sees a bird", "?!", "old house", "a red tree near the water", "big dog"]


@pytest.fixture(scope="module")
def index(tiny_encoder, tmp_path_factory):
    docs = [Doc(f"d{n}", text) for n, text in enumerate(TEXTS)]
    folder = tmp_path_factory.mktemp("dense") / "ix"
    return build_index(docs, tiny_encoder, folder, space="s", storage="float32")


@pytest.mark.parametrize(
    "pooling",
    [MeanPooling(32), Muvera(MuveraSettings(repetitions=2, bits=2, projection=3), 32)],
    ids=["mean", "muvera"],
)
@pytest.mark.parametrize("block", [1, 2, 1024])
def test_vectors_are_those_of_the_encoded_documents(
    index, tiny_encoder, monkeypatch, pooling, block
):
    monkeypatch.setattr(dense, "_BLOCK", block)
    expected = pooling.pool_documents(encode_documents(tiny_encoder, TEXTS))
    assert pool_index(index, pooling) == pytest.approx(expected, abs=1e-5)
    assert not pool_index(index, pooling)[1].any()


def test_ranking_is_that_of_all_inner_products():
    rng = np.random.default_rng(0)
    documents = rng.standard_normal((50, 8)).astype(np.float32)
    vectors = rng.standard_normal((3, 8)).astype(np.float32)
    queries = [Query(f"q{n}", "") for n in range(3)]
    doc_ids = [f"d{n}" for n in range(50)]
    run = search_dense(doc_ids, documents, queries, vectors, k=7)
    for query, scores in zip(queries, vectors @ documents.T, strict=True):
        best = np.argsort(-scores)[:7]
        assert [row.doc_id for row in run[query.query_id]] == [doc_ids[row] for row in best]
        assert [row.score for row in run[query.query_id]] == pytest.approx(scores[best], abs=1e-5)


def test_query_without_a_vector_finds_nothing():
    documents = np.eye(2, dtype=np.float32)
    run = search_dense(["a", "b"], documents, [Query("q", "")], np.zeros((1, 2), np.float32))
    assert run == {"q": []}
