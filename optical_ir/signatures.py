"""One line that says what a run is, as sacreBLEU's signatures do for translations.

``collection:afriqa|topics:swa.test|queries:3ee5f77b1e79|...`` is built from the provenance
beside a run, RUN.json, and can be read back. What the provenance does not say is left out.
"""

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from optical_ir.errors import DataError
from optical_ir.files import sha256_text

KEYS = {
    "collection": "c",
    "topics": "t",
    "queries": "q",
    "qrels": "j",
    "system": "s",
    "run": "r",
    "encoder": "e",
    "index": "i",
    "lexicon": "x",
    "translation": "tr",
    "beams": "nb",
    "fusion": "f",
    "stage": "st",
    "candidates": "k",
    "among": "d",
    "bm25": "b",
    "seed": "sd",
    "hits": "h",
    "measures": "m",
    "anserini": "a",
    "lucene": "lu",
    "version": "v",
}
"""Keys of a signature in their order, and their short forms."""

_LONG = {short: key for key, short in KEYS.items()}
HASH_DIGITS = 12
"""Digits of a SHA-256 in a signature; all of them are in the provenance."""

Signature = dict[str, str]
"""Values by key of `KEYS`, in that order."""


def format_signature(signature: Mapping[str, str], *, short: bool = False) -> str:
    """Join a signature into a line, with short keys if wanted.

    >>> format_signature({"topics": "swa.test", "seed": "42"})
    'topics:swa.test|seed:42'
    >>> format_signature({"topics": "swa.test", "seed": "42"}, short=True)
    't:swa.test|sd:42'
    """
    parts = [(KEYS[key] if short else key, signature[key]) for key in KEYS if key in signature]
    return "|".join(f"{key}:{_escape(value)}" for key, value in parts)


def parse_signature(text: str) -> Signature:
    """Read a line that `format_signature` wrote, with short or long keys.

    Raises
    ------
    DataError
        If a part is not `key:value`, or a key is unknown, empty or there twice.
    """
    found: Signature = {}
    for part in text.strip().split("|"):
        name, colon, value = part.partition(":")
        key = _LONG.get(name, name)
        if not colon or not value or key not in KEYS or key in found:
            raise DataError(
                f"signature {text!r}: expected each of {', '.join(KEYS)} once at most, as "
                f"key:value between bars, found {part!r}. Copy the whole line."
            )
        found[key] = unquote(value)
    return {key: found[key] for key in KEYS if key in found}


def _escape(value: str) -> str:
    """Percent-encode what would end a value or a line; other text stays readable."""
    return "".join(
        quote(char) if char in "|%" or char.isspace() or not char.isprintable() else char
        for char in value
    )


def sign_origin(origin: Mapping[str, Any]) -> Signature:
    """Build the signature of a run from its provenance.

    Parameters
    ----------
    origin : mapping
        Content of RUN.json, as `optical-ir search`, `rerank`, `fuse` or `reproduce` wrote it,
        of any version.

    Returns
    -------
    dict of str to str
        Hashes are SHA-256, their first 12 digits: of the topics file or, in an experiment, of
        the queries that were searched (`queries`), the judgements (`qrels`), the run itself
        (`run`), the encoder's weights, the index, the lexicon, the translation model and the file
        of the document ids that could be found (`among`).
    """
    settings, inputs, versions, translator, engine = (
        origin.get(name) or {}
        for name in ("settings", "inputs", "versions", "translator", "engine")
    )
    approximate = settings.get("approximate")
    values = {
        "collection": settings.get("collection"),
        "topics": settings.get("topics"),
        "queries": settings.get("queries_sha256") or _input(inputs, "topics"),
        "qrels": origin.get("qrels_sha256"),
        "system": settings.get("system") or settings.get("tag"),
        "run": origin.get("sha256"),
        "encoder": origin.get("encoder_sha256") or settings.get("encoder"),
        "index": origin.get("index_sha256") or settings.get("index"),
        "lexicon": settings.get("psq_lexicon") or _input(inputs, "lexicon"),
        "translation": _translation(translator) or settings.get("translation"),
        "beams": translator.get("num_beams"),
        "fusion": _fusion(settings),
        "stage": settings.get("first_stage") or ("approximate" if approximate else None),
        "candidates": settings.get("candidates"),
        "among": _input(inputs, "doc_ids"),
        "bm25": _join(",", (settings.get("k1"), settings.get("b"))),
        "seed": origin.get("seed"),
        "hits": settings.get("hits"),
        "measures": f"ranx-{versions['ranx']}" if origin.get("measures") else None,
        "anserini": engine.get("anserini"),
        "lucene": engine.get("lucene"),
        "version": versions.get("optical-ir"),
    }
    return {key: _shorten(str(values[key])) for key in KEYS if values[key] not in (None, "")}


