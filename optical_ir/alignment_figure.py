"""Picture of a transport plan between two sentences."""

from pathlib import Path
from typing import Any

from optical_ir.alignment import Alignment
from optical_ir.errors import ConfigError
from optical_ir.files import check_output
from optical_ir.fonts import prepare_labels

FORMATS = (".png", ".svg")
"""Suffixes of the files that can be written."""

_CELL = 0.34
"""Inches a token takes."""

_CHARACTER = 0.09
"""Inches a character of a label takes."""

_MOST_NUMBERED = 40 * 40
"""Cells up to which numbers are written into them."""

_LEAST_NUMBER = 0.05
"""Smaller shares stay without a number."""


def check_figure_output(path: Path, *, overwrite: bool = False) -> None:
    """Refuse a file that `draw_alignment` could not write, before anything is computed.

    Raises
    ------
    ConfigError
        If the suffix is none of `FORMATS`, or see `optical_ir.files.check_output`.
    """
    if path.suffix.lower() not in FORMATS:
        raise ConfigError(
            f"{path}: expected a file that ends in {' or '.join(FORMATS)}, found "
            f"{path.suffix or 'no suffix'!r}. Choose another name."
        )
    check_output(path, overwrite=overwrite)


def draw_alignment(alignment: Alignment, path: Path, *, overwrite: bool = False) -> None:
    """Draw a heat map, foreign tokens down and English ones across, into a PNG or SVG file.

    The darker, the more of the foreign token's mass; one blue from light to dark, which print and
    colour-blind readers tell apart, with the shares in per cent written into small pictures. Text
    stays text in an SVG. See `optical_ir.fonts` for scripts.

    Raises
    ------
    ConfigError
        See `check_figure_output`.
    """
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    check_figure_output(path, overwrite=overwrite)
    figure = Figure(layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    image = axes.pcolormesh(
        alignment.shares, cmap="Blues", vmin=0.0, edgecolors="0.85", linewidth=0.5
    )
    figure.set_size_inches(_label(axes, alignment))
    if alignment.plan.size <= _MOST_NUMBERED:
        _write_numbers(axes, alignment, dark=0.6 * float(alignment.shares.max()))
    bar = figure.colorbar(image, ax=axes, fraction=0.05, pad=0.02, aspect=25)
    bar.set_label("share of the row's mass", fontsize="small")
    bar.ax.tick_params(labelsize="small")
    axes.set_xlabel(f"transport cost {alignment.transport_cost:.4f}", fontsize="small")
    part = path.with_name(path.name + ".tmp")
    kind = path.suffix.lower().removeprefix(".")
    try:
        # The same plan gives the same bytes: no date, no random ids.
        with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "optical-ir"}):
            metadata = {"Date": None} if kind == "svg" else None
            figure.savefig(part, format=kind, dpi=200, bbox_inches="tight", metadata=metadata)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _label(axes: Any, alignment: Alignment) -> tuple[float, float]:
    """Write the tokens along the axes; give the width and height in inches that this needs."""
    rows, columns = alignment.plan.shape
    tokens = [token.text for token in (*alignment.source, *alignment.target)]
    texts, families = prepare_labels(tokens)
    # A dollar sign is one, not the start of a formula.
    style = {"fontfamily": families, "parse_math": False, "fontsize": "small"}
    axes.set_yticks([row + 0.5 for row in range(rows)], texts[:rows], **style)
    axes.set_xticks(
        [column + 0.5 for column in range(columns)],
        texts[rows:],
        rotation=60,
        ha="left",
        rotation_mode="anchor",
        **style,
    )
    axes.tick_params(top=True, labeltop=True, bottom=False, labelbottom=False)
    axes.invert_yaxis()
    axes.set_aspect("equal")
    beside, above = (_CHARACTER * max(map(len, side)) for side in (texts[:rows], texts[rows:]))
    return 1.6 + beside + _CELL * columns, 0.8 + above + _CELL * rows


def _write_numbers(axes: Any, alignment: Alignment, *, dark: float) -> None:
    for row, shares in enumerate(alignment.shares):
        for column, share in enumerate(shares):
            if share >= _LEAST_NUMBER:
                axes.text(
                    *(column + 0.5, row + 0.5, f"{100 * share:.0f}"),
                    ha="center",
                    va="center",
                    fontsize="x-small",
                    color="white" if share > dark else "black",
                )
