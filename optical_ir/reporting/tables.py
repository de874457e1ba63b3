"""The tables of a report that no other verb prints: overview, intervals, recall, costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from optical_ir.evaluation.report import mark_contrast
from optical_ir.evaluation.significance import ALPHA
from optical_ir.evaluation.tables import Cell, Table, format_difference, format_value
from optical_ir.reporting.inputs import RunFile
from optical_ir.reporting.intervals import LEVEL, N_RESAMPLES, Interval
from optical_ir.reporting.panels import ALL, Panel, order_by_mean

_CLOCKS = ("seconds", "cpu_seconds")

_MOST_NAMED = 6
"""Systems without a significant difference that are named; of more their number is told."""


def title(panel: Panel) -> str:
    """Name a panel: its key, and whose queries they are if not all."""
    return panel.key if panel.queries == ALL else f"{panel.key}, queries of {panel.queries}"


def overview_tables(panels: Sequence[Panel]) -> list[Table]:
    """Systems by topics on the first measure, a table a collection, of the first panel of a key."""
    first: dict[str, Panel] = {}
    for panel in panels:
        first.setdefault(panel.key, panel)
    by_collection: dict[str, list[Panel]] = {}
    for panel in first.values():
        by_collection.setdefault(panel.collection, []).append(panel)
    return [_overview(name, own) for name, own in by_collection.items()]


def _overview(collection: str, panels: Sequence[Panel]) -> Table:
    systems = dict.fromkeys(system for panel in panels for system in panel.comparison.values)
    means = {system: [_mean(panel, system) for panel in panels] for system in systems}
    header = ["System", *(panel.topics or panel.key for panel in panels)]
    caption = f"{panels[0].measure} for {collection}"
    if len(panels) > 1:
        header.append("mean")
        caption += ", and the mean of its columns, which is not tested,"
        for values in means.values():
            known = [value for value in values if value is not None]
            values.append(sum(known) / len(known) if len(known) == len(panels) else None)
    counts = ", ".join(str(panel.n_queries) for panel in panels)
    caption += f" over {counts} queries."
    if len(systems) > 1:
        caption += (
            f" Marked + (-): better (worse) than {panels[0].baseline} with a Holm-adjusted p below "
            f"{ALPHA} in both tests, as in the tables below."
        )
    best = [max(_texts(column), default="") for column in zip(*means.values(), strict=True)]
    rows = []
    for system, values in means.items():
        marks = [_mark(panel, system) for panel in panels] + [""]
        cells = [Cell(system)]
        for value, mark, highest in zip(values, marks, best, strict=False):
            text = "" if value is None else format_value(value)
            cells.append(Cell(text, mark, len(systems) > 1 and text == highest != ""))
        rows.append(tuple(cells))
    return Table(caption, tuple(header), tuple(rows))


def _mean(panel: Panel, system: str) -> float | None:
    return panel.mean(system) if system in panel.comparison.values else None


def _texts(values: Sequence[float | None]) -> list[str]:
    return [format_value(value) for value in values if value is not None]


def _mark(panel: Panel, system: str) -> str:
    contrast = panel.contrast(system) if system in panel.comparison.values else None
    return mark_contrast(contrast) if contrast else ""


def interval_table(panel: Panel) -> Table:
    """Means on the first measure and their intervals, the best first."""
    rows = []
    for system in order_by_mean(panel):
        interval = panel.intervals[system]
        contrast = panel.contrast(system)
        difference = format_difference(contrast.difference) if contrast else ""
        texts = (system, format_value(panel.mean(system)), format_interval(interval), difference)
        rows.append(tuple(map(Cell, texts)))
    caption = (
        f"{panel.measure} of {title(panel)}: means over {panel.n_queries} queries and their "
        f"{LEVEL:.0%} percentile bootstrap intervals ({N_RESAMPLES:,} resamples of the queries, "
        f"seed {panel.comparison.seed}), and differences to {panel.baseline}. An interval is of "
        "one mean; whether two systems differ is for the paired tests to say."
    )
    return Table(caption, ("System", "Mean", "Interval", "Difference"), tuple(rows))


def format_interval(interval: Interval | None) -> str:
    """Write the ends of an interval; nothing for none."""
    return f"{format_value(interval.low)} to {format_value(interval.high)}" if interval else ""


def recall_table(panel: Panel) -> Table:
    """R@k by system and k."""
    cutoffs = list(next(iter(panel.recall.values())))
    rows = [
        (Cell(system), *(Cell(format_value(values[k])) for k in cutoffs))
        for system, values in panel.recall.items()
    ]
    header = ("System", *(f"R@{k}" for k in cutoffs))
    return Table(f"Recall of {title(panel)} at rank k.", header, tuple(rows))


def search_cost_table(runs: Sequence[RunFile]) -> Table:
    """Seconds that searches took, by system; of runs whose provenance has them."""
    rows = []
    for system in dict.fromkeys(run.system for run in runs):
        own = [run for run in runs if run.system == system]
        timed = [run for run in own if run.n_asked and _is_timed(run)]
        cells = [system, f"{len(timed)} of {len(own)}"]
        if timed:
            n_queries = sum(run.n_asked or 0 for run in timed)
            totals = [sum(float((run.origin or {})[c]) for run in timed) for c in _CLOCKS]
            cells += [str(n_queries), *(f"{total:,.1f}" for total in totals)]
            cells += [f"{1000 * total / n_queries:,.1f}" for total in totals]
        else:
            cells += [""] * 5
        rows.append(tuple(map(Cell, cells)))
    header = ("System", "Runs timed", "Queries", "Seconds", "CPU s", "ms a query", "CPU ms a query")
    caption = (
        "What searching cost, encoding the queries and loading the model included, on the machine "
        "that made each run. Runs without seconds in their provenance are not timed."
    )
    return Table(caption, header, tuple(rows))


def _is_timed(run: RunFile) -> bool:
    values = [(run.origin or {}).get(clock) for clock in _CLOCKS]
    return all(isinstance(value, int | float) for value in values)


def training_cost_table(logs: Mapping[str, Sequence[Mapping[str, Any]]]) -> Table:
    """Tell the steps and seconds that trainings took, by student."""
    rows = []
    for name, log in logs.items():
        last: Mapping[str, Any] = next((row for row in reversed(log) if "seconds" in row), {})
        clocks = [f"{last[clock]:,.1f}" if clock in last else "" for clock in _CLOCKS]
        rows.append(tuple(map(Cell, (name, str(max(row["step"] for row in log)), *clocks))))
    header = ("Student", "Steps", "Seconds", "CPU s")
    return Table("What training cost.", header, tuple(rows))


def verdict(panel: Panel) -> str:
    """Say in words what the tests find on the first measure; nothing for one system."""
    found: dict[str, list[str]] = {"+": [], "-": [], "": []}
    for system in panel.comparison.values:
        contrast = panel.contrast(system)
        if contrast:
            change = f"{system} ({format_difference(contrast.difference)})"
            found[mark_contrast(contrast)].append(change)
    words = {
        "+": f"significantly better than {panel.baseline}: ",
        "-": f"significantly worse than {panel.baseline}: ",
        "": "no significant difference: ",
    }
    if len(found[""]) > _MOST_NAMED:
        found[""] = [f"{len(found[''])} systems"]
    said = "; ".join(words[mark] + ", ".join(own) for mark, own in found.items() if own)
    return f"{said}." if said else ""
