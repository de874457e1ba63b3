"""Everything a report computes: one comparison, with intervals and recall, for each key."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from optical_ir.errors import ConfigError, DataError
from optical_ir.evaluation import Comparison, Contrast, compare, evaluate
from optical_ir.records import Qrel
from optical_ir.reporting.inputs import RunFile
from optical_ir.reporting.intervals import Interval, bootstrap_interval
from optical_ir.reporting.settings import ReportInputs
from optical_ir.trec import Run

ALL = "all"
_STEPS = (1, 2, 3, 5)


class Change(NamedTuple):
    """What a query gained (above 0) or lost against the baseline."""

    query_id: str
    difference: float
    value: float
    baseline_value: float


@dataclass(frozen=True)
class Panel:
    """Systems compared on the same queries of one key.

    Attributes
    ----------
    key, collection, topics : str
        See `optical_ir.reporting.inputs.RunFile`.
    queries : str
        `ALL` judged ones, or the system that was asked these only.
    comparison : Comparison
        As `optical-ir compare` makes it of the same runs.
    intervals : dict of Interval or None
        Of each system's mean on the first measure.
    recall : dict of dict of float
        R@k by system and k, up to the depth of the deepest run.
    runs : dict of run
        Rows by system, of the panel's queries.
    relevant : dict of set of str
        Relevant documents by query.
    notes : tuple of str
        What a reader must know of these figures.
    """

    key: str
    collection: str
    topics: str
    queries: str
    comparison: Comparison
    intervals: Mapping[str, Interval | None]
    recall: Mapping[str, Mapping[int, float]]
    runs: Mapping[str, Run]
    relevant: Mapping[str, frozenset[str]]
    notes: tuple[str, ...]

    @property
    def baseline(self) -> str:
        """The system that the others are compared with."""
        return self.comparison.baseline

    @property
    def measure(self) -> str:
        """The first measure, which the pictures show."""
        return str(self.comparison.values[self.baseline].columns[0])

    @property
    def n_queries(self) -> int:
        """Queries that every mean is over."""
        return len(self.comparison.values[self.baseline])

    def mean(self, system: str) -> float:
        """Mean of a system on the first measure."""
        return float(self.comparison.values[system][self.measure].mean())

    def contrast(self, system: str) -> Contrast | None:
        """Contrast of a system on the first measure; None for the baseline."""
        found = (c for c in self.comparison.contrasts if c.system == system)
        return next((c for c in found if c.measure == self.measure), None)

    def changes(self, system: str) -> list[Change]:
        """List the queries a system answers otherwise than the baseline, most gained first."""
        ours, theirs = (self.comparison.values[s][self.measure] for s in (system, self.baseline))
        found = [
            Change(str(query_id), difference, float(value), float(other))
            for (query_id, value), other in zip(ours.items(), theirs, strict=True)
            if (difference := round(float(value - other), 12))
        ]
        return sorted(found, key=lambda change: (-change.difference, change.query_id))


def make_panels(
    inputs: ReportInputs, runs: Sequence[RunFile], qrels: Mapping[str, Sequence[Qrel]]
) -> list[Panel]:
    """Compare the runs of each key; those asked a part of the queries have panels of their own.

    Raises
    ------
    ConfigError
        If the baseline has no run for a key, or a measure is unknown.
    DataError
        If a run shares no query with its judgements or with the baseline's run.
    """
    baseline = runs[0].system if inputs.baseline is None else inputs.baseline
    panels = []
    for key in dict.fromkeys(run.key for run in runs):
        own = {run.system: run for run in runs if run.key == key}
        for queries, part in _parts(own, qrels[key]).items():
            whole = [s for s, run in own.items() if _covers(run, part, qrels[key])]
            if whole:
                members = {system: own[system] for system in whole}
                names = {"queries": queries, "baseline": baseline}
                panels.append(_make_panel(inputs, members, qrels[key], part, **names))
    return panels


def _parts(runs: Mapping[str, RunFile], qrels: Sequence[Qrel]) -> dict[str, frozenset[str]]:
    """Give the sets of queries that were asked, by the first system, the whole set first."""
    judged = frozenset(qrel.query_id for qrel in qrels)
    parts = {ALL: judged}
    for system, run in runs.items():
        part = judged & run.rows.keys()
        if _is_limited(run, judged) and part and part not in parts.values():
            parts[system] = part
    return parts


def _is_limited(run: RunFile, judged: frozenset[str]) -> bool:
    # Which part a run without any answer was asked cannot be told: its queries count as 0.
    return run.n_asked is not None and run.n_asked < len(judged) and bool(run.rows)


def _covers(run: RunFile, part: frozenset[str], qrels: Sequence[Qrel]) -> bool:
    judged = frozenset(qrel.query_id for qrel in qrels)
    return not _is_limited(run, judged) or part <= run.rows.keys()


def _make_panel(
    inputs: ReportInputs,
    members: Mapping[str, RunFile],
    qrels: Sequence[Qrel],
    part: frozenset[str],
    *,
    queries: str,
    baseline: str,
) -> Panel:
    first = next(iter(members.values()))
    if baseline not in members:
        raise ConfigError(
            f"Expected a run of the baseline {baseline!r} for {first.key!r}"
            f"{'' if queries == ALL else f' over the queries of {queries!r}'}, found runs of "
            f"{', '.join(map(repr, members))}. Choose another with --baseline, or the systems "
            "with --system."
        )
    judged = [qrel for qrel in qrels if qrel.query_id in part]
    _check_queries(members, part, baseline)
    # A judged query that a run lacks counts as 0, which the notes say.
    rows = {
        system: {qrel.query_id: run.rows.get(qrel.query_id, []) for qrel in judged}
        for system, run in members.items()
    }
    comparison = compare(
        judged,
        rows,
        baseline=baseline,
        measures=inputs.measures,
        n_permutations=inputs.n_permutations,
        seed=inputs.seed,
    )
    measure = comparison.values[baseline].columns[0]
    return Panel(
        *(first.key, first.collection, first.topics, queries, comparison),
        intervals={
            system: bootstrap_interval(frame[measure], seed=inputs.seed)
            for system, frame in comparison.values.items()
        },
        recall=_recall(judged, rows),
        runs=rows,
        relevant=_relevant(judged),
        notes=tuple(_notes(members, part, queries)),
    )


def _check_queries(members: Mapping[str, RunFile], part: frozenset[str], baseline: str) -> None:
    asked = part & members[baseline].rows.keys()
    for run in members.values():
        answered = part & run.rows.keys()
        if run.rows and not answered:
            raise DataError(
                f"{run.path}: expected queries of the judgements, such as {min(part)!r}, found "
                f"{min(run.rows)!r}. Check that both belong to the same collection and split."
            )
        if answered and asked and not answered & asked:
            raise DataError(
                f"{run.path}: expected queries that {members[baseline].path} answers, such as "
                f"{min(asked)!r}, found others, such as {min(answered)!r}. Compare runs of the "
                "same queries."
            )


def _notes(members: Mapping[str, RunFile], part: frozenset[str], queries: str) -> list[str]:
    notes = []
    if queries != ALL:
        notes.append(f"Only the queries that {queries} was asked and has an answer to.")
    for system, run in members.items():
        lacking, more = len(part - run.rows.keys()), len(run.rows.keys() - part)
        if lacking:
            notes.append(f"{system}: {lacking} of {len(part)} queries have no answer and count 0.")
        if more and queries == ALL:
            notes.append(f"{system}: {more} queries of its run are not judged and left out.")
    return notes


def _recall(qrels: Sequence[Qrel], runs: Mapping[str, Run]) -> dict[str, dict[int, float]]:
    depth = max((len(rows) for run in runs.values() for rows in run.values()), default=0)
    cutoffs = [k * 10**e for e in range(1 + int(math.log10(max(depth, 1)))) for k in _STEPS]
    cutoffs = [*[k for k in cutoffs if k < depth], max(depth, 1)]
    measures = [f"R@{k}" for k in cutoffs]
    return {
        system: dict(
            zip(cutoffs, evaluate(qrels, run, measures=measures).mean().tolist(), strict=True)
        )
        for system, run in runs.items()
    }


def _relevant(qrels: Sequence[Qrel]) -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for qrel in qrels:
        own = found.setdefault(qrel.query_id, set())
        if qrel.relevance > 0:
            own.add(qrel.doc_id)
    return {query_id: frozenset(docs) for query_id, docs in found.items()}


def order_by_mean(panel: Panel) -> list[str]:
    """Systems of a panel, the best first."""
    systems = list(panel.comparison.values)
    return sorted(systems, key=lambda system: -np.round(panel.mean(system), 12))
