"""The page: what it marks is what matched, and every text in it is only text."""

import html
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optical_ir.serving.page import (
    Column,
    Piece,
    ShownPassage,
    compare,
    cut_text,
    mark_words,
    render_page,
    render_problem,
)
from tests.serving.test_app import HOSTILE, QUERY

ATTACK = "<img src=x onerror=alert(1)>\"'`--></title><script>"


class Seen(HTMLParser):
    """Elements, attributes and text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags, self.attributes, self.text, self.marked = [], [], "", []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        """Note a tag and its attributes."""
        self.tags.append(tag)
        self.attributes += [(tag, *pair) for pair in attrs]

    def handle_data(self, data):
        """Note a text."""
        self.text += data
        if self.tags[-1:] == ["mark"]:
            self.marked.append(data)

    def handle_endtag(self, tag):
        """Note an end."""
        self.tags.append("/" + tag)

    def values(self, name):
        """List the values of an attribute."""
        return [value for _, key, value in self.attributes if key == name]


def render(query="", columns=(), examples=None):
    return render_page(
        ["ar", "sw"], query=query, lang="sw", columns=columns, examples=examples or {}, max_chars=99
    )


def test_marked_words_are_those_that_explain_gives(client):
    page = Seen(client.get("/", params={"q": QUERY, "lang": "sw"}).text)
    asked = {"query": QUERY, "lang": "sw", "k": 5}
    expected = []
    for system in ("student", "zero-shot"):
        for hit in client.post("/explain", json={**asked, "system": system}).json()["hits"]:
            places = {(*m["doc_place"], m["doc_word"]) for m in hit["matches"]}
            expected += [word for *_, word in sorted(places)]
    legend, marked = page.marked[:3], page.marked[3:]
    assert legend == ["close", "closer", "closest"]
    assert marked == expected
    assert "this service has no BM25 index" in page.text.lower().replace("bm25", "BM25")


@given(text=st.text(max_size=40), data=st.data())
def test_cut_texts_join_to_the_text(text, data):
    bounds = sorted(data.draw(st.sets(st.integers(0, len(text)), max_size=6)))
    spans = dict.fromkeys(zip(bounds[::2], bounds[1::2], strict=False), 2)
    pieces = cut_text(text, spans)
    assert "".join(piece.text for piece in pieces) == text
    assert [piece.text for piece in pieces if piece.level] == [
        text[start:end] for start, end in sorted(spans)
    ]


def test_the_best_third_of_the_matches_has_the_strongest_mark(systems):
    explained = systems.explain("student", QUERY, "sw", ["d1", "d2", "d3"])
    best = {}
    for one in explained:
        for match in one.matches:
            key = one.doc_id, match.doc_place
            best[key] = max(match.similarity, best.get(key, -1))
    levels = {
        (doc_id, place): level
        for doc_id, own in mark_words(explained).items()
        for place, level in own.items()
    }
    assert levels.keys() == best.keys()
    ranked = sorted(best, key=best.__getitem__)
    assert [levels[key] for key in ranked] == sorted(levels.values())
    assert max(levels.values()) == 3
    assert abs(sum(level == 3 for level in levels.values()) - len(levels) / 3) <= 1
    assert mark_words([]) == {}


@pytest.mark.parametrize("query", [*HOSTILE, ATTACK], ids=range(len(HOSTILE) + 1))
def test_questions_are_escaped_everywhere(client, query):
    page = Seen(client.get("/", params={"q": query, "lang": "sw"}).text)
    plain = Seen(client.get("/", params={"q": "paka", "lang": "sw"}).text)
    assert set(page.tags) <= {*plain.tags, "q", "table", "details"}
    assert page.tags.count("script") == 1
    # A NUL has no place in HTML; parsers replace it.
    value = dict((key, v) for tag, key, v in page.attributes if tag == "input")["value"]
    assert value == query


def test_passages_translations_and_messages_are_escaped():
    shown = ShownPassage(ATTACK, 1.0, [Piece(ATTACK, 0), Piece(ATTACK, 3)], [])
    column = Column("student", "Student", "note", [shown], ATTACK, ATTACK)
    page = Seen(render(ATTACK, [column], {"sw": [ATTACK]}))
    assert "img" not in page.tags
    assert page.tags.count("script") == 1
    assert page.text.count(ATTACK) >= 6
    assert ATTACK in Seen(render_problem(422, ATTACK)).text
    assert html.escape("<img") in render_problem(422, ATTACK)


def test_nothing_is_inline_or_from_elsewhere(client):
    page = Seen(client.get("/", params={"q": QUERY, "lang": "sw"}).text)
    assert not [key for _, key, _ in page.attributes if key.startswith("on") or key == "style"]
    assert "style" not in page.tags
    for address in page.values("src") + page.values("href"):
        assert address.startswith(("/", "#")), address
        if address.startswith("/"):
            assert client.get(address).status_code == 200, address


def test_the_page_tells_languages_directions_and_names(client):
    page = Seen(client.get("/", params={"q": QUERY, "lang": "sw"}).text)
    assert page.values("dir")
    assert set(page.values("dir")) == {"auto"}
    assert ("html", "lang", "en") in page.attributes
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    assert {value for tag, key, value in page.attributes if (tag, key) == ("label", "for")} == {
        "q",
        "lang",
    }
    for key in ("aria-labelledby", "for"):
        assert set(page.values(key)) <= set(ids)
    assert {"header", "main", "footer", "nav", "form"} <= set(page.tags)
    assert ("p", "aria-live", "polite") in page.attributes
    assert "Swahili · Kiswahili" in page.text
    assert "العربية" in page.text


def test_a_failing_system_says_why_in_its_column(systems):
    columns = compare(systems, "paka " * 70, "sw")
    assert [column.message is not None for column in columns] == [True] * 3
    assert "at most 64 tokens" in columns[0].message


def test_errors_on_the_page_are_pages(client):
    reply = client.get("/", params={"q": "x" * 501})
    assert reply.status_code == 422
    assert reply.headers["content-type"].startswith("text/html")
    assert "at most 500 characters" in reply.text
    assert client.get("/", params={"lang": "xx"}).status_code == 422
    assert client.get("/", params={"q": "  "}).status_code == 200
