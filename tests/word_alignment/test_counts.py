"""Laws of translation probabilities, and what pruning keeps of them."""

import pytest

from optical_ir.errors import ConfigError, DataError
from optical_ir.word_alignment import (
    Pruning,
    estimate_probabilities,
    make_lexicon,
)

COUNTS = {"mto": {"river": 6.0, "pillow": 3.0, "the": 1.0, "none": 0.0}, "na": {"and": 0.5}}


def test_probabilities_of_a_word_sum_to_one_before_pruning():
    found = estimate_probabilities(COUNTS | {"never": {"a": 0.0}})
    assert found == {
        "mto": {"river": 0.6, "pillow": 0.3, "the": pytest.approx(0.1)},
        "na": {"and": 1.0},
    }
    assert all(sum(row.values()) == pytest.approx(1) for row in found.values())


@pytest.mark.parametrize(
    ("pruning", "kept"),
    [
        (Pruning(cumulative=1.0), ["river", "pillow", "the"]),
        (Pruning(cumulative=0.9), ["river", "pillow"]),
        (Pruning(cumulative=0.91), ["river", "pillow", "the"]),
        (Pruning(cumulative=0.6), ["river"]),
        (Pruning(n=1), ["river"]),
        (Pruning(min_probability=0.2), ["river", "pillow"]),
    ],
)
def test_the_likeliest_translations_are_kept_as_they_are(pruning, kept):
    lexicon = make_lexicon(COUNTS, pruning)
    assert list(lexicon.probabilities("mto")) == kept
    expected = estimate_probabilities(COUNTS)["mto"]
    assert lexicon.probabilities("mto") == {word: expected[word] for word in kept}
    assert lexicon.probabilities("na") == {"and": 1.0}


def test_order_of_the_counts_does_not_matter():
    turned = {word: dict(reversed(COUNTS[word].items())) for word in reversed(COUNTS)}
    assert list(make_lexicon(turned)) == list(make_lexicon(COUNTS))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"cumulative": 0.0}, "cumulative: expected a value above 0, at most 1, found 0.0"),
        ({"cumulative": 1.1}, "cumulative: .* found 1.1"),
        ({"n": 0}, "n: expected 1 translation or more, found 0"),
        ({"min_probability": 0.0}, "min_probability: expected a value from 1e-6 to 1, found 0.0"),
    ],
)
def test_bounds_out_of_range_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        Pruning(**settings)


def test_a_lexicon_without_translations_is_refused():
    even = {"a": {str(number): 1.0 for number in range(100)}}
    with pytest.raises(DataError, match=r"probability of 0.02 or more, found none. Lower"):
        make_lexicon(even, Pruning(min_probability=0.02))
