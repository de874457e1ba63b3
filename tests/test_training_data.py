"""What students learn from: sources drawn from evenly, pairs that do not belong together."""

import pytest

from optical_ir.records import BitextPair
from optical_ir.training import BitextPart
from optical_ir.training_data import balance_sources, misalign

PAIRS = [BitextPair(f"s{number}", f"t{number}") for number in range(50)]


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_a_share_of_the_pairs_get_the_english_of_another(share):
    noisy = misalign(PAIRS, share, seed=1)
    assert [pair.source for pair in noisy] == [pair.source for pair in PAIRS]
    assert sorted(pair.target for pair in noisy) == sorted(pair.target for pair in PAIRS)
    assert sum(ours != theirs for ours, theirs in zip(noisy, PAIRS, strict=True)) == 50 * share


def test_the_same_seed_gives_the_same_noise():
    assert misalign(PAIRS, 0.3, seed=1) == misalign(PAIRS, 0.3, seed=1)
    assert misalign(PAIRS, 0.3, seed=1) != misalign(PAIRS, 0.3, seed=2)


ORIGINS = ["news"] * 30 + ["bible"] * 12 + ["a"] * 5 + ["b"] * 3


@pytest.mark.parametrize("exponent", [0.0, 0.3, 1.0])
def test_sources_are_drawn_from_by_a_power_of_their_size(exponent):
    parts = balance_sources(BitextPart("x.tsv", PAIRS, 0.5), ORIGINS, exponent, 8)
    sizes = {part.name: len(part.pairs) for part in parts}
    assert sizes == {"x.tsv, news": 30, "x.tsv, bible": 12, "x.tsv, others": 8}
    assert sum(part.share for part in parts) == pytest.approx(0.5)
    for part in parts:
        assert part.share / parts[0].share == pytest.approx(
            (len(part.pairs) / len(parts[0].pairs)) ** exponent
        )
    assert sorted(pair for part in parts for pair in part.pairs) == sorted(PAIRS)


def test_small_sources_are_joined_until_they_are_enough():
    parts = balance_sources(BitextPart("x.tsv", PAIRS, 1.0), ORIGINS, 0.0, 9)
    assert {part.name: len(part.pairs) for part in parts} == {
        "x.tsv, news": 30,
        "x.tsv, others": 20,
    }
    (whole,) = balance_sources(BitextPart("x.tsv", PAIRS, 1.0), ORIGINS, 0.0, 100)
    assert sorted(whole.pairs) == sorted(PAIRS)
