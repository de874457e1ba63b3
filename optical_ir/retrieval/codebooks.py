"""Short codes of token vectors: the nearest centroid, and product codes of what is left.

A vector is near ``centroids[i] + rotation @ (codewords[0][c0], codewords[1][c1], ...)``: its
inner product with a query vector is then a sum of a few numbers, worked out once a query.

References
----------
Jegou, Douze and Schmid (2011), Product Quantization for Nearest Neighbor Search, sections II and
IV; Ge et al. (2013), Optimized Product Quantization, section 3.2.3 (the rotation);
Santhanam et al. (2022), ColBERTv2, section 3.3 (residuals of centroids).
"""

import heapq
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from optical_ir.retrieval.k_means import k_means, nearest_rows

N_CODEWORDS = 256
"""Codewords of a part, so that a code is one byte."""

_CENTROID_ITERATIONS, _CODEWORD_ITERATIONS = 4, 6
_SAMPLE = 12
"""Vectors trained on, for each centroid."""

_PART_SAMPLE = 96
"""Vectors trained on, for each codeword."""


@dataclass(frozen=True)
class Codebooks:
    """What token vectors are put together from.

    Attributes
    ----------
    centroids : Tensor, shape (n_centroids, dim), float32
    rotation : Tensor, shape (dim, n_parts * width), float32
        Orthonormal columns, and zero ones where the parts are wider than the vectors.
    codewords : Tensor, shape (n_parts, 256, width), float32
    """

    centroids: Tensor
    rotation: Tensor
    codewords: Tensor

    def encode(self, residuals: Tensor) -> npt.NDArray[np.uint8]:
        """Nearest codeword of each part of vectors less their centroids, shape (n, n_parts)."""
        parts = split_parts(residuals @ self.rotation, len(self.codewords))
        pairs = zip(parts, self.codewords, strict=True)
        return torch.stack([nearest_rows(*pair) for pair in pairs], dim=1).to(torch.uint8).numpy()


def split_parts(rotated: Tensor, n_parts: int) -> Tensor:
    """Cut vectors, shape (n, n_parts * width), into parts, shape (n_parts, n, width)."""
    return rotated.view(len(rotated), n_parts, -1).transpose(0, 1).contiguous()


def sample_size(n_centroids: int) -> int:
    """Token vectors that training makes good use of."""
    return max(_SAMPLE * n_centroids, _PART_SAMPLE * N_CODEWORDS)


def train_centroids(sample: Tensor, n_centroids: int, generator: np.random.Generator) -> Tensor:
    """Means of a sample of token vectors, float32; not normalised, as inner products are kept.

    Parameters
    ----------
    sample : Tensor, shape (n, dim), float32
    n_centroids : int
        Fewer are made where the sample has fewer vectors.
    """
    return k_means(sample, n_centroids, _CENTROID_ITERATIONS, generator)


def train_codewords(
    residuals: Tensor, n_parts: int, generator: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Rotation and codewords for vectors less their centroids, see `Codebooks`.

    Parameters
    ----------
    residuals : Tensor, shape (n, dim), float32
    """
    keep = np.sort(generator.permutation(len(residuals))[: _PART_SAMPLE * N_CODEWORDS])
    residuals = residuals[torch.from_numpy(keep)]
    rotation = _balance(residuals, n_parts)
    parts = split_parts(residuals @ rotation, n_parts)
    codewords = torch.zeros(n_parts, N_CODEWORDS, parts.shape[2])
    for words, own in zip(codewords, parts, strict=True):
        found = k_means(own, N_CODEWORDS, _CODEWORD_ITERATIONS, generator)
        # Of a tiny sample: rows left over repeat the first, which stays the nearest.
        words[:] = found[0]
        words[: len(found)] = found
    return rotation, codewords


def _balance(residuals: Tensor, n_parts: int) -> Tensor:
    """Principal directions, dealt out so that all parts have about the same volume to cover."""
    dim = residuals.shape[1]
    width = -(-dim // n_parts)
    variances, directions = torch.linalg.eigh(residuals.T @ residuals / len(residuals))
    order = torch.argsort(variances, descending=True)
    logs = variances[order].clamp(min=1e-12).log()
    rotation = torch.zeros(dim, n_parts * width)
    volumes, used = [(0.0, part) for part in range(n_parts)], [0] * n_parts
    for direction, log in zip(order.tolist(), (logs - logs[-1]).tolist(), strict=True):
        volume, part = heapq.heappop(volumes)
        rotation[:, part * width + used[part]] = directions[:, direction]
        used[part] += 1
        if used[part] < width:
            heapq.heappush(volumes, (volume + log, part))
    return rotation
