"""Language codes of translation models: what the tokenizer has, and which of it a language is.

Users give ISO 639-1, ISO 639-3 or BCP 47. Each family of checkpoints writes languages in a way of
its own, and each checkpoint knows languages of its own, so nothing is listed here: the codes are
read from the tokenizer and matched by what `langcodes` (CLDR, ISO 639-3) says of both sides.

Sources: the model cards of OPUS-MT, M2M-100, NLLB-200, mBART-50 and MADLAD-400.
"""

import difflib
import logging
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from optical_ir.errors import ConfigError
from optical_ir.languages import normalize_language

if TYPE_CHECKING:
    from langcodes import Language

logger = logging.getLogger(__name__)

_FAMILIES = {
    "M2M-100": r"__([a-z]{2,3})__",
    "NLLB": r"([a-z]{3}_[A-Z][a-z]{3})",
    "mBART-50": r"([a-z]{2}_[A-Z]{2})",
    "MADLAD": r"<2([a-z]{2,3}(?:_\w+)?)>",
    "Marian": r">>([a-zA-Z]{2,3}(?:[_-]\w+)?)<<",
}
_NAMES_SOURCE = ("M2M-100", "NLLB", "mBART-50")
"""Families whose models are told the language of the source text too."""

_NOT_ISO = {"ns": "nso"}
"""Codes of M2M-100 that are no codes of ISO 639."""

_NEAR = 60
"""CLDR distance up to which a language is worth naming in an error message."""


@dataclass(frozen=True)
class LanguagePair:
    """How a checkpoint is told what to translate into what.

    Parameters
    ----------
    family : str
        ``M2M-100``, ``NLLB``, ``mBART-50``, ``MADLAD`` or ``Marian``.
    source, target : str or None
        Codes of the checkpoint; None where it is not told: the source language in MADLAD and
        Marian, both in a Marian model of two languages.
    prefix : str
        What stands before each source text: ``<2en> ``, ``>>eng<< `` or nothing.
    first_token : str or None
        What the decoder starts with, the target language in M2M-100, NLLB and mBART-50.
    """

    family: str
    source: str | None = None
    target: str | None = None
    prefix: str = ""
    first_token: str | None = None


def language_pair(tokenizer: Any, source_lang: str, target_lang: str) -> LanguagePair:
    """Find how a tokenizer's checkpoint is asked for a translation.

    Parameters
    ----------
    tokenizer : PreTrainedTokenizerBase
        Of a MarianMT, M2M-100, NLLB-200, mBART-50 or MADLAD-400 checkpoint.
    source_lang, target_lang : str
        ISO 639-1, ISO 639-3 or BCP 47.

    Raises
    ------
    ConfigError
        If a code is unknown or the checkpoint does not have the language (the message names near
        matches), source and target are one language, or the tokenizer is of another family.
    """
    if _is_same(source_lang, target_lang):
        raise ConfigError(
            f"expected two languages, found {source_lang!r} and {target_lang!r}. "
            "There is nothing to translate."
        )
    family, tokens = language_tokens(tokenizer)
    if not tokens:
        _check_bilingual(tokenizer, source_lang, target_lang)
        return LanguagePair(family)
    if family == "Marian":
        return _marian_pair(tokenizer, tokens, source_lang, target_lang)
    target = match_code(target_lang, tokens)
    source = match_code(source_lang, tokens)
    if family in _NAMES_SOURCE:
        return LanguagePair(family, source, target, first_token=tokens[target])
    return LanguagePair(family, target=target, prefix=f"{tokens[target]} ")


def _marian_pair(
    tokenizer: Any, tokens: Mapping[str, str], source_lang: str, target_lang: str
) -> LanguagePair:
    normalize_language(source_lang)
    try:
        target = match_code(target_lang, tokens)
    except ConfigError:
        # Of several source languages and one target, the vocabulary may name the sources only.
        if _own_language(tokenizer, "target") == normalize_language(target_lang):
            return LanguagePair("Marian")
        raise
    return LanguagePair("Marian", target=target, prefix=f"{tokens[target]} ")


def _is_same(source_lang: str, target_lang: str) -> bool:
    # Two scripts or regions of one language may well be translated.
    is_plain = not any(mark in code for code in (source_lang, target_lang) for mark in "-_")
    same = normalize_language(source_lang) == normalize_language(target_lang)
    return source_lang == target_lang or (is_plain and same)


def language_tokens(tokenizer: Any) -> tuple[str, dict[str, str]]:
    """Family of a tokenizer, and its language tokens by language code.

    Raises
    ------
    ConfigError
        If it has no language tokens and is not that of a Marian model of two languages.
    """
    # M2M-100 keeps its language tokens out of its vocabulary.
    own = getattr(tokenizer, "lang_code_to_token", None)
    if own:
        return "M2M-100", dict(own)
    is_marian = type(tokenizer).__name__.startswith("Marian")
    # Words of a vocabulary may look like the codes of another family.
    families = ["Marian"] if is_marian else [name for name in _FAMILIES if name != "Marian"]
    for family in families:
        pattern = re.compile(_FAMILIES[family])
        found = [match for match in map(pattern.fullmatch, tokenizer.get_vocab()) if match]
        if found:
            return family, {match[1]: match[0] for match in sorted(found, key=lambda m: m[0])}
    if is_marian:
        return "Marian", {}
    raise ConfigError(
        "expected a checkpoint of MarianMT, M2M-100, NLLB-200, mBART-50 or MADLAD-400, found "
        f"{type(tokenizer).__name__} without language tokens. Choose one of these families."
    )


