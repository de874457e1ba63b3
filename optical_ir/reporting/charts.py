"""Line charts as numbers: where lines, points and ticks stand, for SVG and for matplotlib."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

WIDTH, HEIGHT = 640, 340
LEFT, RIGHT, TOP, BOTTOM = 52, 14, 12, 44
"""Size of a chart and of its margins, in units of its view box."""

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F7F7F")
"""Okabe and Ito (2008), without yellow and black, which paper or the dark scheme swallows."""

DASHES = ("", "7 3", "2 3", "9 3 2 3")
MARKERS = ("circle", "square", "triangle", "diamond", "cross")
"""Lines differ in all three, so colour is never all that tells them apart."""


class Series(NamedTuple):
    """A line: its name, its points by x, and the number of its look, which a system keeps."""

    name: str
    points: Mapping[float, float]
    look: int


class Tick(NamedTuple):
    """A mark of an axis: place in the view box and label."""

    at: float
    label: str


class Point(NamedTuple):
    """A point in the view box, and what it says."""

    x: float
    y: float
    text: str


class Line(NamedTuple):
    """A drawn series; `values` are its points as they were given, `summary` says them."""

    name: str
    look: int
    path: str
    points: list[Point]
    values: Mapping[float, float]
    summary: str


class LineChart(NamedTuple):
    """A chart ready to be drawn."""

    x_label: str
    y_label: str
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    lines: list[Line]
    is_log: bool


def style_of(look: int) -> tuple[str, str, str]:
    """Colour, dashes and marker of a look: 140 different ones."""
    n = len(COLOURS)
    return (
        COLOURS[look % n],
        DASHES[(look // n) % len(DASHES)],
        MARKERS[look % len(MARKERS)],
    )


_LEAST_RANGE = 1e-12
"""Values nearer than this are drawn as equal."""


def nice_ticks(low: float, high: float, *, n: int = 5) -> list[float]:
    """Round numbers from at most `low` to at least `high`, about `n` of them."""
    if high - low < _LEAST_RANGE:
        high = low + 1.0
    raw = (high - low) / n
    size = 10.0 ** math.floor(math.log10(raw))
    step = size * next(factor for factor in (1, 2, 2.5, 5, 10) if factor * size >= raw * (1 - 1e-9))
    start, end = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    # As 0.3, not 0.30000000000000004.
    return [float(f"{index * step:.12g}") for index in range(start, end + 1)]


def make_line_chart(
    series: Sequence[Series], *, x_label: str, y_label: str, is_log: bool = False
) -> LineChart:
    """Place lines in the view box, y from 0 unless a value is below.

    Parameters
    ----------
    series : sequence of Series
        At least one, with at least one point each.
    is_log : bool
        Whether x, then at least 1, is logarithmic, with a tick at each x that has a point.
    """
    xs = sorted({x for line in series for x in line.points})
    ys = [y for line in series for y in line.points.values()]
    y_values = nice_ticks(min(0.0, *ys), max(ys))
    x_values = _spread(xs) if is_log else nice_ticks(xs[0], xs[-1])
    ends = (xs[0], xs[-1]) if is_log else (x_values[0], x_values[-1])

    def place_x(x: float) -> float:
        low, high, at = (*ends, x) if not is_log else (math.log(e) for e in (*ends, x))
        share = (at - low) / (high - low) if high > low else 0.5
        return round(LEFT + share * (WIDTH - LEFT - RIGHT), 1)

    def place_y(y: float) -> float:
        share = (y - y_values[0]) / (y_values[-1] - y_values[0])
        return round(HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM), 1)

    lines = []
    for name, values, look in series:
        points = [
            Point(place_x(x), place_y(y), f"{name}: {y:.4g} at {x:g}")
            for x, y in sorted(values.items())
        ]
        path = "M" + " L".join(f"{point.x:g} {point.y:g}" for point in points)
        summary = ", ".join(f"{x:g}: {y:.3g}" for x, y in sorted(values.items()))
        lines.append(Line(name, look, path, points, values, f"{name}. {summary}"))
    return LineChart(
        *(x_label, y_label),
        [Tick(place_x(x), f"{x:g}") for x in x_values],
        [Tick(place_y(y), f"{y:g}") for y in y_values],
        lines,
        is_log,
    )


def _spread(xs: Sequence[float]) -> list[float]:
    """Points whose labels do not run into each other on a logarithmic axis."""
    kept: list[float] = []
    span = math.log(xs[-1] / xs[0]) or 1.0
    for x in xs:
        if not kept or math.log(x / kept[-1]) / span > 0.05:
            kept.append(x)
    if kept[-1] != xs[-1]:
        kept[-1] = xs[-1]
    return kept
