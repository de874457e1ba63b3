"""What any text may hold: refused where no file could hold it, made visible where it would steer.

Documents, queries and names come from anywhere. A terminal obeys control characters in them, and
half a character, as Python makes of bytes that are not UTF-8, can neither be written nor encoded.
"""

import unicodedata
from collections.abc import Iterable

from optical_ir.errors import DataError

_BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Marks that change the order in which other text is shown."""

_UNSEEN = ("Cc", "Cs", "Zl", "Zp")


def check_texts(texts: Iterable[str]) -> None:
    """Refuse texts that are not Unicode.

    Raises
    ------
    DataError
        If one has a lone surrogate, which is half a character.
    """
    for text in texts:
        try:
            text.encode()
        except UnicodeEncodeError as err:
            raise DataError(
                f"expected text in Unicode, found half a character, {text[err.start]!a}, in "
                f"{text[:60]!a}. Save it as UTF-8."
            ) from err


def printable(text: str, *, keep: str = "") -> str:
    r"""Text with all that a terminal would obey written as escapes.

    These are control characters, lone surrogates, separators of lines, and marks that turn the
    direction of other text; joiners and combining marks stay.

    Parameters
    ----------
    keep : str
        Control characters that stay, such as line ends.

    Examples
    --------
    >>> printable("a\x1b[2Jb")
    'a\\x1b[2Jb'
    """
    if text.isprintable():
        return text
    return "".join(
        char.encode("unicode_escape").decode() if _is_unseen(char) and char not in keep else char
        for char in text
    )


def _is_unseen(char: str) -> bool:
    return char in _BIDI or unicodedata.category(char) in _UNSEEN