def _check_bilingual(tokenizer: Any, source_lang: str, target_lang: str) -> None:
    """Refuse a Marian model that translates into another language; warn if from another one."""
    source, target = _own_language(tokenizer, "source"), _own_language(tokenizer, "target")
    if target not in (None, normalize_language(target_lang)):
        raise ConfigError(
            f"expected a model that translates into {target_lang!r}, found one into {target!r}. "
            "Choose another model or --target-lang."
        )
    # A model of a near language may be the best there is.
    if source not in (None, normalize_language(source_lang)):
        logger.warning("The model translates from %r and is given %r.", source, source_lang)


def _own_language(tokenizer: Any, side: str) -> str | None:
    """Language that a Marian tokenizer says it is of; None for a group such as ``bnt``."""
    from langcodes.data_dicts import LIKELY_SUBTAGS

    tag = _parse(getattr(tokenizer, f"{side}_lang", None) or "")
    # CLDR tells the script of single languages only.
    return _base(tag) if tag and str(tag.language) in LIKELY_SUBTAGS else None


def match_code(asked: str, codes: Iterable[str]) -> str:
    """Choose the model's code for a language: the same language, script and region, in this order.

    A macrolanguage stands for its dominant member and the other way round (``sw`` and ``swa``
    are ``swh_Latn``, ``nb`` is not ``nn``), but a smaller member is not taken for the whole:
    ``yue`` is not ``zh``. Without a script the usual one of the language is meant.

    Raises
    ------
    ConfigError
        If the code is unknown or no code of the model is of this language; names near matches.

    Examples
    --------
    >>> match_code("sw", ["swe_Latn", "swh_Latn"]), match_code("zh-TW", ["zho_Hans", "zho_Hant"])
    ('swh_Latn', 'zho_Hant')
    """
    known = {code: tag for code in codes if (tag := _parse(code)) is not None}
    if asked in known:
        return asked
    normalize_language(asked)
    wanted = _parse(asked)
    if wanted is None:
        raise ConfigError(f"expected a language code of ISO 639 or BCP 47, found {asked!r}.")
    same = {code: tag for code, tag in known.items() if _base(tag) == _base(wanted)}
    same = same or _members(wanted, known)
    if wanted.script:
        same = {code: tag for code, tag in same.items() if _script(tag) == wanted.script}
    if not same:
        near = ", ".join(_near(asked, wanted, known))
        raise ConfigError(
            f"expected a language of this model, found {asked!r}, which is none "
            f"of its {len(known)}.{f' Did you mean one of: {near}?' if near else ''}"
        )
    return min(same, key=lambda code: (*_differences(wanted, same[code]), code))


def _parse(code: str) -> "Language | None":
    from langcodes import Language
    from langcodes.tag_parser import LanguageTagError

    try:
        tag = Language.get(_NOT_ISO.get(code, code), normalize=False)
    except (LanguageTagError, ValueError):
        return None
    return tag if tag.language and Language.get(tag.language).is_valid() else None


def _base(tag: "Language") -> str:
    return normalize_language(str(tag.language))


def _script(tag: "Language") -> str | None:
    return tag.script or tag.maximize().script


def _differences(wanted: "Language", tag: "Language") -> tuple[bool, bool, bool]:
    return (
        _script(tag) != _script(wanted),
        tag.territory != wanted.territory,
        tag.to_alpha3() != wanted.to_alpha3(),
    )


def _members(wanted: "Language", known: "Mapping[str, Language]") -> "dict[str, Language]":
    """Members of a macrolanguage without a dominant one in `known`: of the nearest, if one is."""
    from langcodes import tag_distance
    from langcodes.data_dicts import MACROLANGUAGES

    names = {_base(wanted), str(wanted.language)}
    members = {
        code: tag
        for code, tag in known.items()
        if {MACROLANGUAGES.get(str(tag.language)), MACROLANGUAGES.get(_base(tag))} & names
    }
    distances = {_base(tag): tag_distance(wanted, _base(tag)) for tag in members.values()}
    nearest = [name for name, far in distances.items() if far == min(distances.values())]
    return {code: tag for code, tag in members.items() if [_base(tag)] == nearest}


def _near(asked: str, wanted: "Language", known: "Mapping[str, Language]") -> list[str]:
    """Up to five codes: of related languages by CLDR, then of like spelling."""
    from langcodes import tag_distance
    from langcodes.data_dicts import MACROLANGUAGES

    def family(tag: "Language") -> str:
        name = str(tag.language)
        return normalize_language(MACROLANGUAGES.get(name, name))

    far = {code: tag_distance(wanted, tag) for code, tag in known.items()}
    related = [code for code, tag in known.items() if family(tag) == family(wanted)]
    related += sorted((code for code in known if far[code] <= _NEAR), key=lambda c: (far[c], c))
    spelled = difflib.get_close_matches(wanted.to_alpha3(), list(known), n=3, cutoff=0.5)
    spelled += difflib.get_close_matches(asked, list(known), n=3, cutoff=0.5)
    return list(dict.fromkeys(related + spelled))[:5]
