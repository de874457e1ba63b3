"""Confidence intervals of means, by resampling the queries."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

LEVEL = 0.95
N_RESAMPLES = 10_000


class Interval(NamedTuple):
    """Ends of a confidence interval, low to high."""

    low: float
    high: float


def bootstrap_interval(values: ArrayLike, *, seed: int = 42) -> Interval | None:
    """Percentile bootstrap interval of a mean at `LEVEL`, from `N_RESAMPLES` resamples.

    It tells how much the mean depends on which queries were asked, not on the training's seed.
    The same values in the same order and the same seed give the same interval.

    Parameters
    ----------
    values : array, shape (n_queries,), float64
        One measure of one system.

    Returns
    -------
    Interval or None
        None for a single query, which says nothing of others.

    References
    ----------
    Efron and Tibshirani (1993), section 13.3, as SciPy has it.
    """
    values = np.asarray(values, dtype=np.float64)
    if len(values) < 2:
        return None
    if (values == values[0]).all():
        return Interval(float(values[0]), float(values[0]))
    from scipy.stats import bootstrap

    found = bootstrap(
        (values,),
        np.mean,
        confidence_level=LEVEL,
        n_resamples=N_RESAMPLES,
        method="percentile",
        # A million numbers at a time.
        batch=max(1, (1 << 20) // len(values)),
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return Interval(float(found.low), float(found.high))
