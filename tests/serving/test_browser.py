"""The page in a real browser: typed, submitted by keyboard, read; wide, narrow and without JS."""

import pytest

pytestmark = pytest.mark.browser

QUERY = "mbwa nyekundu ona the dogs?"
ARABIC = "\u0643\u0644\u0628 \u0623\u062d\u0645\u0631 paka"


def find(window, selector):
    return window.find_elements("css selector", selector)


def wait_for(window, claim):
    from selenium.webdriver.support.ui import WebDriverWait

    return WebDriverWait(window, 30).until(lambda _: claim())


def focused(window):
    return window.switch_to.active_element


def test_asked_by_keyboard_and_read(live, browse):
    from selenium.webdriver.common.keys import Keys

    window = browse()
    window.get(live)
    window.execute_script("window.isSamePage = true")
    stops = []
    for _ in range(5):
        window.switch_to.active_element.send_keys(Keys.TAB)
        stops.append(focused(window).get_attribute("id") or focused(window).text)
    assert stops == ["Skip to the results", "optical-ir", "q", "lang", "Search"]
    focused(window).send_keys(Keys.SHIFT, Keys.TAB)
    focused(window).send_keys("Swahili")
    find(window, "#q")[0].send_keys(QUERY, Keys.ENTER)
    wait_for(window, lambda: find(window, ".student li"))
    assert window.execute_script("return window.isSamePage"), "the script spares a reload"
    assert "q=mbwa" in window.current_url
    assert focused(window).get_attribute("id") == "q", "focus stays where it was"
    status = find(window, "#status")[0]
    assert (status.get_attribute("aria-live"), QUERY in status.text) == ("polite", True)
    check_marks(window, live)
    assert [one for one in window.get_log("browser") if one["level"] == "SEVERE"] == []
    window.back()
    wait_for(window, lambda: not find(window, ".student li"))


def check_marks(window, live):
    """Compare what is marked, and can be seen, with what /explain says."""
    reply = window.execute_async_script(
        """const [asked, done] = arguments;
        fetch("/explain", {method: "POST", body: JSON.stringify(asked),
          headers: {"Content-Type": "application/json"}}).then(a => a.json()).then(done);""",
        {"query": QUERY, "lang": "sw", "k": 1},
    )
    places = {(*m["doc_place"], m["doc_word"]) for m in reply["hits"][0]["matches"]}
    first = find(window, ".student li .passage")[0]
    marks = first.find_elements("css selector", "mark")
    assert [mark.text for mark in marks] == [word for *_, word in sorted(places)]
    plain = first.value_of_css_property("background-color")
    assert all(mark.value_of_css_property("background-color") != plain for mark in marks)
    summary = find(window, ".student summary")[0]
    summary.send_keys(" ")
    rows = find(window, ".student details[open] tbody tr")
    assert [row.find_element("css selector", "th").text for row in rows] == [
        *("mbwa", "nyekundu", "ona", "the", "dogs")
    ]


def test_markup_in_passages_is_shown_as_text(live, browse):
    window = browse()
    window.get(f"{live}/?q=cat&lang=sw")
    texts = [passage.text for passage in find(window, ".student .passage")]
    assert "<script>alert('cat')</script> & the \"dog\"" in texts
    assert [one for one in window.get_log("browser") if one["level"] == "SEVERE"] == []


@pytest.mark.parametrize("width", [320, 390, 1280])
def test_no_width_scrolls_sideways(live, browse, width):
    window = browse(width=width)
    window.get(f"{live}/?q={'paka' * 20}%20{ARABIC}&lang=ar")
    for details in find(window, "details"):
        window.execute_script("arguments[0].open = true", details)
    shown = window.execute_script("return [document.documentElement.scrollWidth, innerWidth]")
    assert shown[0] <= shown[1] == width
    columns = {round(column.rect["x"]) for column in find(window, ".column")}
    assert len(columns) == (3 if width > 1000 else 1)
    small = [
        one.text
        for one in find(window, "button, select, input, .jump a, summary")
        if one.is_displayed() and one.rect["height"] < 24
    ]
    assert small == [], "smaller than WCAG 2.2 allows to touch"


def test_arabic_runs_from_the_right_and_english_from_the_left(live, browse):
    window = browse()
    window.get(f"{live}/?q={ARABIC}&lang=ar")
    direction = "return getComputedStyle(arguments[0]).direction"
    assert window.execute_script(direction, find(window, "#q")[0]) == "rtl"
    assert window.execute_script(direction, find(window, ".student .passage")[0]) == "ltr"


def test_it_works_without_scripts(live, browse):
    from selenium.webdriver.common.keys import Keys

    window = browse(scripts=False)
    window.get(live)
    find(window, "#q")[0].send_keys(QUERY, Keys.ENTER)
    wait_for(window, lambda: find(window, ".student li"))
    assert find(window, "#q")[0].get_attribute("value") == QUERY
    assert QUERY in window.title


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out(live, browse, scheme):
    window = browse()
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    window.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    window.get(f"{live}/?q={QUERY}&lang=sw")
    wanted = "h1, h1 em, label, .note, .id, .why, mark, .passage, .message, .status, button, a"
    shown = [one for one in find(window, wanted) if one.is_displayed()]
    assert len(shown) > 20
    for one in shown:
        front, back = window.execute_script(_COLOURS, one)
        assert contrast(front, back) >= 4.5, (one.tag_name, one.text, front, back)


_COLOURS = """
let seen = arguments[0], back = "";
const clear = "rgba(0, 0, 0, 0)";
while (seen && (back = getComputedStyle(seen).backgroundColor) === clear) seen = seen.parentElement;
return [getComputedStyle(arguments[0]).color, back];
"""


def contrast(front: str, back: str) -> float:
    """Contrast of two colours, WCAG 2.2."""
    light, dark = sorted((luminance(front), luminance(back)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    parts = [float(part) / 255 for part in colour.partition("(")[2].rstrip(")").split(",")[:3]]
    line = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return sum(weight * p for weight, p in zip((0.2126, 0.7152, 0.0722), line, strict=True))
