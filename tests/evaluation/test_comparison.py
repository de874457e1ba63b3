"""A comparison holds the differences, tests and counts of its per-query values."""

import numpy as np
import pytest

from optical_ir.errors import ConfigError, DataError
from optical_ir.evaluation import compare, holm_correction, randomisation_test, student_t_test
from optical_ir.records import Qrel, ScoredDoc

QRELS = [Qrel(f"q{i}", "d0", 1) for i in range(12)]


def run_with_ranks(ranks):
    """Make a run that has the relevant document of query i at `ranks[i]`, counted from 1."""
    run = {}
    for i, rank in enumerate(ranks):
        docs = [f"d{j}" for j in range(1, 10)]
        docs.insert(rank - 1, "d0")
        run[f"q{i}"] = [ScoredDoc(f"q{i}", doc, -float(j)) for j, doc in enumerate(docs)]
    return run


RUNS = {
    "bm25": run_with_ranks([2, 4, 2, 5, 1, 2, 4, 2, 5, 1, 2, 4]),
    "student": run_with_ranks([1, 2, 1, 5, 2, 1, 1, 1, 1, 1, 1, 2]),
    "zero": run_with_ranks([4, 4, 2, 5, 1, 2, 4, 2, 5, 1, 2, 5]),
}


def test_contrasts_follow_from_the_values():
    comparison = compare(QRELS, RUNS, measures=["RR", "Success@1"], seed=5)
    assert comparison.baseline == "bm25"
    assert list(comparison.values) == list(RUNS)
    names = [(c.system, c.measure) for c in comparison.contrasts]
    assert names == [(s, m) for s in ("student", "zero") for m in ("RR", "Success@1")]
    for c in comparison.contrasts:
        ours, theirs = (comparison.values[name][c.measure] for name in (c.system, "bm25"))
        assert c.difference == pytest.approx(ours.mean() - theirs.mean())
        assert c.p_student == student_t_test(ours, theirs)
        assert c.p_randomisation == randomisation_test(ours, theirs, seed=5)
        assert c.wins + c.ties + c.losses == len(QRELS)


def test_wins_ties_and_losses_are_counted_from_the_system_s_side():
    c = compare(QRELS, RUNS, measures=["RR"]).contrasts[0]
    assert (c.wins, c.ties, c.losses) == (9, 2, 1)


def test_holm_goes_over_all_systems_and_measures_and_each_test_on_its_own():
    contrasts = compare(QRELS, RUNS, measures=["RR", "nDCG@10", "Success@1"]).contrasts
    assert len(contrasts) == 6
    for test in ("student", "randomisation"):
        p = [getattr(c, f"p_{test}") for c in contrasts]
        found = [getattr(c, f"p_{test}_holm") for c in contrasts]
        assert found == pytest.approx(holm_correction(p))


def test_the_baseline_may_be_any_run():
    swapped = compare(QRELS, RUNS, baseline="student", measures=["RR"]).contrasts[0]
    forward = compare(QRELS, RUNS, measures=["RR"]).contrasts[0]
    assert swapped.system == "bm25"
    assert swapped.difference == pytest.approx(-forward.difference)
    assert (swapped.wins, swapped.losses) == (forward.losses, forward.wins)
    assert swapped.p_randomisation == forward.p_randomisation


def test_order_of_queries_changes_nothing():
    order = np.random.default_rng(0).permutation(len(QRELS))
    shuffled = compare([QRELS[i] for i in order], RUNS).contrasts
    for found, expected in zip(shuffled, compare(QRELS, RUNS).contrasts, strict=True):
        assert found.p_randomisation == expected.p_randomisation
        assert found.p_student == pytest.approx(expected.p_student)
        assert found.difference == pytest.approx(expected.difference)


def test_one_run_has_values_and_no_contrasts():
    comparison = compare(QRELS, {"bm25": RUNS["bm25"]})
    assert list(comparison.values) == ["bm25"]
    assert comparison.contrasts == ()


def test_qrels_may_be_an_iterator():
    assert len(compare(iter(QRELS), RUNS).values["zero"]) == len(QRELS)


@pytest.mark.parametrize(
    ("runs", "options", "message"),
    [
        ({}, {}, "at least one run"),
        (RUNS, {"baseline": "bm52"}, "'bm25', 'student', 'zero' as the baseline, found 'bm52'"),
        (RUNS, {"n_permutations": 0}, "positive number of permutations, found 0"),
    ],
)
def test_settings_that_cannot_be_used_are_an_error(runs, options, message):
    with pytest.raises(ConfigError, match=message):
        compare(QRELS, runs, **options)


def test_errors_name_the_run():
    with pytest.raises(DataError, match=r"^other: expected queries of the qrels"):
        compare(QRELS, {**RUNS, "other": {"1": RUNS["bm25"]["q1"]}})
