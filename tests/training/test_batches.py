"""Laws of batches of like length."""

import numpy as np
import pytest
from datasets import Dataset
from torch.utils.data import ConcatDataset

from optical_ir.training.batches import LengthGroupedBatches, MixedBatches


@pytest.fixture(scope="module")
def dataset():
    """Give 203 pairs of 1 to 40 letters a side."""
    lengths = np.random.default_rng(0).integers(1, 41, 203)
    return Dataset.from_dict({side: ["x" * n for n in lengths] for side in ("source", "target")})


@pytest.mark.parametrize("drop_last", [True, False])
def test_each_epoch_has_every_row_at_most_once_in_whole_batches(dataset, drop_last):
    sampler = LengthGroupedBatches(dataset, 8, drop_last, seed=3)
    batches = list(sampler)
    rows = [row for batch in batches for row in batch]
    assert len(batches) == len(sampler) == (25 if drop_last else 26)
    assert len(rows) == len(set(rows)) == (200 if drop_last else 203)
    assert sorted(map(len, batches))[-25:] == [8] * 25


def test_order_depends_on_seed_and_epoch_alone(dataset):
    one, same, other = (LengthGroupedBatches(dataset, 8, True, seed=s) for s in (3, 3, 4))
    first = list(one)
    assert first == list(one) == list(same) != list(other)
    same.set_epoch(1)
    assert list(same) != first


def test_sentences_of_a_batch_are_more_alike_than_chance(dataset):
    lengths = np.array([len(text) for text in dataset["source"]])
    batches = LengthGroupedBatches(dataset, 8, True, seed=3)
    spread = np.mean([np.ptp(lengths[batch]) for batch in batches])
    assert spread < np.ptp(lengths) / 3


@pytest.fixture
def mixed(dataset):
    """Give a maker of batches from parts of 160 and 43 pairs in shares of 1 to 3."""

    def make(seed=3):
        parts = [dataset.select(range(160)), dataset.select(range(160, 203))]
        samplers = [LengthGroupedBatches(part, 8, True, seed=seed) for part in parts]
        return MixedBatches(ConcatDataset(parts), samplers, seed=seed, shares=[1, 3])

    return make


def test_a_batch_has_pairs_of_one_part_only(mixed):
    batches = list(mixed())
    assert len(batches) == len(mixed()) == 25
    assert {len({row < 160 for row in batch}) for batch in batches} == {1}


def test_parts_come_in_their_shares_and_a_small_one_again_in_another_order(mixed):
    sampler = mixed()
    small = []
    for epoch in range(40):
        sampler.set_epoch(epoch)
        small += [batch for batch in sampler if batch[0] >= 160]
    # 1,000 draws: three standard deviations are .04.
    assert len(small) / 1000 == pytest.approx(0.75, abs=0.04)
    first, second = small[:5], small[5:10]
    for whole in (first, second):
        assert len({row for batch in whole for row in batch}) == 40
    assert first != second


def test_order_of_a_mixture_depends_on_seed_and_epoch_alone(mixed):
    one, other = mixed(), mixed(seed=4)
    first = list(one)
    assert first == list(one) == list(mixed()) != list(other)
    one.set_epoch(1)
    assert list(one) != first
    one.set_epoch(0)
    assert list(one) == first
