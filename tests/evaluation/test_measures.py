"""Values equal trec_eval's (through ir_measures), and every mismatch of files is told."""

import logging
import subprocess
import sys

import ir_measures
import numpy as np
import pandas as pd
import pytest

from optical_ir.errors import ConfigError, DataError
from optical_ir.evaluation import DEFAULT_MEASURES, evaluate
from optical_ir.evaluation.measures import mean_values
from optical_ir.records import Qrel, ScoredDoc
from optical_ir.trec import read_run, write_run

MEASURES = (
    *DEFAULT_MEASURES,
    "nDCG",
    "RR",
    "P@5",
    "R@5",
    "Success@1",
    "Success@10",
    "Rprec",
    "Bpref",
    "Bpref(rel=2)",
    "AP@20",
    "P(rel=2)@5",
    "AP(rel=3)",
    "R(rel=2)@100",
)
QRELS = [Qrel("q1", "d1", 1), Qrel("q2", "d2", 1)]
RUN = {"q1": [ScoredDoc("q1", "d1", 2.0)], "q2": [ScoredDoc("q2", "d1", 1.0)]}


def graded_data(seed, *, n_queries=25, n_docs=120, score=lambda rng: rng.integers(0, 12) / 2):
    """Judgements from -1 to 3, a query without relevant documents, runs that miss a query."""
    rng = np.random.default_rng(seed)
    docs = [f"d{i}" for i in range(n_docs)]
    qrels = [
        Qrel(f"q{q}", str(doc), int(rng.integers(-1, 4)) if q else 0)
        for q in range(n_queries)
        for doc in rng.choice(docs, size=rng.integers(1, 30), replace=False)
    ]
    run = {}
    for q in range(1, n_queries - 1):
        retrieved = rng.choice(docs, size=rng.integers(1, n_docs), replace=False)
        run[f"q{q}"] = [ScoredDoc(f"q{q}", str(doc), float(score(rng))) for doc in retrieved]
    run["q0"] = [ScoredDoc("q0", "d1", 1.0)]
    run["unjudged"] = [ScoredDoc("unjudged", "d1", 1.0)]
    return qrels, run


def oracle(qrels, rows, measures):
    """Ask ir_measures (trec_eval inside), in the shape that `evaluate` returns."""
    found = ir_measures.iter_calc(
        [ir_measures.parse_measure(measure) for measure in measures],
        [ir_measures.Qrel(*qrel) for qrel in qrels],
        rows,
    )
    values = {measure: {} for measure in measures}
    names = {str(ir_measures.parse_measure(measure)): measure for measure in measures}
    for query_id, measure, value in found:
        values[names[str(measure)]][query_id] = value
    return pd.DataFrame(values)


def assert_equal_values(ours, theirs):
    assert set(theirs.index) == set(ours.index)
    pd.testing.assert_frame_equal(
        ours, theirs.loc[ours.index], check_exact=False, rtol=0, atol=1e-9, check_names=False
    )


@pytest.mark.parametrize("seed", range(3))
def test_a_written_run_with_ties_evaluates_as_in_trec_eval(tmp_path, seed):
    qrels, run = graded_data(seed)
    path = tmp_path / "run.trec"
    write_run(path, run, tag="bm25")
    theirs = oracle(qrels, ir_measures.read_trec_run(str(path)), MEASURES)
    assert_equal_values(evaluate(qrels, read_run(path), measures=MEASURES), theirs)
    assert_equal_values(evaluate(qrels, run, measures=MEASURES), theirs)


@pytest.mark.parametrize("scale", [1.0, 1e-9, 1000.0])
def test_unwritten_scores_that_tie_in_single_precision_rank_as_in_trec_eval(scale):
    qrels, run = graded_data(7, score=lambda rng: scale * (1 + rng.integers(0, 9) * 3e-8))
    measures = [name for name in MEASURES if name != "RR@10"]  # not trec_eval's in ir_measures
    rows = [ir_measures.ScoredDoc(*row) for ranking in run.values() for row in ranking]
    assert_equal_values(evaluate(qrels, run, measures=measures), oracle(qrels, rows, measures))


def test_order_of_judgements_and_rows_changes_nothing():
    qrels, run = graded_data(3)
    rng = np.random.default_rng(0)
    shuffled = {
        query_id: [run[query_id][i] for i in rng.permutation(len(run[query_id]))]
        for query_id in rng.permutation(list(run))
    }
    expected = evaluate(qrels, run, measures=MEASURES)
    found = evaluate([qrels[i] for i in rng.permutation(len(qrels))], shuffled, measures=MEASURES)
    pd.testing.assert_frame_equal(found.loc[expected.index], expected)


def test_ranx_names_are_taken_as_they_are():
    qrels, run = graded_data(5)
    found = evaluate(
        qrels, run, measures=["P@5", "precision@5", "R(rel=2)@9", "recall@9-l2", "rbp.80", "f1@5"]
    )
    assert list(found.columns[-2:]) == ["rbp.80", "f1@5"]
    assert (found["P@5"] == found["precision@5"]).all()
    assert (found["R(rel=2)@9"] == found["recall@9-l2"]).all()
    recall = evaluate(qrels, run, measures=["R@5"])["R@5"]
    both = found["P@5"] + recall
    harmonic = (2 * found["P@5"] * recall / both.where(both > 0, 1.0)).rename("f1@5")
    pd.testing.assert_series_equal(found["f1@5"], harmonic)


