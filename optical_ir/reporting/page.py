"""The page: one HTML file with its style and drawings in it, without a script or a link out."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from optical_ir import __version__
from optical_ir.evaluation.report import comparison_tables, mark_contrast
from optical_ir.evaluation.tables import (
    format_difference,
    format_value,
    full_caption,
)
from optical_ir.reporting import charts
from optical_ir.reporting.content import Content, headline, lead
from optical_ir.reporting.inputs import RunFile
from optical_ir.reporting.panels import Panel, order_by_mean
from optical_ir.reporting.printable import printable
from optical_ir.reporting.tables import (
    format_interval,
    interval_table,
    recall_table,
    title,
    verdict,
)

_N_LISTED = 5
"""Most gained and most lost queries that are listed without being pointed at."""

_HASH = 12
"""Characters shown of a hash outside the full provenance."""


def render_page(content: Content) -> str:
    """Render the page; the same content gives the same text.

    What documents, queries, names and provenance say stays text: all of it is escaped, and
    characters that HTML does not allow are replaced.
    """
    environment = Environment(
        loader=PackageLoader("optical_ir.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.j2").render(
        n_listed=_N_LISTED,
        version=__version__,
        title=headline(content),
        lead=lead(content),
        baseline=content.panels[0].baseline,
        full_caption=full_caption,
        overviews=content.overviews,
        panels=[_panel(content, number) for number in range(len(content.panels))],
        curves=content.curves,
        costs=content.costs,
        runs=[_origin(run) for run in content.runs],
        styles=[_style(look) for look in range(content.n_looks)],
        colours=charts.COLOURS,
        n_colours=len(charts.COLOURS),
        width=charts.WIDTH,
        height=charts.HEIGHT,
        left=charts.LEFT,
        right=charts.RIGHT,
        bottom=charts.BOTTOM,
    )


def _origin_facts(run: RunFile) -> list[tuple[str, str]]:
    """Pairs of label and value that tell where a run comes from."""
    facts = [("File", run.path.name), ("SHA-256", run.sha256)]
    if run.origin is None:
        return [*facts, ("Origin", "no provenance beside the run")]
    origin = run.origin
    versions = origin.get("versions")
    named = {
        "Command": origin.get("command"),
        "Created": origin.get("created"),
        "Seed": origin.get("seed"),
        "Commit": origin.get("commit"),
        "Versions": ", ".join(f"{name} {value}" for name, value in versions.items())
        if isinstance(versions, Mapping)
        else versions,
        "Judgements": origin.get("qrels_sha256"),
    }
    return [*facts, *((label, str(value)) for label, value in named.items() if value is not None)]


def _finalize(value: Any) -> Any:
    """Replace what no HTML may hold; Markup, which is made here, stays."""
    if isinstance(value, str) and not isinstance(value, Markup):
        return printable(value)
    return value


def _style(look: int) -> dict[str, str]:
    _, dashes, marker = charts.style_of(look)
    return {"dashes": dashes, "marker": marker}


def _panel(content: Content, number: int) -> dict[str, Any]:
    panel = content.panels[number]
    ends = [panel.mean(system) for system in panel.comparison.values]
    ends += [interval.high for interval in panel.intervals.values() if interval]
    ticks = charts.nice_ticks(min(0.0, *ends), max(ends))
    scale = partial(_scale, ticks)
    return {
        **{name: getattr(panel, name) for name in ("notes", "n_queries", "baseline", "measure")},
        "title": title(panel),
        "verdict": verdict(panel),
        "ticks": [{"at": scale(tick), "label": f"{tick:g}"} for tick in ticks],
        "rows": [_row(panel, system, scale) for system in order_by_mean(panel)],
        "base_at": scale(panel.mean(panel.baseline)),
        "intervals": interval_table(panel),
        "tables": comparison_tables(panel.comparison, panel.comparison.values),
        "changes": content.changes[number],
        "missing": content.texts[panel.key].missing,
        "recall": content.recall[number],
        "recall_table": recall_table(panel),
    }


def _scale(ticks: Sequence[float], value: float) -> float:
    """Per cent of the way from the first tick to the last."""
    return round(100 * (value - ticks[0]) / (ticks[-1] - ticks[0]), 2)


def _row(panel: Panel, system: str, scale: Callable[[float], float]) -> dict[str, Any]:
    interval, contrast = panel.intervals[system], panel.contrast(system)
    value = format_value(panel.mean(system))
    label = f"{system}: {panel.measure} {value}"
    if interval:
        label += f", interval {format_interval(interval)}"
    if contrast:
        label += f", {format_difference(contrast.difference)} to {panel.baseline}"
    return {
        "system": system,
        "value": value,
        "label": label,
        "mark": mark_contrast(contrast) if contrast else "",
        "at": scale(panel.mean(system)),
        "interval": interval,
        "low": scale(interval.low) if interval else None,
        "high": scale(interval.high) if interval else None,
    }


def _origin(run: RunFile) -> dict[str, Any]:
    origin = run.origin or {}
    parts = [str(origin.get("created", "no provenance"))[:10] if origin else "no provenance"]
    if origin.get("seed") is not None:
        parts.append(f"seed {origin['seed']}")
    if origin.get("commit"):
        parts.append(f"commit {origin['commit']}")
    parts.append(f"SHA-256 {run.sha256[:_HASH]}")
    return {
        "key": run.key,
        "system": run.system,
        "summary": " · ".join(parts),
        "facts": _origin_facts(run),
        "json": json.dumps(run.origin, indent=2, ensure_ascii=False) if run.origin else "",
    }
