"""Re-ranking is exact MaxSim over the run's documents, and refuses what does not belong."""

import numpy as np
import pytest

from optical_ir.errors import ConfigError, DataError
from optical_ir.models import encode_documents, encode_queries, maxsim_scores
from optical_ir.records import Doc, Query, ScoredDoc
from optical_ir.retrieval.index import build_index
from optical_ir.retrieval.rerank import rerank
from optical_ir.retrieval.search import search_index

DOCS = [
    Doc("d1", "the cat sees a small bird near the water"),
    Doc("d2", "a big red house"),
    Doc("d3", "the old dog eats under the tree"),
    Doc("d4", "?!"),
    Doc("d5", "small house near the water"),
]
QUERIES = [Query("q1", "paka ona ndege"), Query("q2", "red house near water"), Query("q3", "!")]


@pytest.fixture(scope="module")
def index(tiny_encoder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("index") / "ix"
    return build_index(DOCS, tiny_encoder, folder, space="s", storage="float32")


@pytest.fixture(scope="module")
def vectors(tiny_encoder):
    return encode_queries(tiny_encoder, [query.text for query in QUERIES])


def run_of(**doc_ids: str):
    """Best first, as the order of the arguments says."""
    return {
        query_id: [ScoredDoc(query_id, doc, float(-rank)) for rank, doc in enumerate(ids.split())]
        for query_id, ids in doc_ids.items()
    }


def test_scores_are_maxsim(index, vectors, tiny_encoder):
    exact = maxsim_scores(vectors, encode_documents(tiny_encoder, [doc.text for doc in DOCS]))
    found = rerank(index, run_of(q1="d2 d1", q2="d5 d3 d2"), QUERIES, vectors)
    assert {row.doc_id for row in found["q2"]} == {"d2", "d3", "d5"}
    columns = {doc.doc_id: column for column, doc in enumerate(DOCS)}
    for row, query in enumerate(QUERIES):
        for scored in found[query.query_id]:
            assert scored.score == pytest.approx(exact[row, columns[scored.doc_id]], abs=1e-5)


def test_run_of_all_documents_becomes_the_exact_search(index, vectors):
    everything = " ".join(doc.doc_id for doc in reversed(DOCS))
    found = rerank(index, run_of(q1=everything, q2=everything), QUERIES, vectors)
    exact = search_index(index, QUERIES, vectors)
    assert [row.doc_id for row in found["q2"]] == [row.doc_id for row in exact["q2"]]
    assert np.allclose(
        [row.score for row in found["q1"]], [row.score for row in exact["q1"]], atol=1e-5
    )


def test_documents_below_the_depth_are_dropped(index, vectors):
    found = rerank(index, run_of(q1="d2 d5 d1"), QUERIES, vectors, k=2)
    assert {row.doc_id for row in found["q1"]} == {"d2", "d5"}


def test_what_has_no_tokens_has_no_rank(index, vectors):
    found = rerank(index, run_of(q1="d4 d1", q3="d1 d2"), QUERIES, vectors)
    assert [row.doc_id for row in found["q1"]] == ["d1"]
    assert found["q3"] == []
    assert found["q2"] == []


def test_document_of_another_collection_is_refused(index, vectors):
    with pytest.raises(DataError, match=r"'q1' has 1 documents .* lacks, as 'x9'\. Give the index"):
        rerank(index, run_of(q1="d1 x9"), QUERIES, vectors)


def test_query_of_other_topics_is_refused(index, vectors):
    with pytest.raises(DataError, match=r"1 queries that the topics lack, as 'q9'"):
        rerank(index, run_of(q9="d1"), QUERIES, vectors)


def test_width_is_checked(index):
    with pytest.raises(ConfigError, match=r"embeddings of dim 3, index .* has 32"):
        rerank(index, run_of(q1="d1"), QUERIES[:1], [np.ones((1, 3), np.float32)])
