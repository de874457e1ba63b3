"""Sentence pairs of a TMX file, streamed unit by unit."""

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, cast
from xml.etree import ElementTree

from optical_ir.errors import ConfigError, DataError
from optical_ir.languages import normalize_language
from optical_ir.records import BitextPair

_XML_LANG = "{http://www.w3.org/XML/1998/namespace}lang"
_CODES = {"bpt", "ept", "ph", "it", "ut"}
"""Inline elements of TMX 1.4 that hold native mark-up instead of text."""


def iter_tmx(path: Path, *, query_lang: str) -> Iterator[BitextPair]:
    """Pairs of `query_lang` and English, one from each unit that has both, in file order.

    Languages match on the primary subtag (`swa`, `sw-KE` and `sw` are one); of several variants
    in a unit the first counts. Units in other languages only are passed over.

    Raises
    ------
    DataError
        If the file is missing or no well-formed TMX, a side is empty, or no unit has both
        languages.
    """
    wanted = normalize_language(query_lang)
    if wanted == "en":
        raise ConfigError(f"{path}: expected a query language other than English, found 'en'.")
    found: set[str] = set()
    n_pairs = 0
    for number, unit in enumerate(_iter_units(path), start=1):
        texts = _texts_by_language(unit)
        found.update(texts)
        if wanted in texts and "en" in texts:
            if not texts[wanted] or not texts["en"]:
                raise DataError(
                    f"{path}, translation unit {number}: expected text in {wanted!r} and 'en', "
                    f"found {texts[wanted]!r} and {texts['en']!r}. Remove the unit."
                )
            n_pairs += 1
            yield BitextPair(texts[wanted], texts["en"])
    if n_pairs == 0:
        raise DataError(
            f"{path}: expected units in {wanted!r} and 'en', found none; its languages are "
            f"{', '.join(sorted(found)) or 'not given'}. Check the query language."
        )


def _iter_units(path: Path) -> Iterator[ElementTree.Element]:
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rb") as stream:
            body = None
            events = ElementTree.iterparse(cast("IO[bytes]", stream), events=("start", "end"))
            for event, element in events:
                name = _local_name(element)
                if event == "start" and name == "body":
                    body = element
                elif event == "end" and name == "tu":
                    yield element
                    if body is not None:
                        body.clear()  # else memory grows with the file
    # Expat knows few encodings, and refuses others in two more ways.
    except (ElementTree.ParseError, LookupError, ValueError) as err:
        line = f", line {err.position[0]}" if isinstance(err, ElementTree.ParseError) else ""
        raise DataError(
            f"{path}{line}: is not well-formed XML ({err}). Export it as TMX "
            "again, or convert it to a TSV of foreign TAB English."
        ) from err
    except (OSError, EOFError, zlib.error) as err:
        raise DataError(f"{path}: cannot be read ({err}). Check the path.") from err


def _texts_by_language(unit: ElementTree.Element) -> dict[str, str]:
    texts: dict[str, str] = {}
    for variant in unit:
        if _local_name(variant) == "tuv":
            code = variant.get(_XML_LANG) or variant.get("lang") or ""
            segments = (child for child in variant if _local_name(child) == "seg")
            text = "".join(_plain_text(segment) for segment in segments).strip()
            texts.setdefault(_language(code), text)
    return texts


def _language(code: str) -> str:
    try:
        return normalize_language(code)
    except ConfigError:
        return code  # a language that is not asked for may have any code


def _plain_text(segment: ElementTree.Element) -> str:
    """Text of a segment without that of codes, however deeply its elements nest."""
    texts: list[str] = []
    waiting: list[ElementTree.Element | str] = [segment]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            texts.append(item)
            continue
        for child in reversed(item):
            waiting.append(child.tail or "")
            if _local_name(child) not in _CODES:
                waiting.append(child)
        waiting.append(item.text or "")
    return "".join(texts)


def _local_name(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]
