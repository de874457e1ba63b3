"""Search against brute force over the same vectors."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from optical_ir.errors import ConfigError
from optical_ir.models import maxsim_scores
from optical_ir.records import Query
from optical_ir.retrieval import search as search_module
from optical_ir.retrieval.index import MultiVectorIndex
from optical_ir.retrieval.search import approximate_scores, search_index
from optical_ir.trec import rank_docs

DIM = 24


def unit_rows(generator, lengths):
    rows = (generator.normal(size=(n, DIM)).astype(np.float32) for n in lengths)
    return [r / np.linalg.norm(r, axis=1, keepdims=True) for r in rows]


def make_index(vectors, dtype):
    offsets = np.cumsum([0, *map(len, vectors)], dtype=np.int64)
    embeddings = torch.from_numpy(np.concatenate(vectors)).to(dtype)
    return MultiVectorIndex.from_tensor(
        Path("ix"), embeddings, offsets, [f"d{n}" for n in range(len(vectors))], "s"
    )


def stored(index):
    """Document vectors as the index has them, after rounding."""
    rows = index.token_vectors(0, len(index.doc_ids)).float().numpy()
    return [rows[a:b] for a, b in zip(index.offsets, index.offsets[1:], strict=False)]


@pytest.fixture(scope="module", params=[torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
def index(request):
    """200 documents of 1 to 9 tokens; every seventh, the first and the last have none."""
    generator = np.random.default_rng(1)
    lengths = [0 if n % 7 == 0 or n == 199 else int(generator.integers(1, 10)) for n in range(200)]
    return make_index(unit_rows(generator, lengths), request.param)


@pytest.fixture(params=[True, False], ids=["half", "full"])
def precision(request, monkeypatch):
    """First pass in bfloat16 where the index is, or in float32, whatever the processor."""
    monkeypatch.setattr(search_module, "has_fast_bfloat16", lambda device: request.param)


@pytest.fixture(scope="module")
def vectors():
    """Make queries of 0 to 8 tokens; the first, a middle and the last one have none."""
    return unit_rows(np.random.default_rng(2), [0, 5, 1, 8, 0, 3, 2, 7, 0])


@pytest.fixture(scope="module")
def queries(vectors):
    return [Query(f"q{n}", "") for n in range(len(vectors))]


def brute_force(index, queries, vectors):
    scores = maxsim_scores(vectors, stored(index))
    return {
        query.query_id: [
            (index.doc_ids[doc], float(row[doc]))
            for doc in np.argsort(-row, kind="stable")
            if len(own) and np.isfinite(row[doc])
        ]
        for query, own, row in zip(queries, vectors, scores, strict=True)
    }


def assert_same_ranking(run, expected, k):
    assert list(run) == list(expected)
    for query_id, rows in run.items():
        assert [row.doc_id for row in rows] == [doc_id for doc_id, _ in expected[query_id][:k]]
        assert all(row.query_id == query_id for row in rows)
        np.testing.assert_allclose(
            [row.score for row in rows], [s for _, s in expected[query_id][:k]], atol=1e-4
        )


@pytest.mark.usefixtures("precision")
@pytest.mark.parametrize("k", [1, 10, 1000])
def test_search_equals_brute_force(index, queries, vectors, k):
    run = search_index(index, queries, vectors, k=k)
    assert_same_ranking(run, brute_force(index, queries, vectors), k)


@pytest.mark.usefixtures("precision")
def test_single_queries_get_what_they_get_in_a_batch(index, queries, vectors):
    together = search_index(index, queries, vectors, k=20)
    for query, own in zip(queries, vectors, strict=True):
        alone = search_index(index, [query], [own], k=20)[query.query_id]
        assert [r.doc_id for r in alone] == [r.doc_id for r in together[query.query_id]]


@pytest.mark.usefixtures("precision")
@pytest.mark.parametrize("chunk_values", [1, 40, 333, 1 << 21])
@pytest.mark.parametrize("query_tokens", [1, 6, 9, 1024])
def test_result_does_not_depend_on_batch_and_chunk(
    index, queries, vectors, monkeypatch, chunk_values, query_tokens
):
    monkeypatch.setattr(search_module, "_CHUNK_VALUES", chunk_values)
    monkeypatch.setattr(search_module, "_QUERY_TOKENS", query_tokens)
    run = search_index(index, queries, vectors, k=30)
    assert_same_ranking(run, brute_force(index, queries, vectors), 30)


def test_batches_hold_all_queries_in_order_within_the_limit(vectors, monkeypatch):
    monkeypatch.setattr(search_module, "_QUERY_TOKENS", 9)
    batches = list(search_module._batches(vectors))
    assert [n for batch in batches for n in range(len(vectors))[batch]] == list(range(len(vectors)))
    assert all(sum(map(len, vectors[batch])) <= 9 for batch in batches)


def test_query_longer_than_a_batch_is_searched(index, monkeypatch):
    monkeypatch.setattr(search_module, "_QUERY_TOKENS", 4)
    vectors = unit_rows(np.random.default_rng(3), [2, 50, 3])
    queries = [Query(str(n), "") for n in range(3)]
    run = search_index(index, queries, vectors, k=10)
    assert_same_ranking(run, brute_force(index, queries, vectors), 10)


def test_first_pass_is_near_the_exact_scores(index, vectors, precision):
    scores = approximate_scores(index, vectors)
    exact = maxsim_scores(vectors, stored(index))
    with_tokens = np.diff(index.offsets) > 0
    lengths = np.array([len(v) for v in vectors])[:, None]
    error = np.abs(scores - exact)[:, with_tokens]
    assert (error <= 0.01 * lengths + 1e-5).all()


@pytest.mark.usefixtures("precision")
def test_negative_similarities_rank_in_order():
    base = np.zeros(DIM, np.float32)
    base[0] = 1
    angles = np.linspace(1.6, 3.1, 30, dtype=np.float32)
    docs = [np.float32([[np.cos(a), np.sin(a), *np.zeros(DIM - 2)]]) for a in angles]
    for dtype in (torch.float32, torch.bfloat16):
        run = search_index(make_index(docs, dtype), [Query("q", "")], [base[None]], k=30)
        assert [row.doc_id for row in run["q"]] == [f"d{n}" for n in range(30)]
        assert all(row.score < 0 for row in run["q"])


def test_equal_scores_rank_as_trec_eval_ranks_them():
    (row,) = unit_rows(np.random.default_rng(0), [1])
    run = search_index(make_index([row] * 12, torch.float32), [Query("q", "")], [row], k=12)
    assert run["q"] == rank_docs(run["q"])
    assert [r.doc_id for r in run["q"]] == sorted((f"d{n}" for n in range(12)), reverse=True)


def test_no_queries_give_an_empty_run(index):
    assert search_index(index, [], [], k=5) == {}


def test_queries_without_any_token_find_nothing(index):
    empty = np.zeros((0, DIM), np.float32)
    run = search_index(index, [Query("a", ""), Query("b", "")], [empty, empty])
    assert run == {"a": [], "b": []}


def test_other_width_is_refused(index):
    narrow = np.ones((1, DIM - 1), np.float32)
    with pytest.raises(ConfigError, match=r"of dim 23, index ix has 24\. Encode the collection"):
        search_index(index, [Query("q", "")], [narrow])


def test_embeddings_for_other_queries_are_refused(index, queries, vectors):
    with pytest.raises(ValueError, match="embeddings of 9 queries, got 8"):
        search_index(index, queries, vectors[1:])


def test_search_and_measures_leave_torch_its_threads(tmp_path):
    """In a process of its own: numba's pool starts once."""
    code = """
import numpy as np, torch
torch.set_num_threads(1)
from pathlib import Path
from optical_ir.evaluation import evaluate
from optical_ir.records import Qrel, Query
from optical_ir.retrieval.index import MultiVectorIndex
from optical_ir.retrieval.search import search_index
offsets = np.array([0, 2, 4])
index = MultiVectorIndex.from_tensor(Path("x"), torch.eye(4), offsets, ["a", "b"], "space")
run = search_index(index, [Query("q", "")], [np.eye(4, dtype=np.float32)[:1]])
assert run["q"][0].doc_id == "a"
assert torch.get_num_threads() == 1
evaluate([Qrel("q", "a", 1)], run)
assert torch.get_num_threads() == 1
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