def test_one_measure_and_repeated_measures_give_one_column_each():
    assert list(evaluate(QRELS, RUN, measures=["nDCG@10"])["nDCG@10"]) == [1.0, 0.0]
    assert list(evaluate(QRELS, RUN, measures=["AP", "AP"]).columns) == ["AP"]


def test_missing_and_unjudged_queries_are_counted_in_the_log(caplog):
    run = {"q1": RUN["q1"], "x": RUN["q1"], "y": RUN["q1"]}
    with caplog.at_level(logging.WARNING):
        found = evaluate(QRELS, run, measures=["AP"], name="bm25")
    assert list(found["AP"]) == [1.0, 0.0]
    assert "bm25: 1 of 2 judged queries are missing and score 0." in caplog.messages
    assert "bm25: 2 of 3 queries have no judgements and are left out." in caplog.messages


def test_a_complete_run_logs_nothing(caplog):
    evaluate(QRELS, RUN)
    assert not caplog.messages


def test_a_run_for_other_queries_is_an_error_with_examples_of_both():
    with pytest.raises(DataError, match=r"bm25: .* such as 'q1', 'q2', found '1'\. Check that"):
        evaluate(QRELS, {"1": RUN["q1"]}, name="bm25")


@pytest.mark.parametrize(
    ("measure", "message"),
    [
        ("NDCG@10", r"Unknown measure 'NDCG@10'\. Did you mean nDCG@10"),
        ("MRR@10", r"Did you mean mrr@10"),
        ("recal@10", r"Did you mean recall@10"),
        ("xyz!", r"Try nDCG@10, AP, RR@10 or R@100"),
        ("nDCG@0", "Unknown measure"),
        ("ndcg_cut_10", "What trec_eval calls so is nDCG@10 here"),
        ("recip_rank", "is RR here"),
        ("P", r"'P' needs a cut-off, for example P@10"),
        ("Rprec@5", r"takes no cut-off. Use Rprec"),
        ("bpref@5", r"takes no cut-off. Use bpref"),
        ("nDCG(rel=2)@10", "Leave out rel=2"),
    ],
)
def test_a_measure_that_cannot_be_used_is_an_error_with_a_remedy(measure, message):
    with pytest.raises(ConfigError, match=message):
        evaluate(QRELS, RUN, measures=[measure])


def test_no_measures_is_an_error():
    with pytest.raises(ConfigError, match="at least one measure"):
        evaluate(QRELS, RUN, measures=[])


@pytest.mark.parametrize(
    ("qrels", "message"),
    [
        ([], "at least one judgement"),
        ([*QRELS, Qrel("q1", "d1", 2)], "'q1', document 'd1' has relevance 1 and 2"),
    ],
)
def test_judgements_that_are_empty_or_contradictory_are_an_error(qrels, message):
    with pytest.raises(DataError, match=message):
        evaluate(qrels, RUN)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([ScoredDoc("q1", "d1", 2.0), ScoredDoc("q1", "d1", 1.0)], "query 'q1': a document"),
        ([ScoredDoc("q1", "d1", float("nan"))], "finite scores"),
    ],
)
def test_rows_that_no_ranking_can_have_are_an_error(rows, message):
    with pytest.raises(DataError, match=message):
        evaluate(QRELS, {"q1": rows})


@pytest.mark.parametrize("grades", [(1, 2), (0, 0), (-1, 1), (-1, -2), (1, 0)])
def test_bpref_of_judgements_that_ranx_divides_by_zero_is_trec_evals(grades):
    qrels = [Qrel("q1", "d1", 1), Qrel("q1", "d2", 0)]
    qrels += [Qrel("q2", f"d{i}", grade) for i, grade in enumerate(grades)]
    run = {
        query_id: [ScoredDoc(query_id, doc_id, score) for doc_id, score in [("d2", 2.0), ("d1", 1)]]
        for query_id in ("q1", "q2")
    }
    rows = [ir_measures.ScoredDoc(*row) for ranking in run.values() for row in ranking]
    theirs = oracle(qrels, rows, ["Bpref"])
    for _ in range(5):  # what ranx's threads made of them was a matter of chance
        assert_equal_values(evaluate(qrels, run, measures=["Bpref"]), theirs)


def test_import_is_light():
    code = (
        "import sys, optical_ir.evaluation;"
        "print({'ranx', 'numba', 'pandas', 'scipy', 'torch'} & set(sys.modules))"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert found.stdout.strip() == "set()"


def test_a_run_that_found_nothing_at_all_scores_zero_and_misses_nothing(caplog):
    values = evaluate([Qrel("q1", "d1", 1), Qrel("q2", "d1", 2)], {"q1": [], "q2": []})
    assert (values == 0).all(axis=None)
    assert list(values.index) == ["q1", "q2"]
    assert not caplog.text


def test_means_count_unanswered_queries_as_0_and_say_nothing_of_them(caplog):
    run = {"q1": RUN["q1"], "unjudged": RUN["q1"]}
    assert mean_values(QRELS, run, measures=["RR", "R@5"]) == {"RR": 0.5, "R@5": 0.5}
    assert mean_values(QRELS, {}, measures=["RR"]) == {"RR": 0.0}
    assert not caplog.records
