"""Fusion against brute force, ties and gaps included; tuning on queries of its own."""

import random
from itertools import product

import numpy as np
import pytest
import torch

from optical_ir.errors import ConfigError, DataError
from optical_ir.records import Qrel, ScoredDoc
from optical_ir.retrieval.fusion import FusionSettings, fuse_runs, tune_fusion
from optical_ir.trec import rank_docs

WSUM = FusionSettings(method="wsum")


def run_of(**scores: dict[str, float]):
    return {
        query_id: rank_docs(ScoredDoc(query_id, doc, score) for doc, score in docs.items())
        for query_id, docs in scores.items()
    }


@pytest.fixture(scope="module")
def runs():
    """Give three runs with ties, over queries that not all of them have."""
    generator = random.Random(3)
    docs = [f"doc-{number}" for number in range(30)]
    return [
        run_of(
            **{
                query: {doc: generator.randrange(8) - shift for doc in generator.sample(docs, 12)}
                for query in queries.split()
            }
        )
        for queries, shift in (("q1 q2 q3", 0), ("q3 q1 q4", 20), ("q1 q5", 3))
    ]


def brute_force(runs, contribution):
    """Sum what each run contributes to a document, by query."""
    fused = {}
    for number, run in enumerate(runs):
        for query_id, rows in run.items():
            sums = fused.setdefault(query_id, {})
            for doc_id, value in contribution(number, rows).items():
                sums[doc_id] = sums.get(doc_id, 0.0) + value
    return fused


def check(found, expected):
    assert list(found) == list(expected)
    for query_id, rows in found.items():
        assert {row.query_id for row in rows} == {query_id}
        assert {row.doc_id: row.score for row in rows} == pytest.approx(expected[query_id])
        assert rows == rank_docs(rows)


@pytest.mark.parametrize("rrf_k", [0, 60])
def test_reciprocal_ranks_equal_brute_force(runs, rrf_k):
    def contribution(_, rows):
        ranked = sorted(rows, key=lambda row: (row.score, row.doc_id), reverse=True)
        return {row.doc_id: 1 / (rrf_k + rank) for rank, row in enumerate(ranked, start=1)}

    check(fuse_runs(runs, FusionSettings(rrf_k=rrf_k)), brute_force(runs, contribution))


NORMS = {
    "min-max": lambda s: (s - s.min()) / (s.max() - s.min()),
    "sum": lambda s: (s - s.min()) / (s - s.min()).sum(),
}


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("weights", [(0.2, 0.5, 0.3), None])
def test_weighted_sums_equal_brute_force(runs, norm, weights):
    def contribution(number, rows):
        normed = NORMS[norm](np.array([row.score for row in rows], float))
        weight = weights[number] if weights else 1 / 3
        return {row.doc_id: weight * value for row, value in zip(rows, normed, strict=True)}

    settings = FusionSettings(method="wsum", norm=norm, weights=weights)
    check(fuse_runs(runs, settings), brute_force(runs, contribution))


@pytest.mark.parametrize("settings", [FusionSettings(), WSUM])
def test_order_of_equally_weighted_runs_and_of_their_rows_does_not_matter(runs, settings):
    shuffled = [
        {query: random.Random(0).sample(rows, len(rows)) for query, rows in run.items()}
        for run in runs[:2]
    ]
    one, other = fuse_runs(runs[:2], settings), fuse_runs(shuffled[::-1], settings)
    assert one == {query: other[query] for query in one}


def test_equal_scores_are_ranked_by_descending_doc_id():
    a, b = run_of(q={"d1": 1, "d3": 1, "d2": 1}), run_of(q={"e1": 5})
    fused = fuse_runs([a, b], FusionSettings())
    assert [row.doc_id for row in fused["q"]] == ["e1", "d3", "d2", "d1"]


def test_a_run_that_finds_nothing_changes_no_order():
    a = run_of(q1={"d1": 2, "d2": 1}, q2={"d1": 1})
    for nothing, settings in product(({}, {"q1": [], "q3": []}), (FusionSettings(), WSUM)):
        fused = fuse_runs([a, nothing], settings)
        assert [row.doc_id for row in fused["q1"]] == ["d1", "d2"]
        assert fused.get("q3", []) == []
    assert fuse_runs([{}, {}], WSUM) == {}
    assert fuse_runs([{"q": []}, {}], WSUM) == {"q": []}


def test_documents_below_the_depth_are_dropped(runs):
    whole, cut = fuse_runs(runs, FusionSettings()), fuse_runs(runs, FusionSettings(), k=5)
    assert cut == {query: rows[:5] for query, rows in whole.items()}


def test_threads_of_torch_stay(runs):
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    fuse_runs(runs, FusionSettings())
    assert torch.get_num_threads() == 1
    torch.set_num_threads(before)


def judged_runs():
    """Give a good run, a bad one, and judgements by which only the good one finds anything."""
    queries = [f"q{number}" for number in range(6)]
    good = run_of(**{query: {"hit": 3.0, "x": 2.0, "y": 1.0} for query in queries})
    bad = run_of(**{query: {"y": 9.0, "x": 5.0, "z": 1.0} for query in queries})
    return [Qrel(query, "hit", 1) for query in [*queries, "q-unanswered"]], [good, bad]


def test_tuned_weights_are_the_best_of_the_grid():
    qrels, (good, bad) = judged_runs()
    tuned = tune_fusion(qrels, [bad, good], WSUM)
    assert sum(tuned.weights) == pytest.approx(1)
    assert tuned.weights[1] > 0.5
    fused = fuse_runs([bad, good], tuned)
    assert all(rows[0].doc_id == "hit" for rows in fused.values())
    assert tune_fusion(qrels, [bad, good], FusionSettings(method="wsum", weights=(1, 0))) == tuned
    assert tune_fusion(qrels, [good, bad], WSUM).weights[0] > 0.5


def test_reciprocal_rank_fusion_is_tuned_in_its_k():
    qrels, runs = judged_runs()
    tuned = tune_fusion(qrels, runs, FusionSettings())
    assert tuned.rrf_k in range(10, 101, 10)
    assert tuned.weights is None


def test_tuning_on_runs_of_other_queries_is_refused(runs):
    with pytest.raises(DataError, match="expected runs that find something relevant, found none"):
        tune_fusion([Qrel("other", "doc-1", 1)], runs, WSUM)
    with pytest.raises(DataError, match="expected runs that find something relevant, found none"):
        tune_fusion([Qrel("q1", "doc-1", 0)], runs, WSUM)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"method": "borda"}, "method: expected one of rrf, wsum, found 'borda'"),
        ({"norm": "minmax"}, "norm: expected one of min-max, .* found 'minmax'"),
        ({"weights": (0.5, 0.5)}, "by rrf takes no weights"),
        ({"method": "wsum", "weights": (0.0, 0.0)}, "none below 0 and one above"),
        ({"method": "wsum", "weights": (1.5, -0.5)}, "none below 0 and one above"),
        ({"method": "wsum", "weights": ()}, "none below 0 and one above"),
        ({"rrf_k": -1}, "rrf_k: expected 0 or more, found -1"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        FusionSettings(**settings)


def test_numbers_of_runs_and_weights_are_checked(runs):
    with pytest.raises(ConfigError, match="two runs or more, found 1"):
        fuse_runs(runs[:1], FusionSettings())
    with pytest.raises(ConfigError, match="as many weights as runs, found 2 and 3"):
        fuse_runs(runs, FusionSettings(method="wsum", weights=(0.5, 0.5)))
