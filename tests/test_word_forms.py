"""Guesses of translations from words that are spelt alike at one side."""

import random
from collections import Counter

import pytest

from optical_ir.collections import ProbabilisticLexicon, TranslationProbability, read_gloss_lexicon
from optical_ir.word_forms import GuessingLexicon

SUFFIXED = [
    ("dalka", "country", 0.8),
    ("dalkii", "country", 0.6),
    ("dalkii", "land", 0.3),
    ("magaalada", "city", 0.9),
    ("magaaladii", "city", 0.7),
    ("guriga", "house", 1.0),
]
PREFIXED = [(foreign[::-1], english, probability) for foreign, english, probability in SUFFIXED]


@pytest.mark.parametrize(("rows", "by_end"), [(SUFFIXED, False), (PREFIXED, True)])
def test_the_lexicon_tells_at_which_side_its_words_have_their_forms(rows, by_end):
    lexicon = GuessingLexicon(rows)
    assert lexicon.by_end == by_end
    unknown = "magaaladan"[::-1] if by_end else "magaaladan"
    assert lexicon.probabilities(unknown) == pytest.approx({"city": 1.0})


def test_a_known_word_has_what_the_rows_tell():
    lexicon = GuessingLexicon(SUFFIXED)
    assert lexicon.probabilities("DALKII") == {"country": 0.6, "land": 0.3}


def test_forms_vote_with_their_probabilities():
    votes = {"country": 0.8 + 0.6, "land": 0.3}
    expected = {english: vote / 1.7 for english, vote in votes.items()}
    assert GuessingLexicon(SUFFIXED).guess("dalkaan") == pytest.approx({"country": 1.0})
    assert GuessingLexicon(SUFFIXED).guess("dalko") == pytest.approx(expected)


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("dal", "fewer than four letters"),
        ("magantahay", "less than six tenths of its letters in common"),
        ("guriga", "nothing but itself to guess from"),
        ("", "no letter"),
    ],
)
def test_what_has_no_forms_has_no_guess(word, reason):
    assert GuessingLexicon(SUFFIXED).guess(word) == {}, reason


def test_numbers_and_english_words_have_no_guess():
    rows = [*SUFFIXED, ("19561", "athens", 1.0), ("obamaha", "obama", 1.0)]
    lexicon = GuessingLexicon(rows)
    assert lexicon.guess("19562") == {}
    assert lexicon.guess("obama") == {}
    assert lexicon.guess("obamahii") == {"obama": 1.0}


def test_nothing_is_guessed_where_the_forms_disagree():
    rows = [(f"kala{letter}", f"meaning {letter}", 1.0) for letter in "bcd"]
    assert set(GuessingLexicon(rows).guess("kalax")) == {f"meaning {letter}" for letter in "bcd"}
    rows.append(("kalaf", "meaning f", 1.0))
    assert GuessingLexicon(rows).guess("kalax") == {}


def guess_by_scanning(rows, word):
    """Compare with every word in turn, by the definition; forms share their beginning."""
    shared = {}
    for foreign, _, _ in rows:
        same = [a == b for a, b in zip(foreign, word, strict=False)]
        shared[foreign] = next((n for n, equal in enumerate(same) if not equal), len(same))
    shared.pop(word, None)
    longest = max(shared.values(), default=0)
    if longest < max(4, 0.6 * len(word)):
        return {}
    votes = Counter()
    for foreign, english, probability in rows:
        if foreign != word and shared[foreign] == longest:
            votes[english] += probability
    total = sum(votes.values())
    if max(votes.values()) < 0.3 * total:
        return {}
    return {english: vote / total for english, vote in votes.items()}


def test_guesses_are_those_of_comparing_with_every_word():
    rng = random.Random(42)
    words = sorted({"".join(rng.choices("ab", k=rng.randint(4, 9))) for _ in range(120)})
    # The endings say nothing, so that the side is the beginning.
    rows = [(word, f"as {word[:5]}", rng.choice((0.4, 0.9))) for word in words[::2]]
    shuffled = rng.sample(rows, len(rows))
    lexicon, other = GuessingLexicon(rows), GuessingLexicon(shuffled)
    assert not lexicon.by_end
    for word in words:
        expected = guess_by_scanning(rows, word)
        assert lexicon.guess(word) == pytest.approx(expected), word
        assert other.guess(word) == pytest.approx(expected), word


def test_a_lexicon_without_words_guesses_nothing():
    assert GuessingLexicon([]).probabilities("dalka") == {}


def test_a_lexicon_file_is_read_with_guesses_or_without(tmp_path):
    path = tmp_path / "so.tsv"
    path.write_text("".join(f"{a}\t{b}\t{c}\n" for a, b, c in SUFFIXED), "utf-8")
    assert read_gloss_lexicon(path).probabilities("magaaladan") == {"city": 1.0}
    plain = read_gloss_lexicon(path, word_forms=False)
    assert plain.probabilities("magaaladan") == {}
    rows = [TranslationProbability(*row) for row in SUFFIXED]
    assert list(plain) == list(ProbabilisticLexicon(rows))
