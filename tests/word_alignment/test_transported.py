"""Words aligned by transport: identity, order, agreement with single alignments."""

import numpy as np
import pytest

from optical_ir.alignment import align, group_words
from optical_ir.errors import ConfigError, DataError
from optical_ir.models.tokens import scored_tokens
from optical_ir.records import BitextPair
from optical_ir.transport import PLANS
from optical_ir.word_alignment import count_by_transport, estimate_probabilities
from optical_ir.word_alignment.transported import find_words

SENTENCES = [
    "the old dogs see a cat",
    "red bird, small house!",
    "the tree",
    "water under the big tree eats dogs",
    "Mbwa zee",
]
PAIRS = [
    BitextPair("mbwa zee ona paka nyekundu.", "the old dogs see a cat"),
    BitextPair("ndege nyekundu", "red bird, small"),
    BitextPair("mti", "the tree"),
    BitextPair("maji chini", "water under the big tree"),
]


@pytest.mark.parametrize("plan", ["exact", "entropic", "dustbin"])
def test_identical_sentences_give_identity(tiny_encoder, plan):
    pairs = [BitextPair(text, text) for text in SENTENCES]
    counts = count_by_transport(
        pairs, tiny_encoder, tiny_encoder, plan=plan, epsilon=0.01, batch_size=2
    )
    found = estimate_probabilities(counts)
    assert set(found) >= {"the", "dogs", "red", "mbwa", "water"}
    for word, row in found.items():
        assert max(row, key=row.__getitem__) == word
        assert row[word] > 0.9
        assert sum(row.values()) == pytest.approx(1)


@pytest.mark.parametrize("plan", PLANS)
def test_counts_are_the_shares_of_single_alignments(tiny_encoder, plan):
    expected: dict[str, dict[str, float]] = {}
    for pair in PAIRS:
        found = group_words(align(tiny_encoder, tiny_encoder, *pair, plan=plan))
        for token, shares in zip(found.source, found.shares, strict=True):
            row = expected.setdefault(token.text.lower(), {})
            for other, share in zip(found.target, shares, strict=True):
                row[other.text] = row.get(other.text, 0.0) + share
    counts = count_by_transport(PAIRS, tiny_encoder, tiny_encoder, plan=plan, batch_size=3)
    assert set(counts) == set(expected)
    for word, row in expected.items():
        # Sinkhorn stops for a batch together.
        assert counts[word] == pytest.approx(row, abs=2e-2)


def test_each_occurrence_of_a_word_counts_one_at_most(tiny_encoder):
    counts = count_by_transport(PAIRS, tiny_encoder, tiny_encoder)
    totals = {word: sum(row.values()) for word, row in counts.items()}
    assert totals == {
        word: pytest.approx(2 if word == "nyekundu" else 1, abs=0.02) for word in counts
    }


def test_order_of_the_pairs_does_not_matter_and_progress_is_told(tiny_encoder):
    done = []
    first = count_by_transport(PAIRS, tiny_encoder, tiny_encoder, batch_size=3, advance=done.append)
    assert done == [3, 1]
    assert count_by_transport(PAIRS[::-1], tiny_encoder, tiny_encoder, batch_size=3) == first


def test_words_are_those_of_lexicons(tiny_encoder):
    text = "Red-big dogs ... 'house' a"
    tokens = scored_tokens(tiny_encoder, text)
    words, membership = find_words(text, tokens)
    assert words == ["red", "big", "dogs", "house", "a"]
    assert membership.shape == (5, len(tokens))
    assert (membership.sum(0) == 1).all()
    pieces = ["".join(tokens[i].text for i in np.flatnonzero(row)).lower() for row in membership]
    assert pieces == words
    assert find_words(text, tokens[:1])[0] == ["red"]
    assert find_words("?", [])[1].shape == (0, 0)


def test_pairs_without_words_are_left_out(tiny_encoder):
    pairs = [BitextPair("?!", "dog"), BitextPair("mbwa", "..."), BitextPair("mbwa", "dog")]
    counts = count_by_transport(pairs, tiny_encoder, tiny_encoder)
    assert counts == {"mbwa": {"dog": pytest.approx(1)}}
    with pytest.raises(DataError, match="words on both sides, found none among 2"):
        count_by_transport(pairs[:2], tiny_encoder, tiny_encoder)


def test_unknown_plans_and_bad_settings_are_refused(tiny_encoder):
    with pytest.raises(ConfigError, match=r"plan: expected one of entropic, .* found 'best'"):
        count_by_transport(PAIRS, tiny_encoder, tiny_encoder, plan="best")
    with pytest.raises(ConfigError, match=r"plan unbalanced: .*epsilon.* Choose another"):
        count_by_transport(PAIRS, tiny_encoder, tiny_encoder, plan="unbalanced", epsilon=0)
