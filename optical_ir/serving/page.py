"""The page: one question through all systems side by side, with what matched marked."""

from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined

from optical_ir.matches import Explanation, TokenMatch
from optical_ir.serving.refusals import Refusal
from optical_ir.serving.settings import BM25, STUDENT, SYSTEMS, ZERO_SHOT
from optical_ir.serving.systems import Systems

SHOWN = 5
"""Passages of each system."""

LEVELS = 3
"""Shades of the marks; each has an equal share of a system's matches."""

TITLES = {
    STUDENT: ("Student", "Distilled for this language; reads the question itself."),
    ZERO_SHOT: ("Zero-shot", "The teacher, before any training on pairs."),
    BM25: ("BM25 + translation", "Finds the words of an English translation."),
}


class Piece(NamedTuple):
    """A part of a passage; level 0 is not marked, 3 matched best."""

    text: str
    level: int


class MatchedWord(NamedTuple):
    """A word of the question and the one of the passage that it matched best."""

    query_word: str
    doc_word: str
    similarity: float


class ShownPassage(NamedTuple):
    """A passage as the page shows it."""

    doc_id: str
    score: float
    pieces: Sequence[Piece]
    words: Sequence[MatchedWord]


class Column(NamedTuple):
    """A system's answer; `message` says why there is none."""

    key: str
    title: str
    note: str
    passages: Sequence[ShownPassage]
    translation: str | None = None
    message: str | None = None


def compare(systems: Systems, query: str, lang: str) -> list[Column]:
    """Ask all systems one question; what refuses says why in its column."""
    columns = []
    for system in SYSTEMS:
        title, note = TITLES[system]
        try:
            columns.append(_ask(systems, system, query, lang))
        except Refusal as refusal:
            columns.append(Column(system, title, note, [], message=refusal.message))
    return columns


def _ask(systems: Systems, system: str, query: str, lang: str) -> Column:
    answer = systems.search(system, query, lang, k=SHOWN)
    doc_ids = [hit.doc_id for hit in answer.hits]
    texts = systems.passages.texts(doc_ids)
    spans: dict[str, dict[tuple[int, int], int]] = {}
    words: dict[str, list[MatchedWord]] = {}
    if system != BM25 and systems.explains and doc_ids:
        explained = systems.explain(system, query, lang, doc_ids)
        spans = mark_words(explained)
        words = {one.doc_id: match_words(one.matches) for one in explained}
    elif answer.translation:
        places = {key: systems.word_places(answer.translation, text) for key, text in texts.items()}
        spans = {key: dict.fromkeys(found, LEVELS) for key, found in places.items()}
    passages = [
        ShownPassage(
            hit.doc_id,
            hit.score,
            cut_text(texts.get(hit.doc_id, ""), spans.get(hit.doc_id, {})),
            words.get(hit.doc_id, []),
        )
        for hit in answer.hits
    ]
    title, note = TITLES[system]
    message = None if passages else "Nothing found."
    return Column(system, title, note, passages, answer.translation, message)


def mark_words(explained: Sequence[Explanation]) -> dict[str, dict[tuple[int, int], int]]:
    """Level of each matched word of some documents, by document and place.

    A word has the level of its best match. Similarities of encoders lie in different ranges, so a
    level is a rank: the best third of all matches has the highest.
    """
    best: dict[str, dict[tuple[int, int], float]] = {}
    for one in explained:
        places = best.setdefault(one.doc_id, {})
        for match in one.matches:
            if match.doc_place[0] >= 0:
                found = places.get(match.doc_place, match.similarity)
                places[match.doc_place] = max(match.similarity, found)
    ranked = sorted(value for places in best.values() for value in places.values())
    bounds = [ranked[len(ranked) * level // LEVELS] for level in range(1, LEVELS)] if ranked else []
    return {
        doc_id: {place: 1 + sum(value >= bound for bound in bounds) for place, value in own.items()}
        for doc_id, own in best.items()
    }


def match_words(matches: Sequence[TokenMatch]) -> list[MatchedWord]:
    """Best match of each word of the question, in their order."""
    best: dict[tuple[int, int, str], TokenMatch] = {}
    for match in matches:
        key = (*match.query_place, match.query_word)
        if key not in best or match.similarity > best[key].similarity:
            best[key] = match
    return [MatchedWord(m.query_word, m.doc_word, m.similarity) for m in best.values()]


def cut_text(text: str, levels: Mapping[tuple[int, int], int]) -> list[Piece]:
    """Cut a text at the places that are marked, which do not overlap."""
    pieces, done = [], 0
    for (start, end), level in sorted(levels.items()):
        pieces += [Piece(text[done:start], 0), Piece(text[start:end], level)]
        done = end
    pieces.append(Piece(text[done:], 0))
    return [piece for piece in pieces if piece.text]


@cache
def language_names(lang: str) -> tuple[str, str]:
    """English name of a language and its own."""
    import langcodes

    language = langcodes.Language.get(lang)
    return language.display_name(), language.autonym()


def static_folder() -> Path:
    """Folder of the style sheet and the script."""
    return Path(str(files("optical_ir.serving"))) / "static"


@cache
def _templates() -> Environment:
    templates = Environment(
        loader=PackageLoader("optical_ir.serving"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters["capitalize_first"] = lambda text: text[:1].upper() + text[1:]
    return templates


def render_page(
    languages: Sequence[str],
    *,
    query: str,
    lang: str,
    columns: Sequence[Column],
    examples: Mapping[str, Sequence[str]],
    max_chars: int,
) -> str:
    """HTML of the page; every text in it is escaped."""
    named = {code: language_names(code) for code in languages}
    shown = [(code, text) for code in languages for text in examples.get(code, ())]
    html = (
        _templates()
        .get_template("page.html")
        .render(
            languages=named,
            query=query,
            lang=lang,
            columns=columns,
            examples=shown,
            max_chars=max_chars,
        )
    )
    return str(html)


def render_problem(status: int, message: str) -> str:
    """HTML of an error."""
    return str(_templates().get_template("problem.html").render(status=status, message=message))
