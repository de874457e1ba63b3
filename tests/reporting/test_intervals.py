"""Confidence intervals: laws, and SciPy as the oracle."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import bootstrap

from optical_ir.reporting.intervals import bootstrap_interval

VALUES = st.lists(st.floats(0, 1), min_size=2, max_size=40)


@settings(max_examples=20, deadline=None)
@given(values=VALUES)
def test_an_interval_lies_within_the_values_and_holds_their_mean(values):
    low, high = bootstrap_interval(values)
    assert min(values) - 1e-12 <= low <= high <= max(values) + 1e-12
    assert low - 1e-9 <= np.mean(values) <= high + 1e-9


def test_an_interval_is_scipys():
    values = np.random.default_rng(1).random(60)
    found = bootstrap(
        (values,),
        np.mean,
        n_resamples=10_000,
        method="percentile",
        batch=(1 << 20) // 60,
        rng=np.random.default_rng(7),
    ).confidence_interval
    assert bootstrap_interval(values, seed=7) == pytest.approx((found.low, found.high), abs=1e-12)


def test_an_interval_is_near_that_of_the_normal_distribution():
    values = np.random.default_rng(2).random(400)
    half = 1.96 * values.std(ddof=1) / 20
    low, high = bootstrap_interval(values)
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.003)


def test_the_seed_decides():
    values = [0.0, 0.2, 0.7, 1.0, 0.31]
    assert bootstrap_interval(values, seed=1) == bootstrap_interval(values, seed=1)
    assert bootstrap_interval(values, seed=1) != bootstrap_interval(values, seed=2)


def test_equal_values_have_no_spread_and_one_value_no_interval():
    assert bootstrap_interval([0.3, 0.3, 0.3]) == (0.3, 0.3)
    assert bootstrap_interval([0.3]) is None
