"""Evaluation results as text, Markdown, LaTeX, JSON and TSV."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

from optical_ir.errors import ConfigError, DataError
from optical_ir.evaluation.comparison import Comparison, Contrast
from optical_ir.evaluation.significance import ALPHA
from optical_ir.evaluation.tables import (
    Cell,
    Table,
    format_difference,
    format_p_value,
    format_value,
    layout_latex,
    layout_markdown,
    layout_text,
)

if TYPE_CHECKING:
    import pandas as pd

_LAYOUTS: dict[str, Callable[[Table], str]] = {
    "text": layout_text,
    "markdown": layout_markdown,
    "latex": layout_latex,
}
FORMATS = (*_LAYOUTS, "json", "tsv")
"""What `render` can write."""
SIGNED_FORMATS = ("text", "markdown", "json")
"""Those that have room for signatures."""


def render(
    result: Comparison | Mapping[str, pd.DataFrame],
    *,
    format: str = "text",
    per_query: bool = False,
    signatures: Mapping[str, str] | None = None,
) -> str:
    """Lay out a result as a string that ends with a line feed.

    Parameters
    ----------
    result : Comparison or mapping of str to DataFrame
        What `compare` returns, or values as `evaluate` returns them by name of the system.
    format : {"text", "markdown", "latex", "json", "tsv"}
        The first three round to four decimals and show the means, then one row per contrast;
        LaTeX needs the package booktabs. JSON and TSV have full precision; TSV has one row per
        system and measure.
    per_query : bool
        Add the values of every query; JSON only.
    signatures : mapping of str to str, optional
        A line for each system that says what its run is; `SIGNED_FORMATS` only.

    Raises
    ------
    ConfigError
        If `format` is unknown, or `per_query` is asked of a format that has no room for it.
    DataError
        If `result` holds no system, or systems with different queries or measures.
    """
    if format not in FORMATS:
        raise ConfigError(f"Expected a format out of {', '.join(FORMATS)}, found {format!r}.")
    if per_query and format != "json":
        raise ConfigError(f"Per-query values need the format json, found {format!r}.")
    values = result.values if isinstance(result, Comparison) else result
    _check_values(values)
    if format == "json":
        return _json(result, values, per_query, signatures) + "\n"
    if format == "tsv":
        return _tsv(result, values)
    layout = _LAYOUTS[format]
    signed = [f"{name}: {line}" for name, line in (signatures or {}).items()]
    if signed and format == "markdown":
        signed = [f"    {line}" for line in signed]
    parts = [layout(table) for table in comparison_tables(result, values)]
    return "\n\n".join([*parts, *(["\n".join(signed)] if signed else [])]) + "\n"


def _check_values(values: Mapping[str, pd.DataFrame]) -> None:
    if not values:
        raise DataError("Expected at least one system to report, found none.")
    first_name, first = next(iter(values.items()))
    for name, frame in values.items():
        if not (frame.index.equals(first.index) and frame.columns.equals(first.columns)):
            raise DataError(
                f"{name!r} and {first_name!r} have different queries or measures. Evaluate both "
                "with the same qrels and measures."
            )


def comparison_tables(
    result: Comparison | Mapping[str, pd.DataFrame], values: Mapping[str, pd.DataFrame]
) -> list[Table]:
    """Lay out the means and, if there are any, the contrasts of the systems of `values`."""
    if isinstance(result, Comparison) and result.contrasts:
        return [_table_of_means(values, result), _table_of_contrasts(result)]
    return [_table_of_means(values, None)]


def _table_of_means(values: Mapping[str, pd.DataFrame], comparison: Comparison | None) -> Table:
    means = _means(values)
    first_name, first = next(iter(means.items()))
    marks, caption = {}, f"Means over {_count(len(values[first_name]), 'query')}."
    if comparison:
        marks = {(c.system, c.measure): mark_contrast(c) for c in comparison.contrasts}
        caption += (
            f" Marked + (-): better (worse) than {comparison.baseline} with a Holm-adjusted p "
            f"below {ALPHA} in both tests."
        )
    best = {
        measure: format_value(max(mean[measure] for mean in means.values())) for measure in first
    }
    rows = []
    for name, mean in means.items():
        cells = [Cell(name)]
        for measure, value in mean.items():
            is_best = len(means) > 1 and format_value(value) == best[measure]
            cells.append(Cell(format_value(value), marks.get((name, measure), ""), is_best))
        rows.append(tuple(cells))
    return Table(caption, ("System", *first), tuple(rows))


def _table_of_contrasts(comparison: Comparison) -> Table:
    n_queries = len(comparison.values[comparison.baseline])
    caption = (
        f"Differences to {comparison.baseline} over {_count(n_queries, 'query')}: two-sided "
        "paired Student's t test (t) and paired randomisation test (r, "
        f"{comparison.n_permutations} permutations, seed {comparison.seed}), each with Holm's "
        f"correction over the {_count(len(comparison.contrasts), 'comparison')} of this table. "
        "W/T/L: queries won, tied and lost."
    )
    p_names = ("p (t)", "p (t, Holm)", "p (r)", "p (r, Holm)")
    header = ("System", "Measure", "n", "Difference", *p_names, "W/T/L")
    rows = []
    for c in comparison.contrasts:
        p_values = (c.p_student, c.p_student_holm, c.p_randomisation, c.p_randomisation_holm)
        texts = [c.system, c.measure, str(n_queries), format_difference(c.difference)]
        texts += [*map(format_p_value, p_values), f"{c.wins}/{c.ties}/{c.losses}"]
        rows.append(tuple(map(Cell, texts)))
    return Table(caption, header, tuple(rows), n_labels=2)


def _means(values: Mapping[str, pd.DataFrame]) -> dict[str, dict[str, float]]:
    return {
        name: {str(measure): float(frame[measure].mean()) for measure in frame.columns}
        for name, frame in values.items()
    }


def mark_contrast(contrast: Contrast) -> str:
    """``+`` or ``-`` for a system that both tests find better or worse, else nothing."""
    if max(contrast.p_student_holm, contrast.p_randomisation_holm) >= ALPHA:
        return ""
    return "+" if contrast.difference > 0 else "-"


def _count(number: int, noun: str) -> str:
    plural = "queries" if noun == "query" else noun + "s"
    return f"{number} {noun if number == 1 else plural}"


def _json(
    result: Comparison | Mapping[str, pd.DataFrame],
    values: Mapping[str, pd.DataFrame],
    per_query: bool,
    signatures: Mapping[str, str] | None,
) -> str:
    first = next(iter(values.values()))
    report: dict[str, Any] = {
        "n_queries": len(first),
        "measures": list(first.columns),
        "means": _means(values),
    }
    if isinstance(result, Comparison):
        report |= {
            "baseline": result.baseline,
            "n_permutations": result.n_permutations,
            "seed": result.seed,
            "correction": "Holm",
            "family_size": len(result.contrasts),
            "contrasts": [asdict(contrast) for contrast in result.contrasts],
        }
    if per_query:
        report["per_query"] = {
            name: frame.to_dict(orient="index") for name, frame in values.items()
        }
    if signatures is not None:
        report["signatures"] = dict(signatures)
    return json.dumps(report, indent=2, ensure_ascii=False, allow_nan=False)


def _tsv(
    result: Comparison | Mapping[str, pd.DataFrame], values: Mapping[str, pd.DataFrame]
) -> str:
    """One row per system and measure; the baseline's contrast fields are empty."""
    more: list[str] = []
    contrasts = {}
    if isinstance(result, Comparison):
        more = [field.name for field in fields(Contrast)][2:]
        contrasts = {
            (c.system, c.measure): [repr(getattr(c, field)) for field in more]
            for c in result.contrasts
        }
    lines = [["system", "measure", "n_queries", "mean", *more]]
    for name, mean in _means(values).items():
        for measure, value in mean.items():
            more_cells = contrasts.get((name, measure), [""] * len(more))
            cells = [" ".join(name.split()), measure, str(len(values[name])), repr(value)]
            lines.append(cells + more_cells)
    return "".join("\t".join(line) + "\n" for line in lines)
