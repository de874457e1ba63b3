"""The report in a real browser: bars are read by pointing, by keyboard and by touch."""

import pytest

from optical_ir.reporting import ReportInputs, write_report
from tests.reporting.conftest import QUERIES

pytestmark = pytest.mark.browser


@pytest.fixture
def page(output) -> str:
    """Write a report on the small experiment; gives its address."""
    toy = output.parent / "toy"
    write_report(
        ReportInputs(
            runs=[output],
            baseline="zero-shot",
            measures=("nDCG@10",),
            collections=[str(toy)],
            translations=[str(toy / "topics.en.tsv")],
            n_permutations=200,
        ),
        output.parent / "report.html",
    )
    return (output.parent / "report.html").as_uri()


def find(window, selector):
    return window.find_elements("css selector", selector)


def bring(window, element):
    """Scroll at once to an element; what drives the browser does not wait for smooth scrolling."""
    window.execute_script("arguments[0].scrollIntoView({behavior: 'instant'})", element)
    return element


def shown_cards(window):
    return [card for card in find(window, "details[open] .card") if card.is_displayed()]


def check_card(card):
    """Query, translation, and the first documents of both systems."""
    text = card.text
    query_id = card.find_element("css selector", ".head code").text
    assert any(f"{query} {query_id}" in text for query in QUERIES.values())
    assert f"English of {query_id}" in text
    systems = [one.text for one in card.find_elements("css selector", ".answer .who")]
    assert len(systems) == 2
    assert systems[1] == "zero-shot"
    assert text.count("Words of ") >= 2


def test_pointing_at_a_bar_shows_its_query_and_both_answers(page, browse):
    from selenium.webdriver.common.action_chains import ActionChains

    window = browse()
    window.get(page)
    bars = find(window, "details[open] .bar")
    assert shown_cards(window) == []
    seen = set()
    for bar in bars[:2]:
        ActionChains(window).move_to_element(bring(window, bar)).perform()
        (card,) = shown_cards(window)
        check_card(card)
        seen.add(card.text)
    assert len(seen) == 2, "each bar shows its own query"
    ActionChains(window).move_to_element(bring(window, find(window, "h1")[0])).perform()
    assert shown_cards(window) == []
    assert [one for one in window.get_log("browser") if one["level"] == "SEVERE"] == []


def test_bars_are_read_by_keyboard(page, browse):
    from selenium.webdriver.common.keys import Keys

    window = browse()
    window.get(page)
    radio = bring(window, find(window, "details[open] .bar input")[0])
    radio.send_keys(Keys.SPACE)
    (first,) = shown_cards(window)
    text = first.text
    check_card(first)
    radio.send_keys(Keys.ARROW_RIGHT)
    (second,) = shown_cards(window)
    assert second.text != text


@pytest.mark.parametrize("width", [360, 1280])
def test_no_width_scrolls_sideways_and_a_tap_shows_a_card(page, browse, width):
    window = browse(width=width)
    window.get(page)
    bring(window, find(window, "details[open] .bar")[0]).click()
    (card,) = shown_cards(window)
    check_card(card)
    needed, given = (
        window.execute_script(f"return document.documentElement.{name}")
        for name in ("scrollWidth", "clientWidth")
    )
    assert needed <= given
