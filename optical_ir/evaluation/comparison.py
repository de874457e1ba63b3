"""Several runs against one baseline: means, paired differences and corrected p-values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from optical_ir.errors import ConfigError
from optical_ir.evaluation.measures import DEFAULT_MEASURES, evaluate
from optical_ir.evaluation.significance import (
    holm_correction,
    randomisation_test,
    student_t_test,
)
from optical_ir.records import Qrel
from optical_ir.trec import Run

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Contrast:
    """One system against the baseline on one measure; `difference` is system minus baseline.

    `p_*_holm` are adjusted over all contrasts of the comparison, each test on its own.
    """

    system: str
    measure: str
    difference: float
    p_student: float
    p_student_holm: float
    p_randomisation: float
    p_randomisation_holm: float
    wins: int
    ties: int
    losses: int


@dataclass(frozen=True)
class Comparison:
    """Values of several systems for the same queries, and their contrasts with the baseline.

    `values` holds, per system in the order given, a DataFrame of shape (n_queries, n_measures)
    as `evaluate` returns it. `contrasts` go by system, then by measure.
    """

    baseline: str
    values: Mapping[str, pd.DataFrame]
    contrasts: tuple[Contrast, ...]
    n_permutations: int
    seed: int


def compare(
    qrels: Iterable[Qrel],
    runs: Mapping[str, Run],
    *,
    baseline: str | None = None,
    measures: Sequence[str] = DEFAULT_MEASURES,
    n_permutations: int = 10_000,
    seed: int = 42,
) -> Comparison:
    """Evaluate runs and test each against the baseline, query by query.

    The family of the Holm correction is everything the comparison shows: all systems but the
    baseline times all measures.

    Parameters
    ----------
    qrels : iterable of Qrel
        Judgements; all judged queries count for all runs (see `evaluate`).
    runs : mapping of str to run
        Runs by the name of their system, in the order of the table.
    baseline : str, optional
        Name of the run that the others are compared with; the first run by default.
    measures : sequence of str
        See `evaluate`.
    n_permutations, seed : int
        See `randomisation_test`.

    Raises
    ------
    ConfigError
        If there are no runs, `baseline` is none of them, a measure is unknown, or
        `n_permutations` is not positive.
    DataError
        See `evaluate`.
    """
    if not runs:
        raise ConfigError("Expected at least one run to compare, found none.")
    baseline = next(iter(runs)) if baseline is None else baseline
    if baseline not in runs:
        raise ConfigError(
            f"Expected one of the runs {', '.join(map(repr, runs))} as the baseline, found "
            f"{baseline!r}."
        )
    if n_permutations < 1:
        raise ConfigError(f"Expected a positive number of permutations, found {n_permutations}.")
    qrels = list(qrels)
    values = {
        name: evaluate(qrels, run, measures=measures, name=name) for name, run in runs.items()
    }
    contrasts = _contrasts(values, baseline, n_permutations, seed)
    return Comparison(baseline, values, contrasts, n_permutations, seed)


def _contrasts(
    values: Mapping[str, pd.DataFrame], baseline: str, n_permutations: int, seed: int
) -> tuple[Contrast, ...]:
    systems = [name for name in values if name != baseline]
    pairs = [
        (system, measure, values[system][measure], values[baseline][measure])
        for system, measure in product(systems, values[baseline].columns)
    ]
    student = [student_t_test(ours, theirs) for _, _, ours, theirs in pairs]
    randomised = [
        randomisation_test(ours, theirs, n_permutations=n_permutations, seed=seed)
        for _, _, ours, theirs in pairs
    ]
    adjusted = holm_correction(student), holm_correction(randomised)
    contrasts = []
    for i, (system, measure, ours, theirs) in enumerate(pairs):
        signs = np.sign(np.round(ours - theirs, 12))
        contrasts.append(
            Contrast(
                system,
                measure,
                difference=float((ours - theirs).mean()),
                p_student=student[i],
                p_student_holm=float(adjusted[0][i]),
                p_randomisation=randomised[i],
                p_randomisation_holm=float(adjusted[1][i]),
                wins=int((signs > 0).sum()),
                ties=int((signs == 0).sum()),
                losses=int((signs < 0).sum()),
            )
        )
    return tuple(contrasts)
