"""Translations made so far, in an append-only file, so that a killed run loses none.

One JSON object a line: ``{"key", "translation", "is_cut", "is_unfinished"}``. The key is a hash of
the text and of all that decides its translation, so one file may serve several models.
"""

import hashlib
import json
import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

from optical_ir.files import parse_json

logger = logging.getLogger(__name__)


class Translation(NamedTuple):
    """What a model made of a text.

    `is_cut` says that the text was longer than the model reads, `is_unfinished` that the model
    came to `max_new_tokens` before the end.
    """

    text: str
    is_cut: bool
    is_unfinished: bool


class TranslationCache:
    """Translations in an open file; only their places are held in memory.

    Parameters
    ----------
    stream : binary stream
        Open for reading and appending.
    context : mapping
        All that decides a translation beside the text; see `Translator.identity`.
    places : dict
        Offset of each translation's line by its key.
    """

    def __init__(self, stream: IO[bytes], context: str, places: dict[bytes, int]) -> None:
        self._stream = stream
        self._context = context
        self._places = places

    def __contains__(self, text: str) -> bool:
        return self._key(text) in self._places

    def __getitem__(self, text: str) -> Translation:
        self._stream.seek(self._places[self._key(text)])
        record = json.loads(self._stream.readline())
        return Translation(record["translation"], record["is_cut"], record["is_unfinished"])

    def add(self, translations: Iterable[tuple[str, Translation]]) -> None:
        """Append translations by their source text; they are in the file when this returns."""
        end = self._stream.seek(0, 2)
        lines = []
        for text, translation in translations:
            key = self._key(text)
            record = {
                "key": key.hex(),
                "translation": translation.text,
                "is_cut": translation.is_cut,
                "is_unfinished": translation.is_unfinished,
            }
            self._places[key] = end
            lines.append(json.dumps(record, ensure_ascii=False).encode() + b"\n")
            end += len(lines[-1])
        self._stream.write(b"".join(lines))
        self._stream.flush()

    def _key(self, text: str) -> bytes:
        return hashlib.sha256(f"{self._context}\n{text}".encode()).digest()[:16]


@contextmanager
def open_cache(path: Path | str, context: Mapping[str, Any]) -> Iterator[TranslationCache]:
    """Open a cache file, made if there is none.

    A half-written last line, as a kill leaves it, is cut off; lines that are no translations are
    passed over. Both are counted in the log.

    Parameters
    ----------
    path : path
    context : mapping
        All that decides a translation beside the text: model, settings, languages.
    """
    path = Path(path)
    with path.open("a+b") as stream:
        places, n_bad = _read_places(stream)
        if n_bad:
            logger.warning(
                "%s: %d lines are half written or no translations and were dropped; their texts "
                "are translated again.",
                *(path, n_bad),
            )
        known = json.dumps(context, sort_keys=True, ensure_ascii=False, default=str)
        yield TranslationCache(stream, known, places)


def _read_places(stream: IO[bytes]) -> tuple[dict[bytes, int], int]:
    """Offset of each line by its key, and how many lines are bad; cuts off a half-written one."""
    places: dict[bytes, int] = {}
    n_bad = start = 0
    stream.seek(0)
    for line in stream:
        if not line.endswith(b"\n"):
            stream.truncate(start)
            return places, n_bad + 1
        key = _key_of(line)
        if key is None:
            n_bad += 1
        else:
            places[key] = start
        start += len(line)
    return places, n_bad


def _key_of(line: bytes) -> bytes | None:
    try:
        record = parse_json(line)
        found = Translation(record["translation"], record["is_cut"], record["is_unfinished"])
        is_one = [type(value) for value in found] == [str, bool, bool]
        return bytes.fromhex(record["key"]) if is_one else None
    except (ValueError, KeyError, TypeError):
        return None
