"""Systems by tasks: values of an experiment, and tests of its first student against the rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from optical_ir.evaluation import (
    ALPHA,
    evaluate,
    holm_correction,
    randomisation_test,
    student_t_test,
)
from optical_ir.experiment import Experiment
from optical_ir.pipeline import SystemRun
from optical_ir.records import Qrel

if TYPE_CHECKING:
    import pandas as pd

ALL = "all"
MEAN = "mean"


class ColumnContrast(NamedTuple):
    """The baseline, which is the first student, against a system in one column of a matrix.

    `difference` is baseline minus system, above 0 where the baseline is better; that of
    `optical_ir.evaluation.Contrast` is the other way round. `p_student` and `p_randomisation` are
    Holm-adjusted over the contrasts of the matrix, each test on its own; those of a mean are over
    the queries of all its tasks together.
    """

    system: str
    column: str
    n_queries: int
    difference: float
    p_student: float
    p_randomisation: float

    @property
    def is_significant(self) -> bool:
        """Whether both tests reject that nothing changed."""
        return max(self.p_student, self.p_randomisation) < ALPHA


@dataclass(frozen=True)
class Matrix:
    """Values of all systems for the tasks of one collection.

    Attributes
    ----------
    collection : str
    queries : str
        Which queries: all, or those of a system that answers a part.
    baseline : str
        The system that the others are compared with.
    values : dict of dict of DataFrame, shape (n_queries, n_measures)
        By system and topics; a system may lack tasks.
    repeats : dict of tuple of str
        Systems that are others again with another seed, by the first one's name. They tell the
        spread and are not compared.
    """

    collection: str
    queries: str
    baseline: str
    values: Mapping[str, Mapping[str, pd.DataFrame]]
    repeats: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def systems(self) -> list[str]:
        """Rows: the systems that are compared."""
        repeated = {name for names in self.repeats.values() for name in names}
        return [system for system in self.values if system not in repeated]

    @property
    def topics(self) -> list[str]:
        """Columns: the topics that the baseline answers."""
        return list(self.values[self.baseline])

    @property
    def measures(self) -> list[str]:
        """Names of the measures; tests are on the first."""
        return [str(name) for name in next(iter(self.values[self.baseline].values())).columns]

    def mean(self, system: str, column: str, measure: str) -> float | None:
        """Mean over the queries of one column; that of `MEAN` is over the tasks' means.

        None where the system has no run for the column or, for the mean, lacks a task.
        """
        tasks = self.values[system]
        if column != MEAN:
            return float(tasks[column][measure].mean()) if column in tasks else None
        if len(tasks) < len(self.topics):
            return None
        return float(np.mean([frame[measure].mean() for frame in tasks.values()]))

    @cached_property
    def contrasts(self) -> dict[tuple[str, str], ColumnContrast]:
        """Contrasts on the first measure by system and column."""
        measure = self.measures[0]
        pairs = {
            (system, column): (
                self._per_query(self.baseline, column, measure),
                self._per_query(system, column, measure),
            )
            for system in self.systems
            if system != self.baseline
            for column in self.columns
            if self.mean(system, column, measure) is not None
        }
        student = holm_correction([student_t_test(*pair) for pair in pairs.values()])
        randomised = holm_correction([randomisation_test(*pair) for pair in pairs.values()])
        found = {}
        for number, ((system, column), (ours, _)) in enumerate(pairs.items()):
            own, other = (self.mean(s, column, measure) for s in (self.baseline, system))
            difference = (own or 0.0) - (other or 0.0)
            p_values = float(student[number]), float(randomised[number])
            found[system, column] = ColumnContrast(system, column, len(ours), difference, *p_values)
        return found

    @property
    def columns(self) -> list[str]:
        """Topics, and their mean where there are several."""
        return [*self.topics, *([MEAN] if len(self.topics) > 1 else [])]

    def _per_query(self, system: str, column: str, measure: str) -> npt.NDArray[np.float64]:
        topics = self.topics if column == MEAN else [column]
        return np.concatenate([self.values[system][name][measure].to_numpy() for name in topics])


Runs = Mapping[str, Mapping[str, SystemRun]]
"""Runs by task (or topics, within a collection) and system, as `run_systems` gives them."""

_Parts = dict[str, frozenset[str]]


def make_matrices(
    experiment: Experiment, runs: Runs, qrels: Mapping[str, Sequence[Qrel]]
) -> list[Matrix]:
    """Evaluate the runs of an experiment, given the judgements by task.

    For each collection there is a matrix over all queries, with the systems that answer them all,
    and one for each set of queries that some system is limited to.
    """
    baseline = next(iter(experiment.students))
    repeats = {
        name: tuple(f"{name}-seed{seed}" for seed in plan.seeds[1:])
        for name, plan in experiment.students.items()
    }
    matrices = []
    for collection, tasks in experiment.tasks_by_collection():
        own = {task.name: runs[task.key] for task in tasks}
        judged = {task.name: qrels[task.key] for task in tasks}
        whole = {topics: systems[baseline].query_ids for topics, systems in own.items()}
        for queries, parts in {ALL: whole, **_limited(whole, own)}.items():
            values = _evaluate(parts, own, judged, experiment.measures)
            matrices.append(Matrix(collection, queries, baseline, values, repeats))
    return matrices


def evaluate_forms(
    experiment: Experiment, runs: Runs, qrels: Mapping[str, Sequence[Qrel]]
) -> list[Matrix]:
    """Evaluate the runs of one vector a text: one matrix a collection, over all queries."""
    matrices = []
    for collection, tasks in experiment.tasks_by_collection():
        own = {task.name: runs[task.key] for task in tasks}
        whole = {
            topics: frozenset(qrel.query_id for qrel in qrels[f"{collection}-{topics}"])
            for topics in own
        }
        judged = {task.name: qrels[task.key] for task in tasks}
        values = _evaluate(whole, own, judged, experiment.measures)
        if values:
            matrices.append(Matrix(collection, ALL, next(iter(values)), values))
    return matrices


def _evaluate(
    parts: _Parts, runs: Runs, qrels: Mapping[str, Sequence[Qrel]], measures: Sequence[str]
) -> dict[str, dict[str, pd.DataFrame]]:
    """Values by system and topics, of the systems that answer the whole part."""
    values: dict[str, dict[str, pd.DataFrame]] = {}
    for topics, part in parts.items():
        judged = [qrel for qrel in qrels[topics] if qrel.query_id in part]
        for system, found in runs[topics].items():
            if part <= found.query_ids:
                own = {query_id: rows for query_id, rows in found.run.items() if query_id in part}
                frame = evaluate(judged, own, measures=measures, name=system)
                values.setdefault(system, {})[topics] = frame
    return values


def _limited(whole: _Parts, runs: Runs) -> dict[str, _Parts]:
    """Give the queries that systems with a part of them answer, by the first such system."""
    found: dict[str, _Parts] = {}
    for system in dict.fromkeys(system for systems in runs.values() for system in systems):
        parts = {
            topics: runs[topics][system].query_ids & queries
            for topics, queries in whole.items()
            if system in runs[topics] and not queries <= runs[topics][system].query_ids
        }
        if parts and parts not in found.values():
            found[system] = parts
    return found
