"""Laws and oracles of the paired tests and of Holm's correction."""

from itertools import product

import numpy as np
import pytest
from scipy.stats import ttest_rel

from optical_ir.evaluation import holm_correction, randomisation_test, student_t_test

TESTS = [student_t_test, randomisation_test]


def paired_values(seed, n_queries, *, effect=0.05):
    rng = np.random.default_rng(seed)
    baseline = rng.random(n_queries)
    return baseline + effect + 0.2 * rng.standard_normal(n_queries), baseline


@pytest.mark.parametrize("seed", range(5))
def test_student_equals_scipy(seed):
    ours, theirs = paired_values(seed, 30)
    assert student_t_test(ours, theirs) == pytest.approx(ttest_rel(ours, theirs).pvalue, rel=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_randomisation_approaches_exact_enumeration(seed):
    ours, theirs = paired_values(seed, 10)
    differences = ours - theirs
    sums = np.array(list(product([1, -1], repeat=10))) @ differences
    exact = (np.abs(sums) >= abs(differences.sum()) - 1e-12).mean()
    found = randomisation_test(ours, theirs, n_permutations=100_000)
    assert found == pytest.approx(exact, abs=4 * np.sqrt(exact * (1 - exact) / 100_000) + 1e-5)


def test_randomisation_counts_ties_with_the_observed_difference():
    # all four sign patterns of two equal differences: |mean| is 0 or as observed, half each
    found = randomisation_test([0.3, 0.3], [0.1, 0.1], n_permutations=100_000)
    assert found == pytest.approx(0.5, abs=0.01)


def test_randomisation_approaches_student_and_ranx_for_many_queries():
    from ranx.statistical_tests import fisher_randomization_test

    ours, theirs = paired_values(1, 200, effect=0.02)
    found = randomisation_test(ours, theirs, n_permutations=20_000)
    ranx_p, _ = fisher_randomization_test(ours, theirs, n_permutations=20_000)
    assert found == pytest.approx(student_t_test(ours, theirs), abs=0.02)
    assert found == pytest.approx(ranx_p, abs=0.02)


def test_randomisation_depends_on_the_seed_only():
    ours, theirs = paired_values(2, 40, effect=0.01)
    first = randomisation_test(ours, theirs, seed=1)
    assert randomisation_test(ours, theirs, seed=1) == first
    assert randomisation_test(ours, theirs, seed=2) != first


@pytest.mark.parametrize("n_permutations", [1, 99, 10_000])
def test_randomisation_is_the_same_however_it_is_chunked(monkeypatch, n_permutations):
    ours, theirs = paired_values(3, 40)
    expected = randomisation_test(ours, theirs, n_permutations=n_permutations)
    monkeypatch.setattr("optical_ir.evaluation.significance._CHUNK_VALUES", 1000)
    assert randomisation_test(ours, theirs, n_permutations=n_permutations) == expected


def test_smallest_randomisation_p_is_one_over_one_more_than_permutations():
    values = np.linspace(0.1, 0.9, 100)
    assert randomisation_test(values, np.zeros(100), n_permutations=99) == 0.01


@pytest.mark.parametrize("test", TESTS)
def test_order_of_queries_and_of_systems_changes_nothing(test):
    ours, theirs = paired_values(4, 50, effect=0.01)
    order = np.random.default_rng(0).permutation(50)
    assert test(ours[order], theirs[order]) == pytest.approx(test(ours, theirs), rel=1e-9)
    assert test(theirs, ours) == pytest.approx(test(ours, theirs), rel=1e-9)


@pytest.mark.parametrize("test", TESTS)
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ([0.2, 0.5, 0.7], [0.2, 0.5, 0.7]),
        ([0.1 + 0.2, 0.5], [0.3, 0.5]),
        ([0.9], [0.1]),
    ],
    ids=["identical", "identical but for rounding", "one query"],
)
def test_nothing_to_tell_apart_gives_one(test, ours, theirs):
    assert test(ours, theirs) == 1.0


def test_equal_differences_have_no_variance():
    assert student_t_test([0.3, 0.5, 0.7], [0.1, 0.3, 0.5]) == 0.0


@pytest.mark.parametrize("test", TESTS)
@pytest.mark.parametrize(
    ("ours", "theirs", "message"),
    [
        ([0.1, np.nan], [0.1, 0.2], "finite"),
        ([0.1], [0.1, 0.2], "equally long"),
        ([], [], "equally long"),
    ],
)
def test_values_that_cannot_be_paired_are_an_error(test, ours, theirs, message):
    with pytest.raises(ValueError, match=message):
        test(ours, theirs)


def test_no_permutations_is_an_error():
    with pytest.raises(ValueError, match="must be positive"):
        randomisation_test([0.1], [0.2], n_permutations=0)


def test_holm_of_an_example_worked_by_hand():
    # sorted .01 .013 .02 .4 times 4 3 2 1: .04 .039 .04 .4; running maximum: .04 .04 .04 .4
    found = holm_correction([0.4, 0.013, 0.01, 0.02])
    assert found == pytest.approx([0.4, 0.04, 0.04, 0.04])


@pytest.mark.parametrize("seed", range(5))
def test_holm_keeps_order_and_lies_between_p_and_bonferroni(seed):
    p = np.random.default_rng(seed).random(8) ** 3
    found = holm_correction(p)
    assert (np.diff(found[np.argsort(p)]) >= 0).all()
    assert (found >= p).all()
    assert (found <= np.minimum(1.0, 8 * p)).all()
    assert found.min() == pytest.approx(min(1.0, 8 * p.min()))


@pytest.mark.parametrize("seed", range(5))
def test_holm_rejects_what_the_step_down_procedure_rejects(seed):
    p = np.random.default_rng(seed).random(6) * 0.06
    rejected = set()
    for i, index in enumerate(np.argsort(p)):
        if p[index] > 0.05 / (6 - i):
            break
        rejected.add(index)
    assert set(np.flatnonzero(holm_correction(p) <= 0.05)) == rejected


def test_holm_of_small_families():
    assert list(holm_correction([0.03])) == [0.03]
    assert holm_correction([]).shape == (0,)


@pytest.mark.parametrize("p", [[0.1, np.nan], [1.1], [-0.1], [[0.1]]])
def test_holm_of_what_is_no_list_of_p_values_is_an_error(p):
    with pytest.raises(ValueError, match="from 0 to 1"):
        holm_correction(p)
