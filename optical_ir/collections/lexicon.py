"""Bilingual lexicons: which English words translate a foreign one, and the other way round."""

import csv
import logging
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from optical_ir.errors import ConfigError, DataError
from optical_ir.files import iter_lines
from optical_ir.languages import normalize_language
from optical_ir.words import WORD, fold_word

logger = logging.getLogger(__name__)

_CODE = re.compile(r"(?:txt_)?([A-Za-z]{2,3}(?:[-_]\w+)*)")
"""A header's name for a language, as ``ha``, ``hau``, ``hau-000`` or ``txt_hau``."""


class Lexicon:
    """Translations of words and phrases, looked up whatever their case.

    Parameters
    ----------
    pairs : iterable of (str, str)
        Word and translation. Of pairs that differ in case at most, the first is kept.
    """

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        unique: dict[tuple[str, str], tuple[str, str]] = {}
        for word, translation in pairs:
            unique.setdefault((fold_word(word), fold_word(translation)), (word, translation))
        self._pairs = list(unique.values())
        self._entries: dict[str, list[str]] = {}
        for (key, _), (_, translation) in unique.items():
            self._entries.setdefault(key, []).append(translation)

    def __len__(self) -> int:
        """Count the pairs."""
        return len(self._pairs)

    def __iter__(self) -> Iterator[tuple[str, str]]:
        """Give the pairs of word and translation in file order."""
        return iter(self._pairs)

    def translations(self, word: str) -> list[str]:
        """Give the translations of a word or phrase in file order; none if it is not there."""
        return list(self._entries.get(fold_word(word), ()))

    def inverse(self) -> "Lexicon":
        """Turn the lexicon round: from English, if this one is into English."""
        return Lexicon((translation, word) for word, translation in self._pairs)


def translate_words(text: str, lexicon: Lexicon, *, n_translations: int | None = 1) -> str:
    """Replace each word of a text by its translations; words without any stay, as does the rest.

    Parameters
    ----------
    lexicon : Lexicon
        From the language of `text`.
    n_translations : int or None
        Of several translations of a word the first so many, joined by blanks; None takes all.
        BM25 weights every translation alike, so each further one dilutes the query.

    Raises
    ------
    ValueError
        If `n_translations` is less than 1.

    Examples
    --------
    >>> lexicon = Lexicon([("paka", "cat"), ("mdogo", "small"), ("mdogo", "young")])
    >>> translate_words("Paka mdogo, Asha?", lexicon)
    'cat small, Asha?'
    """
    if n_translations is not None and n_translations < 1:
        raise ValueError(f"expected at least 1 translation a word, got {n_translations}.")

    def replace(word: str) -> str:
        return " ".join(lexicon.translations(word)[:n_translations]) or word

    return str(WORD.sub(lambda found: replace(found[0]), text))


def read_lexicon(path: Path | str, *, query_lang: str | None = None) -> Lexicon:
    """Read a bilingual lexicon, foreign to English.

    The first line may be a header that names the columns by language codes (``ha``, ``hau``,
    ``hau-000``, ``txt_hau``), as exports of PanLex have; the columns may then stand anywhere.
    Otherwise the first column is foreign, the second English, and further ones are ignored.

    Parameters
    ----------
    path : path
        `.csv`: comma-separated, with quotes where needed. Anything else: columns separated by
        tabs or, as in MUSE, two words separated by blanks. All may be `.gz`.
    query_lang : str, optional
        The foreign language; chooses the column where a header names several languages.

    Raises
    ------
    DataError
        For a missing or empty file, fewer than two columns, an empty side, or no entry; with
        file, line and remedy.
    ConfigError
        If a header does not name `query_lang`, or names several languages and none is chosen.

    References
    ----------
    Conneau et al. (2018), Word translation without parallel data (MUSE). Kamholz et al. (2014),
    PanLex: building a resource for panlingual lexical translation.
    """
    path = Path(path)
    pairs = list(_iter_pairs(path, query_lang))
    if not pairs:
        raise DataError(f"{path}: expected entries below the header, found none. Add some.")
    lexicon = Lexicon(pairs)
    if len(lexicon) < len(pairs):
        logger.info("%s: left out %d duplicate entries.", path, len(pairs) - len(lexicon))
    return lexicon


class _Columns(NamedTuple):
    foreign: int = 0
    english: int = 1


def _iter_pairs(path: Path, query_lang: str | None) -> Iterator[tuple[str, str]]:
    columns = _Columns()
    for number, fields in _iter_rows(path):
        if number == 1 and (named := _read_header(path, fields, query_lang)):
            columns = named
            continue
        if len(fields) <= max(columns):
            raise DataError(
                f"{path}, line {number}: expected {max(columns) + 1} columns, a foreign word and "
                f"an English one among them, found {len(fields)}: {' '.join(fields)[:60]!r}. "
                "Separate the columns with one tab, or with commas in a .csv."
            )
        foreign, english = (" ".join(fields[column].split()) for column in columns)
        if not foreign or not english:
            raise DataError(
                f"{path}, line {number}: expected a word on both sides, found {foreign!r} and "
                f"{english!r}. Remove the line."
            )
        yield foreign, english


def _iter_rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    if path.name.endswith((".csv", ".csv.gz")):
        yield from _iter_csv(path)
        return
    for number, line in iter_lines(path):
        fields = line.split("\t") if "\t" in line else line.split()
        if "\t" not in line and len(fields) != 2:
            raise DataError(
                f"{path}, line {number}: expected 2 tab-separated columns 'foreign English', or 2 "
                f"words separated by a blank, found {line[:60]!r}. Separate the columns with one "
                "tab; comma-separated lexicons must be named .csv."
            )
        yield number, fields


def _iter_csv(path: Path) -> Iterator[tuple[int, list[str]]]:
    rows = csv.reader((line + "\n" for _, line in iter_lines(path)), strict=True)
    try:
        for fields in rows:
            yield rows.line_num, fields
    except csv.Error as err:
        raise DataError(
            f"{path}, line {rows.line_num}: is not CSV ({err}). Quote fields that have a comma or "
            'a quote, and write a quote in them as "".'
        ) from err


def _read_header(path: Path, fields: Sequence[str], query_lang: str | None) -> _Columns | None:
    """Columns that a header names; None if the fields are an entry."""
    languages = [_language(field) for field in fields]
    foreign = {code: column for column, code in enumerate(languages) if code not in (None, "en")}
    if "en" not in languages or not foreign:
        return None
    wanted = normalize_language(query_lang) if query_lang is not None else None
    if wanted is None and len(foreign) == 1:
        wanted = next(iter(foreign))
    if wanted not in foreign:
        names = ", ".join(str(code) for code in foreign)
        raise ConfigError(
            f"{path}: its header names {names} and en; expected one of them as query language, "
            f"found {query_lang!r}. Check the file, or choose another query language."
        )
    return _Columns(foreign[wanted], languages.index("en"))


def _language(name: str) -> str | None:
    code = _CODE.fullmatch(name.strip())
    try:
        return normalize_language(code[1]) if code else None
    except ConfigError:
        return None
