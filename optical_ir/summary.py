"""The report of an experiment: what got better and what did not, then every table behind it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from optical_ir.evaluation import (
    Comparison,
    compare,
    evaluate,
    holm_correction,
    randomisation_test,
    render,
    student_t_test,
)
from optical_ir.evaluation.tables import Cell, Table, layout_markdown, layout_text
from optical_ir.experiment import Experiment, Task
from optical_ir.pipeline import BM25, ZERO_SHOT, Pipeline, SystemRun, student_system
from optical_ir.records import Qrel

if TYPE_CHECKING:
    import pandas as pd

_ALPHA = 0.05


class Gain(NamedTuple):
    """OPTICAL against a rival on the first measure of one task; p-values are Holm-adjusted."""

    topics: str
    rival: str
    n_queries: int
    optical: float
    other: float
    p_student: float
    p_randomisation: float

    @property
    def is_significant(self) -> bool:
        """Whether both tests reject that nothing changed."""
        return max(self.p_student, self.p_randomisation) < _ALPHA


@dataclass(frozen=True)
class Report:
    """Gains over all tasks, and a comparison per task and set of queries.

    `comparisons` maps topics to comparisons: the first over all queries, then one for each
    translation that covers a part of them. `one_vector` maps topics to values by system, without
    tests: these systems approximate others and claim nothing.
    """

    title: str
    note: str
    measure: str
    gains: tuple[Gain, ...]
    comparisons: Mapping[str, Sequence[Comparison]]
    one_vector: Mapping[str, Mapping[str, pd.DataFrame]] = field(default_factory=dict)

    def as_text(self) -> str:
        """Render the summary for a terminal."""
        parts = [layout_text(self._table()), self.verdict(), self.note]
        return "\n\n".join(filter(None, parts)) + "\n"

    def as_markdown(self) -> str:
        """Render the summary and all tables."""
        verdict = self.verdict().replace("\n", "\n\n")
        parts = [f"# {self.title}", layout_markdown(self._table()), verdict]
        parts += [self.note] if self.note else []
        for topics, comparisons in self.comparisons.items():
            parts.append(f"## {topics}")
            parts += [render(comparison, format="markdown").strip() for comparison in comparisons]
            if values := self.one_vector.get(topics):
                parts += ["### One vector a text", render(values, format="markdown").strip()]
        return "\n\n".join(parts) + "\n"

    def as_json(self) -> str:
        """Render everything, per-query values included."""
        content = {
            "title": self.title,
            "measure": self.measure,
            "gains": [gain._asdict() for gain in self.gains],
            "comparisons": {
                topics: [
                    json.loads(render(comparison, format="json", per_query=True))
                    for comparison in comparisons
                ]
                for topics, comparisons in self.comparisons.items()
            },
            "one_vector": {
                topics: json.loads(render(values, format="json", per_query=True))
                for topics, values in self.one_vector.items()
                if values
            },
        }
        return json.dumps(content, indent=1, ensure_ascii=False) + "\n"

    def verdict(self) -> str:
        """Say in words where OPTICAL is better, worse or neither."""
        lines = []
        for rival in dict.fromkeys(gain.rival for gain in self.gains):
            own = [gain for gain in self.gains if gain.rival == rival]
            parts = [
                ("better for", [g for g in own if g.is_significant and g.optical > g.other]),
                ("worse for", [g for g in own if g.is_significant and g.optical < g.other]),
                ("no significant difference for", [g for g in own if not g.is_significant]),
            ]
            said = "; ".join(f"{word} {', '.join(map(_change, gs))}" for word, gs in parts if gs)
            lines.append(f"OPTICAL against {rival}: {said}.")
        return "\n".join(lines)

    def _table(self) -> Table:
        rivals = list(dict.fromkeys(gain.rival for gain in self.gains))
        header = ["Queries", "n", "OPTICAL"]
        for rival in rivals:
            header += [rival, "gain", "p (t)", "p (r)"]
        rows = []
        for topics in self.comparisons:
            own = [gain for gain in self.gains if gain.topics == topics]
            cells = [topics, str(own[0].n_queries), f"{own[0].optical:.4f}"]
            for gain in own:
                cells += [f"{gain.other:.4f}", f"{gain.optical - gain.other:+.4f}"]
                cells += [_p_value(gain.p_student), _p_value(gain.p_randomisation)]
            rows.append(tuple(map(Cell, cells)))
        caption = (
            f"{self.measure} on own-language queries. p of the paired t test (t) and of the "
            f"paired randomisation test (r), Holm-adjusted over the {len(self.gains)} "
            "comparisons of this table."
        )
        return Table(caption, tuple(header), tuple(rows))


def _p_value(value: float) -> str:
    return "<0.0001" if value < 0.0001 else f"{value:.4f}"


def _change(gain: Gain) -> str:
    return f"{gain.topics} ({gain.optical - gain.other:+.3f})"


def report_experiment(
    pipeline: Pipeline,
    runs: Mapping[str, Mapping[str, SystemRun]],
    one_vector: Mapping[str, Mapping[str, SystemRun]] | None = None,
) -> Report:
    """Compare all runs of an experiment with its students; list those of one vector a text."""
    experiment = pipeline.experiment
    comparisons = {
        task.topics: _compare_task(
            task, list(pipeline.collection(task.topics).iter_qrels()), runs[task.topics], experiment
        )
        for task in experiment.tasks
    }
    return Report(
        title=f"Experiment {experiment.name}",
        note=experiment.note,
        measure=experiment.measures[0],
        gains=_gains(experiment, comparisons),
        comparisons=comparisons,
        one_vector={
            topics: {
                name: evaluate(
                    list(pipeline.collection(topics).iter_qrels()),
                    system.run,
                    measures=experiment.measures,
                    name=name,
                )
                for name, system in systems.items()
            }
            for topics, systems in (one_vector or {}).items()
        },
    )


def _compare_task(
    task: Task, qrels: Sequence[Qrel], systems: Mapping[str, SystemRun], experiment: Experiment
) -> list[Comparison]:
    """Compare over all queries, then over those of each translation that lacks some."""
    everything = systems[student_system(task.student)].query_ids
    # A file of translations may also hold other queries than the task's.
    coverages = dict.fromkeys(everything & system.query_ids for system in systems.values())
    return [
        compare(
            [qrel for qrel in qrels if qrel.query_id in coverage],
            {
                name: {qid: rows for qid, rows in system.run.items() if qid in coverage}
                for name, system in systems.items()
                if system.query_ids >= coverage
            },
            baseline=student_system(task.student),
            measures=experiment.measures,
        )
        for coverage in coverages
    ]


def _gains(
    experiment: Experiment, comparisons: Mapping[str, Sequence[Comparison]]
) -> tuple[Gain, ...]:
    measure = experiment.measures[0]
    found = []
    for task in experiment.tasks:
        values = comparisons[task.topics][0].values
        own = values[student_system(task.student)][measure]
        for rival in (ZERO_SHOT, BM25):
            other = values[rival][measure]
            p_values = student_t_test(own, other), randomisation_test(own, other)
            means = float(own.mean()), float(other.mean())
            found.append(Gain(task.topics, rival, len(own), *means, *p_values))
    adjusted = (
        holm_correction([gain.p_student for gain in found]),
        holm_correction([gain.p_randomisation for gain in found]),
    )
    return tuple(
        gain._replace(p_student=float(t), p_randomisation=float(r))
        for gain, t, r in zip(found, *adjusted, strict=True)
    )
