"""Laws of batches of like length."""

import numpy as np
import pytest
from datasets import Dataset

from optical_ir.training.batches import LengthGroupedBatches


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
