"""Pictures of an experiment's results."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from optical_ir.matrix import Matrix

_MARKERS = "osD^vP*X<>dph8"


def draw_matrices(matrices: Sequence[Matrix], path: Path) -> None:
    """Draw the first measure of each system by topics into a PNG file, a panel a collection.

    Systems differ in colour and in marker, so the picture can be read without colours.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = sum(len(matrix.columns) + 1 for matrix in matrices)
    figure = Figure(figsize=(max(6.0, 0.7 * columns), 5), layout="constrained")
    FigureCanvasAgg(figure)
    widths = [len(matrix.columns) + 1 for matrix in matrices]
    panels = figure.subplots(
        1, len(matrices), sharey=True, squeeze=False, gridspec_kw={"width_ratios": widths}
    )[0]
    systems = list(dict.fromkeys(system for matrix in matrices for system in matrix.systems))
    lines = {}
    for axes, matrix in zip(panels, matrices, strict=True):
        for number, system in enumerate(systems):
            if system in matrix.systems:
                values = [matrix.mean(system, c, matrix.measures[0]) for c in matrix.columns]
                style = _MARKERS[number % len(_MARKERS)]
                (lines[system],) = axes.plot(
                    matrix.columns,
                    [float("nan") if value is None else value for value in values],
                    style,
                    color=f"C{number % 10}",
                    markersize=7,
                    alpha=0.8,
                )
        axes.set_title(matrix.collection, fontsize="medium")
        axes.tick_params(axis="x", rotation=60)
        axes.grid(alpha=0.3)
    panels[0].set_ylabel(matrices[0].measures[0])
    figure.legend(
        lines.values(), lines.keys(), loc="outside right upper", fontsize="small", frameon=False
    )
    figure.savefig(path, dpi=120, format="png")


def draw_sizes(
    matrices: Sequence[Matrix], sizes: Mapping[str, int], path: Path, *, untrained: str
) -> None:
    """Draw the first measure over bitext size into a PNG file, a line a column.

    Parameters
    ----------
    sizes : mapping of str to int
        Pairs a bitext file was cut to, by system.
    untrained : str
        The system without bitext, whose value is a level, dashed in the colour of its column.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    ordered = sorted(sizes, key=lambda system: sizes[system])
    lines = [(matrix, column) for matrix in matrices for column in matrix.columns]
    for number, (matrix, column) in enumerate(lines):
        values = [matrix.mean(system, column, matrix.measures[0]) for system in ordered]
        (line,) = axes.plot(
            [sizes[system] for system in ordered],
            [float("nan") if value is None else value for value in values],
            marker=_MARKERS[number % len(_MARKERS)],
            label=f"{matrix.collection} {column}",
        )
        level = matrix.mean(untrained, column, matrix.measures[0])
        if level is not None:
            label = f"{untrained}, {column}"
            axes.axhline(level, color=line.get_color(), linestyle="dashed", label=label)
    axes.set_xscale("log")
    axes.set_xlabel("sentence pairs of each bitext file, at most")
    axes.set_ylabel(matrices[0].measures[0])
    axes.grid(alpha=0.3)
    figure.legend(loc="outside right upper", fontsize="small", frameon=False)
    figure.savefig(path, dpi=120, format="png")
