"""Code-switching: how much is replaced, by what, and that it can be repeated anywhere."""

import random
from itertools import pairwise

import pytest
from datasets import Dataset

from optical_ir.collections import Lexicon
from optical_ir.errors import ConfigError
from optical_ir.training import CodeSwitcher, code_switch
from optical_ir.words import WORD

SWAHILI = Lexicon(
    [("paka", "cat"), ("nyumba", "house"), ("makao", "house"), ("kwenda mbele", "advance")]
).inverse()
HAUSA = Lexicon([("kyanwa", "cat"), ("ruwa", "water"), ("ci gaba", "advance")]).inverse()
TEXT = "The cat's  CAT sees a house, water (advance)!"
ROWS = [{"query": f"cat house {n} water", "positive": f"p{n}", "negative": "n"} for n in range(40)]


def switch(text, lexicons, probability, seed=0):
    return code_switch(text, lexicons, random.Random(seed), probability=probability)


def test_nothing_is_replaced_with_probability_0():
    assert switch(TEXT, [SWAHILI, HAUSA], 0) == TEXT


def test_every_known_word_is_replaced_with_probability_1():
    found = {switch(TEXT, [SWAHILI], 1, seed) for seed in range(20)}
    assert found == {
        f"The cat's  paka sees a {house}, water (kwenda mbele)!" for house in ("nyumba", "makao")
    }


def test_share_of_replaced_words_is_the_probability():
    text = " ".join(["cat"] * 4000)
    for probability in (0.25, 0.5, 0.75):
        replaced = switch(text, [SWAHILI], probability).split().count("paka")
        assert replaced / 4000 == pytest.approx(probability, abs=4 * 0.5 / 4000**0.5)


def test_larger_probability_replaces_the_same_words_and_more():
    text = " ".join(["cat house tree"] * 30)
    versions = [switch(text, [SWAHILI, HAUSA], p).split() for p in (0.25, 0.5, 0.75, 1)]
    for fewer, more in pairwise(versions):
        kept = [(a, b) for a, b, was in zip(fewer, more, text.split(), strict=True) if a != was]
        assert all(a == b for a, b in kept)
        assert len(kept) < sum(b != was for b, was in zip(more, text.split(), strict=True))


def test_languages_and_translations_are_drawn_evenly_among_those_that_have_the_word():
    words = switch(" ".join(["cat", "house", "water"] * 2000), [SWAHILI, HAUSA], 1).split()
    counts = {word: words.count(word) / 2000 for word in set(words)}
    halves = ("paka", "kyanwa", "nyumba", "makao")
    assert all(counts[word] == pytest.approx(0.5, abs=0.05) for word in halves)
    assert counts["ruwa"] == 1


def test_what_is_no_word_stays():
    switched = switch(TEXT, [SWAHILI, HAUSA], 1)
    assert WORD.split(TEXT)[:4] == WORD.split(switched)[:4]


def test_row_and_epoch_decide_whatever_the_order():
    switcher = CodeSwitcher(lexicons=[SWAHILI, HAUSA], seed=7)
    cells = [(row, epoch) for row in range(30) for epoch in range(2)]
    first = {(r, e): switcher.switch(TEXT, row=r, epoch=e) for r, e in cells}
    random.Random(1).shuffle(cells)
    again = CodeSwitcher(lexicons=[SWAHILI, HAUSA], seed=7)
    assert {(r, e): again.switch(TEXT, row=r, epoch=e) for r, e in cells} == first
    epochs = [[first[row, epoch] for row in range(30)] for epoch in range(2)]
    assert epochs[0] != epochs[1]
    other = CodeSwitcher(lexicons=[SWAHILI, HAUSA], seed=8)
    assert [other.switch(TEXT, row=row) for row in range(30)] != epochs[0]


def test_rows_change_in_their_query_only_and_stream():
    switcher = CodeSwitcher(lexicons=[SWAHILI])
    rows = list(switcher.iter_epochs(ROWS, 2))
    assert len(rows) == 80
    assert [(r["positive"], r["negative"]) for r in rows] == [
        (r["positive"], r["negative"]) for r in ROWS
    ] * 2
    assert rows[3]["query"] == switcher.switch(ROWS[3]["query"], row=3)
    assert rows[43]["query"] == switcher.switch(ROWS[3]["query"], row=3, epoch=1)
    assert ROWS[0]["query"] == "cat house 0 water"
    endless = ({"query": "cat"} for _ in iter(int, 1))
    assert set(next(switcher.iter_epochs(endless, 1))) == {"query"}


@pytest.mark.parametrize("n_workers", [None, 2])
def test_maps_over_datasets_alike_in_any_number_of_workers(n_workers):
    switcher = CodeSwitcher(lexicons=[SWAHILI, HAUSA])
    mapped = Dataset.from_list(ROWS).map(switcher.switch_row, with_indices=True, num_proc=n_workers)
    assert mapped.to_list() == list(switcher.iter_epochs(ROWS, 1))


def test_bad_settings_are_refused():
    with pytest.raises(ConfigError, match="one lexicon at least, found none"):
        CodeSwitcher(lexicons=[])
    with pytest.raises(ConfigError, match=r"probability between 0 and 1, found 1\.5"):
        CodeSwitcher(lexicons=[SWAHILI], probability=1.5)
