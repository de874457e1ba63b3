"""Glosses: what is appended to a query, and that nothing of the query is lost."""

import random

import pytest

from optical_ir.collections import ProbabilisticLexicon, TranslationProbability
from optical_ir.glosses import add_gloss, gloss_bitext, gloss_queries
from optical_ir.records import BitextPair, Query
from optical_ir.word_forms import GuessingLexicon

ROWS = [
    TranslationProbability("paka", "cat", 0.7),
    TranslationProbability("paka", "roof", 0.2),
    TranslationProbability("mdogo", "young", 0.3),
    TranslationProbability("mdogo", "small", 0.6),
    TranslationProbability("ma'aikata", "workers", 1.0),
]
LEXICON = ProbabilisticLexicon(ROWS)


@pytest.mark.parametrize(
    ("text", "glossed"),
    [
        ("paka mdogo", "paka mdogo cat small"),
        ("PAKA, mdogo!", "PAKA, mdogo! cat small"),
        ("Paka wa Asha?", "Paka wa Asha? cat wa Asha"),
        ("paka paka", "paka paka cat cat"),
        ("Ma\u2019aikata", "Ma\u2019aikata workers"),
    ],
)
def test_each_word_is_followed_by_its_likeliest_translation(text, glossed):
    assert add_gloss(text, LEXICON) == glossed


@pytest.mark.parametrize("text", ["", "  ", "?!", "Asha 1961", "What is a cat?"])
def test_a_text_without_a_known_word_stays_as_it_is(text):
    assert add_gloss(text, LEXICON) == text


def test_a_gloss_depends_on_the_probabilities_and_not_on_their_order():
    rows = [*ROWS, TranslationProbability("moto", "fire", 0.4)]
    rows += [TranslationProbability("moto", "heat", 0.4)]
    texts = set()
    for seed in range(10):
        random.Random(seed).shuffle(rows)
        texts.add(add_gloss("paka mdogo moto", ProbabilisticLexicon(rows)))
    assert texts == {"paka mdogo moto cat small fire"}


def test_queries_keep_their_ids_and_their_order():
    queries = [Query("q2", "paka"), Query("q1", "Asha"), Query("q3", "mdogo")]
    assert gloss_queries(queries, LEXICON) == [
        Query("q2", "paka cat"),
        Query("q1", "Asha"),
        Query("q3", "mdogo small"),
    ]


def test_in_training_a_word_of_a_single_pair_counts_as_unknown():
    pairs = [
        BitextPair("Paka mdogo", "A small cat"),
        BitextPair("paka wa ma'aikata paka", "The cats of the workers"),
        BitextPair("Asha", "Asha"),
    ]
    assert gloss_bitext(pairs, LEXICON) == [
        BitextPair("Paka mdogo cat mdogo", "A small cat"),
        BitextPair("paka wa ma'aikata paka cat wa ma'aikata cat", "The cats of the workers"),
        BitextPair("Asha", "Asha"),
    ]
    twice = [*pairs, BitextPair("MDOGO", "Small")]
    assert gloss_bitext(twice, LEXICON)[0].source == "Paka mdogo cat small"


def test_in_training_a_word_of_a_single_pair_is_guessed_from_others_than_itself():
    rows = [("magaalada", "city", 1.0), ("magaaladii", "town", 1.0), ("dalkii", "land", 1.0)]
    pairs = [
        BitextPair("magaalada", "the city"),
        BitextPair("Magaaladii", "That town"),
        BitextPair("magaalada dalkii", "a city of the land"),
    ]
    assert gloss_bitext(pairs, GuessingLexicon(rows)) == [
        BitextPair("magaalada city", "the city"),
        BitextPair("Magaaladii city", "That town"),
        BitextPair("magaalada dalkii city dalkii", "a city of the land"),
    ]
