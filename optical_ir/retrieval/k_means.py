"""Means that stand for many vectors, and the nearest one of each vector.

Comparing every vector with every mean takes time with their product. Many means are put into groups
first, and a vector is compared with the means of the few groups nearest to it: what an inverted
file does with vectors, done with means (Jegou, Douze and Schmid 2011, section IV). The mean that
is found is then sometimes not the nearest but another near one, which product codes make up for.
"""

import math

import numpy as np
import torch
from torch import Tensor

_CHUNK = 1024
"""Vectors compared with all means at a time, always: their number may change last bits."""

_FEW = 2048
"""Means up to which each vector is compared with all of them."""

_GROUPS_PROBED = 12
_GROUP_ITERATIONS = 4
_PART = 1 << 14
"""Vectors put to groups at a time."""


class NearestMeans:
    """Finds means near vectors: the same means for the same vectors, on any number of threads.

    Attributes
    ----------
    means : Tensor, shape (n_means, dim), float32
    """

    def __init__(self, means: Tensor) -> None:
        self.means = means
        self._groups: Tensor | None = None
        if len(means) > _FEW:
            n_groups = round(math.sqrt(len(means)))
            self._groups = k_means(means, n_groups, _GROUP_ITERATIONS, np.random.default_rng(0))
            group_of = nearest_rows(means, self._groups)
            counts = torch.bincount(group_of, minlength=n_groups).tolist()
            self._members = torch.split(torch.argsort(group_of, stable=True), counts)

    def find(self, vectors: Tensor) -> Tensor:
        """Row of a mean at the least Euclidean distance, or nearly, from each vector, int64.

        Parameters
        ----------
        vectors : Tensor, shape (n, dim), float32
        """
        if self._groups is None:
            return nearest_rows(vectors, self.means)
        parts = torch.split(vectors, _PART)
        return torch.cat([self._find_in_groups(part, self._groups) for part in parts])

    def _find_in_groups(self, vectors: Tensor, groups: Tensor) -> Tensor:
        distances = _distances(vectors, groups)
        probed = distances.topk(_GROUPS_PROBED, dim=1, largest=False).indices.flatten()
        # Pairs of a vector and a group, those of a group side by side.
        pairs = torch.argsort(probed, stable=True)
        counts = torch.bincount(probed, minlength=len(groups)).tolist()
        least = torch.full((len(probed),), torch.inf)
        nearest = torch.zeros(len(probed), dtype=torch.int64)
        for own, members in zip(torch.split(pairs, counts), self._members, strict=True):
            if len(own) and len(members):
                rows = vectors[own // _GROUPS_PROBED]
                least[own], places = _distances(rows, self.means[members]).min(dim=1)
                nearest[own] = members[places]
        best = least.view(-1, _GROUPS_PROBED).argmin(dim=1, keepdim=True)
        return nearest.view(-1, _GROUPS_PROBED).gather(1, best)[:, 0]


def k_means(
    sample: Tensor, n_means: int, iterations: int, generator: np.random.Generator
) -> Tensor:
    """Means of Lloyd's algorithm from random rows of the sample; an empty one stays where it is.

    Parameters
    ----------
    sample : Tensor, shape (n, dim), float32
    n_means : int
        Fewer are made where the sample has fewer vectors.
    """
    n_means = min(n_means, len(sample))
    rows = np.sort(generator.permutation(len(sample))[:n_means])
    means = sample[torch.from_numpy(rows)].clone()
    for _ in range(iterations):
        nearest = NearestMeans(means).find(sample)
        counts = torch.bincount(nearest, minlength=n_means)[:, None]
        sums = torch.zeros_like(means).index_add_(0, nearest, sample)
        means = torch.where(counts > 0, sums / counts.clamp(min=1), means)
    return means


def nearest_rows(vectors: Tensor, means: Tensor) -> Tensor:
    """Row of the mean at the least Euclidean distance from each vector, int64."""
    chunks = torch.split(vectors, _CHUNK)
    return torch.cat([_distances(chunk, means).argmin(dim=1) for chunk in chunks])


def _distances(vectors: Tensor, means: Tensor) -> Tensor:
    """Half of the squared distances, less half of the vectors' own squared norms."""
    return torch.addmm(means.square().sum(dim=1) / 2, vectors, means.T, alpha=-1)
