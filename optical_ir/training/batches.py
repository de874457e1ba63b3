"""Which pairs make a batch: those of like length, from the parts of a bitext by their shares."""

from collections.abc import Iterator, Sequence
from itertools import count
from typing import Any

import torch
from datasets import Dataset
from sentence_transformers.base.sampler import DefaultBatchSampler, MultiDatasetDefaultBatchSampler
from torch.utils.data import RandomSampler

_ROUNDS = 1_000_000
"""More passes over a part than an epoch can need; each has an order of its own."""

_POOL = 50
"""Batches whose sentences are sorted together, as in transformers' LengthGroupedSampler."""


class LengthGroupedBatches(DefaultBatchSampler):
    """Batches in random order, each of pairs of like length.

    Pairs are shuffled, sorted by length within pools of 50 batches (fewer where the bitext is
    small) and cut; then the batches are shuffled. The order depends on seed and epoch alone, so
    a resumed run sees the same batches.
    """

    def __init__(self, dataset: Dataset, batch_size: int, drop_last: bool, **kwargs: Any) -> None:
        super().__init__(RandomSampler(dataset), batch_size, drop_last, seed=kwargs.get("seed", 0))
        self.lengths = torch.tensor(
            [len(row["source"]) + len(row["target"]) for row in dataset], dtype=torch.long
        )

    def __iter__(self) -> Iterator[list[int]]:
        """Yield the row numbers of each batch of the current epoch."""
        generator = torch.Generator().manual_seed(self.seed + self.epoch)
        pool = max(1, min(_POOL, len(self.lengths) // (4 * self.batch_size))) * self.batch_size
        batches: list[torch.Tensor] = []
        shuffled = torch.randperm(len(self.lengths), generator=generator)
        for rows in torch.split(shuffled, pool):
            ordered = rows[self.lengths[rows].argsort(stable=True)]
            batches += torch.split(ordered, self.batch_size)
        whole = [rows for rows in batches if len(rows) == self.batch_size or not self.drop_last]
        for number in torch.randperm(len(whole), generator=generator):
            yield whole[number].tolist()


class MixedBatches(MultiDatasetDefaultBatchSampler):
    """Batches from several parts, drawn at random in proportion to their shares.

    A batch has pairs of one part only, so that in-batch comparisons stay within a language. An
    epoch is as many batches as the parts have together; a part whose pairs are used up before
    the epoch ends is shuffled and begun again. The order depends on seed and epoch alone.

    Parameters
    ----------
    dataset, batch_samplers, generator, seed
        See `MultiDatasetDefaultBatchSampler`.
    shares : sequence of float
        One a part, above 0; relative to each other.
    """

    def __init__(self, *args: Any, shares: Sequence[float], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.shares = torch.tensor(shares, dtype=torch.float64)

    def __iter__(self) -> Iterator[list[int]]:
        """Yield the row numbers of each batch of the current epoch."""
        generator = torch.Generator().manual_seed(self.seed + self.epoch)
        parts = torch.multinomial(self.shares, len(self), replacement=True, generator=generator)
        starts = [0, *self.dataset.cumulative_sizes]
        streams = [self._repeat(number) for number in range(len(self.batch_samplers))]
        for part in parts.tolist():
            yield [starts[part] + row for row in next(streams[part])]

    def _repeat(self, part: int) -> Iterator[list[int]]:
        sampler: Any = self.batch_samplers[part]
        for number in count(self.epoch * _ROUNDS):
            sampler.set_epoch(number)
            yield from sampler

    def __len__(self) -> int:
        """Batches of an epoch."""
        return sum(map(len, self.batch_samplers))
