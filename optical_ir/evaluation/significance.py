"""Paired significance tests over per-query values, and the correction for many of them.

The t test is SciPy's, which is what ranx calls too; the randomisation test is ours, since ranx's
ignores its seed.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

ALPHA = 0.05
"""A difference is significant where its corrected p-values are below this."""

_CHUNK_VALUES = 1 << 20


def student_t_test(values: ArrayLike, baseline_values: ArrayLike) -> float:
    """Two-sided p-value of Student's t test for paired values.

    Parameters
    ----------
    values, baseline_values : array, shape (n_queries,)
        Values of one measure for the same queries in the same order.

    Returns
    -------
    float
        1 where nothing can be told apart: all differences are 0, or there is one query.

    Raises
    ------
    ValueError
        If the shapes differ, there are no queries, or a value is not finite.
    """
    differences = _differences(values, baseline_values)
    if len(differences) == 1 or not differences.any():
        return 1.0
    if (differences == differences[0]).all():
        return 0.0  # no variance: t is infinite, which SciPy warns about
    from scipy.stats import ttest_rel

    return float(ttest_rel(differences, np.zeros_like(differences)).pvalue)


def randomisation_test(
    values: ArrayLike,
    baseline_values: ArrayLike,
    *,
    n_permutations: int = 10_000,
    seed: int = 42,
) -> float:
    """Two-sided p-value of the paired randomisation test.

    Each permutation flips the signs of the differences at random; a hit is a mean at least as
    far from 0 as the observed one, and ``p = (1 + hits) / (1 + n_permutations)``. The same seed
    gives the same p-value, whatever the order of the queries or of the two systems.

    Parameters
    ----------
    values, baseline_values : array, shape (n_queries,)
        Values of one measure for the same queries in the same order.
    n_permutations : int
        Number of random sign patterns; the smallest p-value is ``1 / (1 + n_permutations)``.
    seed : int
        Seed of the generator of sign patterns.

    Raises
    ------
    ValueError
        If the shapes differ, there are no queries, a value is not finite, or `n_permutations`
        is not positive.

    References
    ----------
    Smucker, Allan and Carterette (CIKM 2007), section 3.2; the ones are added as in Phipson and
    Smyth (2010), so that p is never 0.
    """
    if n_permutations < 1:
        raise ValueError(f"n_permutations must be positive, but got {n_permutations}.")
    differences = _differences(values, baseline_values)
    sizes = np.sort(np.abs(differences[differences != 0.0]))
    if not len(sizes):
        return 1.0
    # sums of the same numbers differ by rounding with their order
    threshold = abs(differences.sum()) - 1e-12 * sizes.sum()
    generator = np.random.default_rng(seed)
    chunk = max(1, _CHUNK_VALUES // len(sizes))
    hits = 0
    for start in range(0, n_permutations, chunk):
        n_rows = min(chunk, n_permutations - start)
        is_flipped = generator.random((n_rows, len(sizes))) < 0.5
        sums = sizes.sum() - 2.0 * (is_flipped @ sizes)
        hits += int((np.abs(sums) >= threshold).sum())
    return (1 + hits) / (1 + n_permutations)


def holm_correction(p_values: ArrayLike) -> NDArray[np.float64]:
    """P-values adjusted for the size of their family, in the order given.

    With ``p(1) <= ... <= p(m)`` the adjusted values are
    ``p~(i) = max over j <= i of min(1, (m - j + 1) * p(j))``.

    Parameters
    ----------
    p_values : array, shape (n_comparisons,)
        P-values of one family; may be empty.

    Raises
    ------
    ValueError
        If a p-value is NaN or not between 0 and 1.

    References
    ----------
    Holm (1979), section 2; in adjusted form Wright (1992), section 2.
    """
    p = np.asarray(p_values, dtype=np.float64)
    if p.ndim != 1 or not ((p >= 0.0) & (p <= 1.0)).all():
        raise ValueError("p_values must be one-dimensional with values from 0 to 1.")
    order = np.argsort(p, kind="stable")
    factors = np.arange(len(p), 0, -1)
    adjusted = np.empty_like(p)
    adjusted[order] = np.maximum.accumulate(np.minimum(1.0, factors * p[order]))
    return adjusted


def _differences(values: ArrayLike, baseline_values: ArrayLike) -> NDArray[np.float64]:
    """Per-query differences; those below 1e-12 are rounding and become 0."""
    ours = np.asarray(values, dtype=np.float64)
    theirs = np.asarray(baseline_values, dtype=np.float64)
    if ours.ndim != 1 or ours.shape != theirs.shape or not len(ours):
        raise ValueError(
            f"Expected two equally long lists of values, found shapes {ours.shape} and "
            f"{theirs.shape}."
        )
    if not (np.isfinite(ours).all() and np.isfinite(theirs).all()):
        raise ValueError("Expected finite values for a paired test, found NaN or infinity.")
    return np.round(ours - theirs, 12)
