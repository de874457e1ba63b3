"""Language codes: one spelling for each language, whichever standard a file or a user writes."""

import difflib
import re
from functools import lru_cache

from optical_ir.errors import ConfigError


@lru_cache(maxsize=4096)
def normalize_language(code: str) -> str:
    """ISO 639-1 code of a language where there is one, else its ISO 639-3 code.

    Only the primary subtag counts, so region and script are dropped (``swh_Latn`` is ``sw``), and
    a macrolanguage stands for its dominant member (``cmn`` is ``zh``, ``yue`` stays ``yue``).

    Raises
    ------
    ConfigError
        If the code is unknown; the message has near matches and an example.

    Examples
    --------
    >>> [normalize_language(code) for code in ("swa", "sw-KE", "tgl", "som", "EN_us")]
    ['sw', 'sw', 'tl', 'so', 'en']
    """
    import langcodes
    from langcodes.tag_parser import LanguageTagError

    primary = re.split("[-_]", code.strip().lower())[0]
    try:
        language = langcodes.Language.get(primary).prefer_macrolanguage()
    except LanguageTagError:
        language = None
    if language is None or language.language is None or not language.is_valid():
        near = ", ".join(_near_codes(primary))
        raise ConfigError(
            f"expected a language code of ISO 639, for example 'sw' or 'swa' for Swahili, "
            f"found {code!r}.{f' Did you mean one of: {near}?' if near else ''}"
        )
    # CLDR, and so langcodes, folds Tagalog into Filipino, which has no ISO 639-1 code.
    return "tl" if language.language == "fil" else str(language.language)


def _near_codes(text: str) -> list[str]:
    """Codes whose three-letter form is like `text`, which may be a language's English name."""
    from langcodes.data_dicts import LANGUAGE_REPLACEMENTS

    three_letters = [code for code, new in LANGUAGE_REPLACEMENTS.items() if len(new) == 2]
    near = difflib.get_close_matches(text, three_letters, n=3)
    return list(dict.fromkeys(normalize_language(code) for code in near))
