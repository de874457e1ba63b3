"""What students learn from: fewer pairs, and pairs that do not belong together."""

import pytest

from optical_ir.records import BitextPair
from optical_ir.training_data import misalign

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
