"""Places of lines and ticks."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from optical_ir.reporting import charts
from optical_ir.reporting.charts import Series, make_line_chart, nice_ticks

FINITE = st.floats(-1e6, 1e6)


@given(low=FINITE, size=st.floats(1e-3, 1e6))
def test_ticks_enclose_the_values_in_equal_steps(low, size):
    high = low + size
    ticks = nice_ticks(low, high)
    steps = [b - a for a, b in pairwise(ticks)]
    assert ticks[0] <= low + 1e-6 * size and ticks[-1] >= high - 1e-6 * size
    assert 2 <= len(ticks) <= 9 and max(steps) - min(steps) < 1e-6 * max(steps) + 1e-9


@given(points=st.dictionaries(st.floats(1, 1e4), FINITE, min_size=1, max_size=8), log=st.booleans())
def test_every_point_is_inside_the_axes(points, log):
    chart = make_line_chart([Series("a", points, 0)], x_label="x", y_label="y", is_log=log)
    for point in chart.lines[0].points:
        assert charts.LEFT <= point.x <= charts.WIDTH - charts.RIGHT
        assert charts.TOP <= point.y <= charts.HEIGHT - charts.BOTTOM


def test_a_higher_value_is_drawn_higher_and_a_later_one_further_right():
    chart = make_line_chart([Series("a", {1: 0.1, 10: 0.9}, 0)], x_label="x", y_label="y")
    first, second = chart.lines[0].points
    assert first.x < second.x and first.y > second.y


def test_lines_differ_without_their_colour_too():
    looks = [charts.style_of(look) for look in range(140)]
    assert len(set(looks)) == 140
    assert len({look[1:] for look in looks[:5]}) == 5
