"""Which pairs are like queries."""

from itertools import pairwise

import pytest

from optical_ir.collections import select_like
from optical_ir.errors import ConfigError
from optical_ir.records import BitextPair

ASKED = [
    "who built the old bridge",
    "when did the river flood",
    "who wrote the first song",
    "when was the school opened",
]
TOLD = [
    "He said that it would rain.",
    "And they went up to the hill.",
    "It is said that they came home.",
    "And he gave them bread and fish.",
]
QUERIES = ["who painted the wall", "when did the market open", "who found the lost boat"]
PAIRS = [
    BitextPair(f"s{number}", text)
    for number, both in enumerate(zip(TOLD, ASKED, strict=True))
    for text in both
]


def test_sentences_like_the_queries_are_kept_in_their_order():
    assert [pair.target for pair in select_like(PAIRS, QUERIES, 0.5)] == ASKED


def test_fewer_are_among_more():
    kept = [select_like(PAIRS, QUERIES, share) for share in (0.01, 0.25, 0.6, 1.0)]
    assert [len(pairs) for pairs in kept] == [1, 2, 5, 8]
    assert kept[-1] == PAIRS
    for fewer, more in pairwise(kept):
        assert set(fewer) < set(more)


@pytest.mark.parametrize("share", [0, -0.5, 1.5, float("nan")])
def test_a_share_that_cannot_be_is_refused(share):
    with pytest.raises(ConfigError, match="expected a share above 0 and at most 1, found"):
        select_like(PAIRS, QUERIES, share)


@pytest.mark.parametrize(("pairs", "queries"), [([], QUERIES), (PAIRS, [])])
def test_nothing_to_choose_from_or_by_is_refused(pairs, queries):
    with pytest.raises(ConfigError, match="expected pairs to choose from and queries"):
        select_like(pairs, queries, 0.5)
