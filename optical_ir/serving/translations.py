"""English translations of queries: of known ones from topics files, of others by a model."""

import threading
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from optical_ir.errors import DataError
from optical_ir.translation import Translator, load_translator
from optical_ir.trec import read_topics

_REMEMBERED = 1024
"""Translations by models that are kept."""


class Translations:
    """What a query means in English.

    Parameters
    ----------
    known : mapping of str to mapping of str to str
        By language, translations by query; white space does not matter.
    translators : mapping of str to Translator
        By language.
    """

    def __init__(
        self, known: Mapping[str, Mapping[str, str]], translators: Mapping[str, Translator]
    ) -> None:
        self._known = {
            lang: {_key(query): text for query, text in pairs.items()}
            for lang, pairs in known.items()
        }
        self._translators = dict(translators)
        # A tokenizer of a translator remembers its last language, so one thread at a time.
        self._lock = threading.Lock()
        self._by_model = lru_cache(_REMEMBERED)(self._ask_model)

    def translate(self, query: str, lang: str) -> str | None:
        """Translate a query; None if it is not a known one and its language has no model."""
        if lang == "en":
            return query
        known = self._known.get(lang, {}).get(_key(query))
        if known is not None or lang not in self._translators:
            return known
        return self._by_model(_key(query), lang)

    def _ask_model(self, query: str, lang: str) -> str:
        with self._lock:
            (found,) = self._translators[lang].translate([query])
        return found.text or query


def load_translations(
    topics: Mapping[str, Path],
    translated_topics: Mapping[str, Path],
    translators: Mapping[str, str],
    *,
    device: str | None = None,
) -> Translations:
    """Read topics with their translations and load the models.

    Raises
    ------
    ConfigError, DependencyError
        See `optical_ir.translation.load_translator`.
    DataError
        If a file is malformed, or the translations have none of the topics' ids.
    """
    known = {lang: _pair(topics[lang], path) for lang, path in translated_topics.items()}
    models = {
        lang: load_translator(name, lang, "en", device=device) for lang, name in translators.items()
    }
    return Translations(known, models)


def load_examples(topics: Mapping[str, Path], *, n: int) -> dict[str, Sequence[str]]:
    """Read the first queries of each language, to show what can be asked."""
    return {lang: [query.text for query in read_topics(path)[:n]] for lang, path in topics.items()}


def _pair(topics: Path, translated: Path) -> dict[str, str]:
    english = {query.query_id: query.text for query in read_topics(translated)}
    pairs = {q.text: english[q.query_id] for q in read_topics(topics) if q.query_id in english}
    if not pairs:
        raise DataError(
            f"{translated}: expected translations with the ids of {topics}, found none of them. "
            "Name files with the same query ids."
        )
    return pairs


def _key(query: str) -> str:
    return " ".join(query.split())
