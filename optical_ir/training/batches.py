"""Batches of sentences of like length, so that little of a step is spent on padding."""

from collections.abc import Iterator
from typing import Any

import torch
from datasets import Dataset
from sentence_transformers.base.sampler import DefaultBatchSampler
from torch.utils.data import RandomSampler

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
