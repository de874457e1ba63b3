"""Words of running text in any script that separates them, and the key they are looked up by."""

import unicodedata

import regex

WORD = regex.compile(
    r"[\p{L}\p{M}\p{N}](?:[\p{L}\p{M}\p{N}\u200c\u200d]|['\u2018\u2019](?=\p{L}))*"
)
"""A word: letters and digits with their combining marks (the vowel signs of Devanagari, Yoruba's
tones), joiners, and the apostrophes between its letters (Hausa ``ma'aikata``, Somali ``lo'da``)."""

_APOSTROPHES = ("\u2018", "\u2019", "\u02bc")


def fold_word(text: str) -> str:
    """Key under which a word or phrase is looked up.

    Case, composition of accented letters, kind of apostrophe and amount of white space do not
    matter; accents do.

    Examples
    --------
    >>> fold_word("Alqur\u2019ani") == fold_word("alqur'ani")
    True
    """
    folded = unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())
    for apostrophe in _APOSTROPHES:
        folded = folded.replace(apostrophe, "'")
    return " ".join(folded.split())
