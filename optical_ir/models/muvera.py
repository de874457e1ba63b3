"""MUVERA: fixed-dimensional encodings, one vector for all token embeddings of a text.

The inner product of a query's encoding with a document's estimates their MaxSim, so any index of
one vector a document (Faiss, Lucene's HNSW) can find candidates for it. It is an approximation:
re-rank what it finds by exact MaxSim.

References
----------
Dhulipala et al. (2024), MUVERA: Multi-Vector Retrieval via Fixed Dimensional Encodings, NeurIPS
(arXiv 2405.19504), section 2.1.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from optical_ir.errors import ConfigError
from optical_ir.models.encoder import TokenVectors

Vectors = npt.NDArray[np.float32]

_MOST_BITS = 12
_WIDEST = 2**20


@dataclass(frozen=True, kw_only=True)
class MuveraSettings:
    """How token embeddings are folded into one vector; documents and queries must share it.

    The defaults, few cells of many values, were chosen on the Somali tuning half of FLORES-ICT,
    where they found more at a given width than many cells of few values.

    Attributes
    ----------
    repetitions : int
        Independent partitions of the space, laid side by side (R_reps of the paper).
    bits : int
        Random hyperplanes of a partition, which cut the space into ``2 ** bits`` cells (k_sim).
    projection : int
        Values kept of a token vector in each cell, by random signs (d_proj).
    seed : int
        Of all random numbers. They are the same on every machine and with every NumPy.
    """

    repetitions: int = 20
    bits: int = 1
    projection: int = 64
    seed: int = 42

    def __post_init__(self) -> None:
        for name in ("repetitions", "bits", "projection", "seed"):
            if type(getattr(self, name)) is not int:
                raise ConfigError(
                    f"{name}: expected a whole number, found {getattr(self, name)!r}."
                )
        for name in ("repetitions", "projection"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name}: expected 1 or more, found {getattr(self, name)!r}.")
        if not 0 <= self.bits <= _MOST_BITS:
            raise ConfigError(f"bits: expected 0 to {_MOST_BITS}, found {self.bits!r}.")
        if self.seed < 0:
            raise ConfigError(f"seed: expected 0 or more, found {self.seed!r}.")
        if self.dim > _WIDEST:
            raise ConfigError(
                f"expected a vector of {_WIDEST} values at most, found {self.dim}. Lower "
                "repetitions, bits or projection."
            )

    @property
    def dim(self) -> int:
        """Width of the encodings."""
        return int(self.repetitions * 2**self.bits * self.projection)

    @classmethod
    def from_name(cls, name: str) -> "MuveraSettings":
        """Read settings written as ``muvera-20x1x64``: repetitions, bits, projection.

        Raises
        ------
        ConfigError
            If `name` reads otherwise.
        """
        found = re.fullmatch(r"muvera-(\d+)x(\d+)x(\d+)", name)
        if not found:
            raise ConfigError(
                f"expected muvera-REPETITIONSxBITSxPROJECTION, as muvera-20x1x64, found {name!r}."
            )
        repetitions, bits, projection = map(int, found.groups())
        return cls(repetitions=repetitions, bits=bits, projection=projection)


class Muvera:
    """Fixed-dimensional encodings of token embeddings of one width.

    Parameters
    ----------
    settings : MuveraSettings
    token_dim : int
        Width of the token embeddings.

    Attributes
    ----------
    planes : array, shape (repetitions, bits, token_dim), float32
        Normals of the hyperplanes.
    signs : array, shape (repetitions, projection, token_dim), float32
        Rows of the projections, +-1 / sqrt(projection).
    """

    def __init__(self, settings: MuveraSettings, token_dim: int) -> None:
        self.settings = settings
        shape = (settings.repetitions, settings.bits, token_dim)
        n_planes = int(np.prod(shape))
        signs_shape = (settings.repetitions, settings.projection, token_dim)
        numbers = _uniform(n_planes + int(np.prod(signs_shape)), settings.seed)
        self.planes = ndtri(numbers[:n_planes]).reshape(shape).astype(np.float32)
        signs = np.where(numbers[n_planes:] < 0.5, -1.0, 1.0) / np.sqrt(settings.projection)
        self.signs = signs.reshape(signs_shape).astype(np.float32)

    @property
    def dim(self) -> int:
        """Width of the encodings."""
        return self.settings.dim

    def pool_queries(self, token_vectors: Sequence[TokenVectors]) -> Vectors:
        """Sum the projected token vectors of each cell.

        Parameters
        ----------
        token_vectors : sequence of arrays, shape (n_tokens, token_dim), float32

        Returns
        -------
        array, shape (n_texts, dim), float32
            Unit rows; zero rows for texts without tokens.
        """
        return self._encode(token_vectors, is_document=False)

    def pool_documents(self, token_vectors: Sequence[TokenVectors]) -> Vectors:
        """Average the projected token vectors of each cell; an empty cell gets the nearest token.

        Nearest is the token whose cell differs in the fewest bits, the first one of several.
        Parameters and result are those of `pool_queries`.
        """
        return self._encode(token_vectors, is_document=True)

    def _encode(self, token_vectors: Sequence[TokenVectors], *, is_document: bool) -> Vectors:
        encodings = np.zeros((len(token_vectors), self.settings.dim), np.float32)
        for row, tokens in zip(encodings, token_vectors, strict=True):
            if len(tokens):
                cells, projected = self._cells(tokens), self._project(tokens)
                sums = self._sum_cells(cells, projected)
                if is_document:
                    sums = self._average(sums, cells, projected)
                flat = sums.ravel()
                row[:] = flat / max(float(np.linalg.norm(flat)), 1e-12)
        return encodings

    def _cells(self, tokens: TokenVectors) -> npt.NDArray[np.int64]:
        """Cell of each token in each repetition, shape (repetitions, n_tokens)."""
        above = np.einsum("rbd,nd->rnb", self.planes, tokens, optimize=True) > 0
        powers: npt.NDArray[np.int64] = 1 << np.arange(self.settings.bits, dtype=np.int64)
        cells: npt.NDArray[np.int64] = above @ powers
        return cells

    def _project(self, tokens: TokenVectors) -> Vectors:
        """Projected tokens, shape (repetitions, n_tokens, projection)."""
        projected: Vectors = np.einsum("rpd,nd->rnp", self.signs, tokens, optimize=True)
        return projected

    def _sum_cells(self, cells: npt.NDArray[np.int64], projected: Vectors) -> Vectors:
        """Add up by cell, shape (repetitions, 2 ** bits, projection)."""
        repetitions, _, width = projected.shape
        sums = np.zeros((repetitions, 2**self.settings.bits, width), np.float32)
        np.add.at(sums, (np.arange(repetitions)[:, None], cells), projected)
        return sums

    def _average(self, sums: Vectors, cells: npt.NDArray[np.int64], projected: Vectors) -> Vectors:
        all_cells = np.arange(2**self.settings.bits)
        differing = np.bitwise_count(cells[:, None, :] ^ all_cells[:, None])
        counts = (differing == 0).sum(axis=-1, keepdims=True)
        nearest = differing.argmin(axis=-1)
        filled = np.take_along_axis(projected, nearest[..., None], axis=1)
        averages: Vectors = np.where(counts > 0, sums / np.maximum(counts, 1), filled)
        return averages.astype(np.float32)


def _uniform(count: int, seed: int) -> npt.NDArray[np.float64]:
    """Numbers between 0 and 1, exclusive; NumPy guarantees only the raw bits to stay the same."""
    raw = np.random.PCG64(seed).random_raw(count)
    numbers: npt.NDArray[np.float64] = ((raw >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53
    return numbers
