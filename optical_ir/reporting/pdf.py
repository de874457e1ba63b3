"""The PDF of a report: what the page shows, for paper."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from optical_ir.evaluation.report import comparison_tables
from optical_ir.evaluation.tables import Cell, Table, format_value
from optical_ir.reporting import charts
from optical_ir.reporting.changes import SystemChanges
from optical_ir.reporting.charts import LineChart
from optical_ir.reporting.content import Content, headline, lead
from optical_ir.reporting.inputs import RunFile
from optical_ir.reporting.panels import Panel, order_by_mean
from optical_ir.reporting.sheets import (
    PAGE_BREAK,
    Block,
    Drawing,
    Row,
    Text,
    heading,
    lay_out,
    note,
)
from optical_ir.reporting.tables import interval_table, title, verdict

_GAIN, _LOSS = charts.COLOURS[:2]
_MARKERS = {"circle": "o", "square": "s", "triangle": "^", "diamond": "D", "cross": "P"}
_N_LISTED = 2
_CHARACTER = 0.075
"""Inches a character of an axis' label takes."""

Write = Callable[[str], str]


def render_pdf(content: Content) -> bytes:
    """Render the PDF; the same content gives the same bytes."""
    return lay_out(list(_blocks(content)))


def _blocks(content: Content) -> Iterator[Block]:
    yield heading(headline(content), 1)
    yield Text(lead(content), 10.0, space=0.12)
    yield Text("", space=0.1)
    for panel in content.panels:
        said = verdict(panel)
        if said:
            yield Text(f"{title(panel)}: {said}")
    yield Text("", space=0.1)
    yield from content.overviews
    for number, panel in enumerate(content.panels):
        yield PAGE_BREAK
        yield from _panel_blocks(content, panel, number)
    if content.curves:
        yield PAGE_BREAK
        yield heading("Training", 2)
        yield from _pair([_line_drawing(chart) for chart in content.curves])
    yield PAGE_BREAK
    yield heading("Costs", 2)
    yield from content.costs
    yield heading("Provenance", 2)
    yield _provenance_table(content.runs)


def _panel_blocks(content: Content, panel: Panel, number: int) -> Iterator[Block]:
    yield heading(title(panel), 2)
    for text in panel.notes:
        yield note(text)
    yield heading(f"{panel.measure} with confidence intervals", 3)
    systems = order_by_mean(panel)
    height = 0.75 + 0.24 * len(systems)
    yield Drawing(min(height, 9.0), partial(_draw_forest, panel), tuple(systems))
    yield note(interval_table(panel).caption)
    yield heading("All measures and their tests", 3)
    yield from comparison_tables(panel.comparison, panel.comparison.values)
    changes = content.changes[number]
    if changes:
        yield heading(f"{panel.measure} query by query against {panel.baseline}", 3, keep=1.9)
        yield from _pair(
            [Drawing(1.7, partial(_draw_changes, own), (own.system,)) for own in changes]
        )
        yield from _listed_blocks(content, panel, changes)
    yield heading("Recall by depth", 3, keep=3.4)
    yield _line_drawing(content.recall[number], height=3.2)


def _pair(drawings: Sequence[Drawing]) -> Iterator[Row]:
    """Set drawings two a row; the last one of an odd number has half a row too."""
    for start in range(0, len(drawings), 2):
        yield Row(tuple(drawings[start : start + 2]))


def _listed_blocks(
    content: Content, panel: Panel, changes: Sequence[SystemChanges]
) -> Iterator[Block]:
    if not content.texts[panel.key].queries:
        return
    yield heading("Most gained and most lost", 3)
    for own in changes:
        for change in own.most_changed(_N_LISTED):
            yield Text(f"{own.system} {change.difference} {change.query_id}", 7.5, is_bold=True)
            yield Text(change.query, 9.0, space=0.0)
            if change.translation:
                yield note(f"= {change.translation}")


def _provenance_table(runs: Sequence[RunFile]) -> Table:
    rows = []
    for run in runs:
        origin = run.origin or {}
        told = [str(origin.get(name) or "") for name in ("created", "commit")]
        seed = origin.get("seed")
        texts = [run.key, run.system, told[0][:10], "" if seed is None else str(seed)]
        rows.append(tuple(map(Cell, [*texts, told[1], run.sha256[:16]])))
    header = ("Key", "System", "Created", "Seed", "Commit", "SHA-256 of the run, start")
    caption = "The page beside this file has commands, versions and settings too."
    return Table(caption, header, tuple(rows), n_labels=6)


