"""Everything a report shows, computed once for the page and for the PDF."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optical_ir.evaluation.tables import Table
from optical_ir.reporting.changes import SystemChanges, list_changes
from optical_ir.reporting.charts import LineChart, Series, make_line_chart
from optical_ir.reporting.inputs import RunFile, read_judgements, read_logs, read_runs
from optical_ir.reporting.panels import Panel, make_panels
from optical_ir.reporting.settings import ReportInputs
from optical_ir.reporting.tables import overview_tables, search_cost_table, training_cost_table
from optical_ir.reporting.texts import Texts, read_texts

_NO_CURVE = {"step", "seconds", "cpu_seconds", "learning_rate"}


@dataclass(frozen=True)
class Content:
    """What a report is about.

    Attributes
    ----------
    changes : list of list of SystemChanges
        By panel.
    curves : list of LineChart
        One for each quantity that the trainings logged, a line a student.
    costs : list of Table
        Of searching and of training.
    """

    runs: Sequence[RunFile]
    panels: Sequence[Panel]
    texts: Mapping[str, Texts]
    overviews: Sequence[Table]
    changes: Sequence[Sequence[SystemChanges]]
    recall: Sequence[LineChart]
    curves: Sequence[LineChart]
    costs: Sequence[Table]

    @property
    def systems(self) -> list[str]:
        """Systems in the order of the runs."""
        return list(dict.fromkeys(run.system for run in self.runs))

    @property
    def n_looks(self) -> int:
        """Looks that the charts use."""
        return 1 + max(line.look for chart in (*self.recall, *self.curves) for line in chart.lines)


def make_content(inputs: ReportInputs) -> Content:
    """Read and compute everything that a report shows.

    Raises
    ------
    ConfigError, DataError
        See `read_runs`, `read_judgements`, `make_panels`, `read_texts` and `read_logs`.
    """
    runs, logs = read_runs(inputs), read_logs(inputs)
    panels = make_panels(inputs, runs, read_judgements(inputs, runs))
    texts = read_texts(inputs, panels)
    looks = {system: look for look, system in enumerate(dict.fromkeys(r.system for r in runs))}
    costs = [search_cost_table(runs), *([training_cost_table(logs)] if logs else [])]
    return Content(
        *(runs, panels, texts, overview_tables(panels)),
        changes=[list_changes(panel, texts[panel.key]) for panel in panels],
        recall=[_recall_chart(panel, looks) for panel in panels],
        curves=_training_charts(logs),
        costs=costs,
    )


def _recall_chart(panel: Panel, looks: Mapping[str, int]) -> LineChart:
    series = [
        Series(name, {float(k): value for k, value in values.items()}, looks[name])
        for name, values in panel.recall.items()
    ]
    return make_line_chart(series, x_label="rank k", y_label="R@k", is_log=True)


def _training_charts(logs: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[LineChart]:
    rows = [row for log in logs.values() for row in log]
    names = [
        name for name in dict.fromkeys(n for row in rows for n in row) if name not in _NO_CURVE
    ]
    charts = []
    for name in names:
        points = {student: _points(log, name) for student, log in logs.items()}
        series = [Series(s, own, look) for look, (s, own) in enumerate(points.items()) if own]
        if series:
            charts.append(make_line_chart(series, x_label="step", y_label=name))
    return charts


def _points(log: Sequence[Mapping[str, Any]], name: str) -> dict[float, float]:
    return {
        float(row["step"]): float(row[name])
        for row in log
        if isinstance(row.get(name), int | float) and math.isfinite(row[name])
    }


def headline(content: Content) -> str:
    """Name what was searched."""
    return ", ".join(dict.fromkeys(panel.collection for panel in content.panels))


def lead(content: Content) -> str:
    """Say in a sentence or two what the report covers."""
    comparison = content.panels[0].comparison
    measures = ", ".join(map(str, comparison.values[comparison.baseline].columns))
    return (
        f"{_count(len(content.runs), 'run')} of {_count(len(content.systems), 'system')} for "
        f"{_count(len({run.key for run in content.runs}), 'set')} of queries, by {measures}. "
        f"Systems are compared with {comparison.baseline} in two paired tests "
        f"({comparison.n_permutations:,} permutations, seed {comparison.seed})."
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
