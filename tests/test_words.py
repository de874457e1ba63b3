"""What a word is, in the scripts of the queries, and what its look-up does not tell apart."""

import unicodedata

import pytest

from optical_ir.words import WORD, fold_word


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Ma\u2019aikata da 'yan \u0199asa!", ["Ma\u2019aikata", "da", "yan", "\u0199asa"]),
        ("lo'da (bi\u02bca) 'quoted'", ["lo'da", "bi\u02bca", "quoted"]),
        ("\u0938\u0930\u094d\u0935 \u092a\u093e\u0923\u0940\u0964", None),  # Devanagari, danda
        ("ya\u0300ra\u0301 \u1ecdm\u1ecd\u0301", None),  # Yoruba, tones as combining marks
        ("21st-century co2_levels", ["21st", "century", "co2", "levels"]),
        ("\u201c\u2026\u201d - ?", []),
    ],
)
def test_words_keep_their_marks_and_inner_apostrophes(text, words):
    expected = text.strip("\u0964").split() if words is None else words
    assert WORD.findall(text) == expected


@pytest.mark.parametrize("text", ["\u1ecdm\u1ecd\u0301", "STRASSE", "Alqur'ani", "\u0130stanbul"])
def test_folding_is_idempotent_and_blind_to_case_and_composition(text):
    key = fold_word(text)
    assert fold_word(key) == key
    for form in ("NFC", "NFD"):
        assert fold_word(unicodedata.normalize(form, text)) == key
    assert fold_word(f"  {text} \t") == key


def test_folding_tells_apart_what_accents_tell_apart():
    assert fold_word("od\u00f2") != fold_word("odo")
    assert fold_word("stra\u00dfe") == fold_word("STRASSE")