def read_signature(run: Path) -> Signature:
    """Build the signature of a run file from the provenance beside it.

    A run without provenance, as another engine's, has its hash alone.

    Raises
    ------
    DataError
        If the provenance is no JSON object, or that of other bytes than the run's.
    """
    found = sha256_text(run)
    # A run may have been packed after it was written.
    names = (f"{run.name}.json", f"{run.name.removesuffix('.gz')}.json")
    path = next((run.with_name(name) for name in names if run.with_name(name).is_file()), None)
    if path is None:
        return {"run": _shorten(found)}
    try:
        origin = json.loads(path.read_text("utf-8"))
    except ValueError as err:
        raise DataError(f"{path}: expected JSON, found something else ({err}).") from err
    if not isinstance(origin, dict):
        raise DataError(f"{path}: expected a JSON object, found {type(origin).__name__}.")
    if origin.get("sha256", found) != found:
        raise DataError(
            f"{path}: expected the provenance of {run.name}, SHA-256 {found}, found that of "
            f"{origin['sha256']}. Copy the file that was written with the run."
        )
    return sign_origin({**origin, "sha256": found})


def check_signature(origin: Mapping[str, Any], path: Path) -> None:
    """Refuse provenance whose `signature` says anything else than the rest of it.

    Raises
    ------
    DataError
        Also if it is no signature at all.
    """
    if "signature" not in origin:
        return
    expected = sign_origin(origin)
    for key, value in parse_signature(str(origin["signature"])).items():
        if expected.get(key) != value:
            raise DataError(
                f"{path}: signature: found {key}:{value}, expected {expected.get(key)!r} by the "
                "rest of the file. Restore the file as it was written with the run."
            )


def _shorten(value: str) -> str:
    """First digits of a hash, last part of a path or of ENGINE:PATH, anything else as it is."""
    if re.fullmatch("[0-9a-f]{40}|[0-9a-f]{64}", value):
        return value[:HASH_DIGITS]
    return re.sub(r"\A([a-z]+:)?(?=[/.~])(?:.*/)?([^/]+)/*\Z", r"\1\2", value, flags=re.DOTALL)


def _input(inputs: Mapping[str, Any], role: str) -> str | None:
    found: str | None = (inputs.get(role) or {}).get("sha256")
    return found


def _join(separator: str, values: Iterable[Any]) -> str | None:
    known = [str(value) for value in values if value is not None]
    return separator.join(known) or None


def _translation(translator: Mapping[str, Any]) -> str | None:
    """Name and revision of a translation model."""
    parts = (translator.get(key) for key in ("name", "model"))
    return _join("@", (_shorten(str(part)) for part in parts if part is not None))


def _fusion(settings: Mapping[str, Any]) -> str | None:
    """How runs were fused, as ``rrf,60`` or ``wsum,min-max,0.7,0.3``."""
    if settings.get("method") is None:
        return None
    if settings["method"] == "rrf":
        return _join(",", ("rrf", settings.get("rrf_k")))
    return _join(",", (settings["method"], settings.get("norm"), *(settings.get("weights") or ())))