def _draw_forest(panel: Panel, part: Any, write: Write) -> None:
    systems = order_by_mean(panel)[::-1]
    axes = part.make(left=min(2.6, 0.2 + _CHARACTER * max(map(len, systems))), right=0.65)
    means = [panel.mean(system) for system in systems]
    places = range(len(systems))
    shades = ["#9ccbe8" if system == panel.baseline else "#d5e8f4" for system in systems]
    axes.barh(places, means, color=shades, height=0.55)
    for place, system in enumerate(systems):
        interval = panel.intervals[system]
        if interval:
            axes.plot(interval, (place, place), color=_GAIN, linewidth=1.2, marker="|")
    axes.plot(means, places, "o", color=_GAIN, markersize=3.5)
    axes.axvline(panel.mean(panel.baseline), color="0.4", linestyle="--", linewidth=0.8)
    axes.set_yticks(list(places), [write(system) for system in systems], parse_math=False)
    axes.set_ylim(-0.6, len(systems) - 0.4)
    for place, mean in zip(places, means, strict=True):
        axes.annotate(
            *(format_value(mean), (1.01, place)),
            xycoords=("axes fraction", "data"),
            size=6.5,
            va="center",
            ha="left",
        )
    _finish(axes)
    axes.set_xlabel(panel.measure, size=7.5, parse_math=False)


def _draw_changes(own: SystemChanges, part: Any, write: Write) -> None:
    axes = part.make(left=0.45, bottom=0.2, top=0.4)
    signed = [change.share if change.is_gain else -change.share for change in own.changes]
    values = [own.largest * share / 100 for share in signed]
    colours = [_GAIN if value > 0 else _LOSS for value in values]
    axes.bar(range(len(values)), values, width=0.9, color=colours)
    axes.axhline(0, color="0.4", linewidth=0.6)
    end = 1.05 * (own.largest or 1.0)
    axes.set_ylim(-end, end)
    axes.set_xticks([])
    counts = f"{own.wins} gained, {own.losses} lost, {own.ties} the same"
    axes.set_title(f"{write(own.system)}: {counts}", size=7.5, loc="left", parse_math=False)
    _finish(axes)


def _line_drawing(chart: LineChart, *, height: float = 2.6) -> Drawing:
    names = (chart.y_label, *(line.name for line in chart.lines))
    return Drawing(
        height + 0.12 * ((len(chart.lines) + 2) // 3), partial(_draw_lines, chart), names
    )


def _draw_lines(chart: LineChart, part: Any, write: Write) -> None:
    n_rows = (len(chart.lines) + 2) // 3
    axes = part.make(left=0.5, bottom=0.5 + 0.13 * n_rows)
    for line in chart.lines:
        colour, dashes, marker = charts.style_of(line.look)
        axes.plot(
            list(line.values),
            list(line.values.values()),
            color=colour,
            linestyle=(0, tuple(map(float, dashes.split()))) if dashes else "-",
            marker=_MARKERS[marker],
            markersize=3,
            linewidth=1.2,
            # Labels that start with an underscore would be left out.
            label=f" {write(line.name)}",
        )
    if chart.is_log:
        ticks = [float(tick.label) for tick in chart.x_ticks]
        axes.set_xscale("log")
        axes.set_xticks(ticks, [tick.label for tick in chart.x_ticks])
        axes.minorticks_off()
    axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]))
    axes.set_xlabel(chart.x_label, size=7.5)
    axes.set_title(write(chart.y_label), size=7.5, loc="left", parse_math=False)
    _finish(axes)
    legend = axes.legend(
        loc="upper left", bbox_to_anchor=(0, -0.2), ncols=3, fontsize=6.5, frameon=False
    )
    for text in legend.get_texts():
        text.set_parse_math(False)


def _finish(axes: Any) -> None:
    axes.tick_params(labelsize=7, length=2)
    axes.grid(alpha=0.25, linewidth=0.5)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
