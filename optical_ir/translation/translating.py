"""Queries and documents, translated: what becomes of each text, and a tally of what went wrong."""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import Any, NamedTuple

from optical_ir.records import Doc, Query
from optical_ir.translation.batches import translate_texts
from optical_ir.translation.cache import Translation, TranslationCache
from optical_ir.translation.documents import join_sentences, split_sentences
from optical_ir.translation.translator import Translator

logger = logging.getLogger(__name__)

_BLOCK = 1000
"""Queries or documents whose sentences are sorted by length and translated together."""

_LISTED = 100
"""Ids that a tally names of a kind."""

FAULTS = {
    "empty": "have no translation, and their source text stands in for it",
    "untranslated": "came out as they went in",
    "cut": "were too long for the model, and their ends are not translated",
    "unfinished": "were not finished within the new tokens allowed",
}
"""What can be wrong with a translation, as the log says it of sentences."""


class _Text(NamedTuple):
    """A query or a document by its id."""

    text_id: str
    text: str


class _Work(NamedTuple):
    """What every text is translated by, see `translate_queries`."""

    translator: Translator
    cache: TranslationCache
    tally: "Tally"
    batch_size: int
    advance: Callable[[float], None]


class Tally:
    """What was translated, and how often and where something was wrong.

    A sentence here is a query, or a sentence of a document.
    """

    def __init__(self) -> None:
        self.n_texts = 0
        self.n_sentences = 0
        self.n_copied = 0
        self.n_faults = dict.fromkeys(FAULTS, 0)
        self.ids: dict[str, dict[str, None]] = {fault: {} for fault in FAULTS}

    def add(self, text_id: str, fault: str) -> None:
        """Count a fault in a query or document; the first ids are remembered."""
        self.n_faults[fault] += 1
        if len(self.ids[fault]) < _LISTED:
            self.ids[fault][text_id] = None

    def summary(self) -> dict[str, Any]:
        """Give counts and ids, ready for JSON."""
        return {
            "texts": self.n_texts,
            "sentences": self.n_sentences,
            "without_letters": self.n_copied,
            **{
                fault: {"sentences": n, "first_ids": list(self.ids[fault])}
                for fault, n in self.n_faults.items()
            },
        }

    def warn(self) -> None:
        """Say in the log, in numbers, what was wrong."""
        for fault, n in self.n_faults.items():
            if n:
                logger.warning(
                    "%d of %d sentences %s, as in %s.",
                    *(n, self.n_sentences, FAULTS[fault], next(iter(self.ids[fault]))),
                )


def translate_queries(
    queries: Iterable[Query],
    translator: Translator,
    cache: TranslationCache,
    tally: Tally,
    *,
    batch_size: int = 32,
    advance: Callable[[float], None] = lambda n: None,
) -> Iterator[Query]:
    """Translate queries, in their order.

    A query that gets an empty translation keeps its source text, so that none has a hole; one
    without any letter, such as a year, is not given to the model. Both are counted in `tally`.

    Parameters
    ----------
    queries : iterable of Query
    translator : Translator
    cache : TranslationCache
    tally : Tally
        Counts as the result is consumed.
    advance : callable
        Told the number of queries done since the last call, in parts of one.

    Yields
    ------
    Query
        With the id of the source.
    """
    texts = (_Text(*query) for query in queries)
    how = _Work(translator, cache, tally, batch_size, advance)
    for text in _translate(texts, lambda text: [" ".join(text.split())], how):
        yield Query(*text)


def translate_docs(
    docs: Iterable[Doc],
    lang: str,
    translator: Translator,
    cache: TranslationCache,
    tally: Tally,
    *,
    batch_size: int = 32,
    advance: Callable[[float], None] = lambda n: None,
) -> Iterator[Doc]:
    """Translate documents sentence by sentence, in their order; see `translate_queries`.

    Parameters
    ----------
    docs : iterable of Doc
    lang : str
        Their language, ISO 639-1 else ISO 639-3, whose rules split sentences.

    Yields
    ------
    Doc
        With the id of the source; the translated sentences are joined by a blank.

    Raises
    ------
    DependencyError
        If sentencex is not installed.
    """
    texts = (_Text(*doc) for doc in docs)
    how = _Work(translator, cache, tally, batch_size, advance)
    for text in _translate(texts, lambda text: split_sentences(text, lang), how):
        yield Doc(*text)


def _translate(
    texts: Iterable[_Text], split: Callable[[str], list[str]], how: _Work
) -> Iterator[_Text]:
    rest = iter(texts)
    while block := list(islice(rest, _BLOCK)):
        sentences = [split(text) for _, text in block]
        translations = translate_texts(
            (sentence for row in sentences for sentence in row if _has_letters(sentence)),
            how.translator,
            how.cache,
            batch_size=how.batch_size,
            advance=partial(_advance, how.advance, len(block)),
        )
        for (text_id, _), row in zip(block, sentences, strict=True):
            yield _Text(text_id, _render(text_id, row, translations, how.tally))


def _advance(advance: Callable[[float], None], n_texts: int, share: float) -> None:
    advance(share * n_texts)


def _has_letters(text: str) -> bool:
    return any(char.isalpha() for char in text)


def _render(
    text_id: str, sentences: Sequence[str], translations: dict[str, Translation], tally: Tally
) -> str:
    """Text of the translated sentences, with all that is wrong counted."""
    tally.n_texts += 1
    tally.n_sentences += len(sentences)
    kept = []
    for sentence in sentences:
        found = translations.get(sentence)
        tally.n_copied += found is None
        for fault in _faults(sentence, found) if found else ():
            tally.add(text_id, fault)
        kept.append(found.text if found and found.text else sentence)
    return join_sentences(kept)


def _letters(text: str) -> str:
    """Letters and digits alone, since models move blanks and punctuation even when they copy."""
    return "".join(char for char in text.casefold() if char.isalnum())


def _faults(sentence: str, found: Translation) -> Iterator[str]:
    if not found.text:
        yield "empty"
    if found.text and _letters(found.text) == _letters(sentence):
        yield "untranslated"
    if found.is_cut:
        yield "cut"
    if found.is_unfinished:
        yield "unfinished"
