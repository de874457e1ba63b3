"""Product quantization: token vectors as codes of a quarter of a byte a dimension, by Faiss.

A shard is first written in float16. When it is full, a quantizer is trained on a sample of its
tokens, drawn over the whole shard, and the codes take the place of the vectors. So memory stays
bounded, several processes can each encode their part, and a kill loses no more than the training.

Jegou, Douze and Schmid (2011), Product quantization for nearest neighbor search, IEEE TPAMI 33(1).
"""

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from optical_ir.errors import ConfigError, DataError, DependencyError
from optical_ir.models.encoder import TokenVectors
from optical_ir.retrieval.index_files import QUANTIZER, VECTORS, link_file
from optical_ir.retrieval.storage import map_bytes, row_bytes

STAGED_STORAGE = "float16"
"""Of the rows that wait for their quantizer."""

_TOKENS_A_CENTROID = 39
"""Below this many, Faiss advises against training."""

_CENTROIDS = 256
_SAMPLE = 16384
"""Tokens at most that a quantizer is trained on."""

_SEED = 42


class Quantizer:
    """A trained quantizer.

    Parameters
    ----------
    index : faiss.Index
        One that is a codec by itself.
    """

    def __init__(self, index: Any) -> None:
        self._index = index

    @classmethod
    def train(cls, vectors: TokenVectors) -> "Quantizer":
        """Train on token vectors of shape (n, dim).

        Raises
        ------
        ConfigError
            If there are too few of them.
        """
        faiss = _faiss()
        if len(vectors) < _CENTROIDS:
            raise ConfigError(
                f"storage pq: expected {_CENTROIDS} token vectors or more to learn from, found "
                f"{len(vectors)}. Choose another --storage for so small a collection."
            )
        index = faiss.IndexPQ(vectors.shape[1], n_codes(vectors.shape[1]), 8)
        # Fewer points than Faiss likes are better than none, and are not warned of.
        index.pq.cp.min_points_per_centroid = 1
        index.train(vectors)
        return cls(index)

    @classmethod
    def read(cls, path: Path) -> "Quantizer":
        """Read what `write` wrote.

        Raises
        ------
        DataError
            If it is damaged.
        """
        try:
            return cls(_faiss().read_index(str(path)))
        except RuntimeError as err:
            reason = str(err).strip().splitlines()[-1]
            raise DataError(
                f"{path}: expected a quantizer of Faiss, but it does not load ({reason}). Encode "
                "the collection again."
            ) from err

    def write(self, path: Path) -> None:
        """Write in Faiss's own format."""
        _faiss().write_index(self._index, str(path))

    @property
    def code_bytes(self) -> int:
        """Bytes of a code."""
        return int(self._index.sa_code_size())

    def encode(self, vectors: TokenVectors) -> npt.NDArray[np.uint8]:
        """Codes, shape (n, code_bytes), of token vectors."""
        codes: npt.NDArray[np.uint8] = self._index.sa_encode(np.ascontiguousarray(vectors))
        return codes

    def decode(self, codes: npt.NDArray[np.uint8]) -> Tensor:
        """Give unit rows, shape (n, dim), float32, near the vectors of these codes."""
        decoded = torch.from_numpy(self._index.sa_decode(np.ascontiguousarray(codes)))
        return torch.nn.functional.normalize(decoded, dim=-1)


def n_codes(dim: int) -> int:
    """Bytes of a code: one for each 4 dimensions, or for fewer if these do not divide `dim`."""
    return dim // max(width for width in range(1, 5) if dim % width == 0)


class QuantizedRows:
    """Rows of a shard as codes; see `optical_ir.retrieval.storage.TokenRows`.

    Parameters
    ----------
    folder : Path
        Of the shard.
    n_rows, dim : int

    Raises
    ------
    DataError
        When rows are read, if the quantizer is damaged or not for these codes.
    """

    def __init__(self, folder: Path, n_rows: int, dim: int) -> None:
        size = (folder / VECTORS).stat().st_size
        self._folder, self._dim = folder, dim
        self._width = size // n_rows if n_rows else 0
        self._codes = map_bytes(folder / VECTORS, n_rows, self._width)

    @cached_property
    def _quantizer(self) -> Quantizer:
        quantizer = Quantizer.read(self._folder / QUANTIZER)
        if quantizer.code_bytes != self._width or quantizer._index.d != self._dim:
            raise DataError(
                f"{self._folder / QUANTIZER}: expected a quantizer of dim {self._dim} with codes "
                f"of {self._width} bytes, found another. Encode the collection again."
            )
        return quantizer

    def read(self, start: int, end: int) -> Tensor:
        """See `TokenRows`."""
        if start == end:
            return torch.empty(0, self._dim)
        return self._quantizer.decode(self._codes[start:end].numpy())


def quantize_shard(
    folder: Path, staged: Path, dim: int, *, fallback: Path | None, memory: int
) -> float:
    """Write codes and quantizer of a shard from its staged rows.

    Parameters
    ----------
    staged : Path
        File of rows in `STAGED_STORAGE`.
    fallback : Path, optional
        Quantizer of another shard, for a shard with too few tokens to train one.
    memory : int
        Bytes to use, about.

    Returns
    -------
    float
        Sum of the squared distances of decoded vectors from the staged ones.

    Raises
    ------
    ConfigError
        If there are too few tokens and no `fallback`.
    """
    width = row_bytes(STAGED_STORAGE, dim)
    n_tokens = staged.stat().st_size // width
    at_a_time = max(1024, memory // (16 * dim))
    few = n_tokens < _TOKENS_A_CENTROID * _CENTROIDS
    if few and fallback:
        link_file(fallback, folder / QUANTIZER)
    else:
        Quantizer.train(_sample(staged, n_tokens, dim, min(_SAMPLE, at_a_time))).write(
            folder / QUANTIZER
        )
    # Read back, so that codes are those of the quantizer on disk.
    quantizer, error = Quantizer.read(folder / QUANTIZER), 0.0
    with staged.open("rb") as source, (folder / VECTORS).open("wb") as target:
        while block := source.read(at_a_time * width):
            rows = np.frombuffer(block, "<f2").astype(np.float32).reshape(-1, dim)
            codes = quantizer.encode(rows)
            error += float(np.square(quantizer.decode(codes).numpy() - rows).sum(dtype=np.float64))
            target.write(codes.tobytes())
    return error


def _sample(staged: Path, n_tokens: int, dim: int, size: int) -> TokenVectors:
    rows = np.random.default_rng(_SEED).permutation(n_tokens)[:size]
    values = map_bytes(staged, n_tokens, row_bytes(STAGED_STORAGE, dim)).view(torch.float16)
    return values[torch.from_numpy(np.sort(rows))].float().numpy()


def check_faiss() -> None:
    """Raise `DependencyError` if Faiss is not installed."""
    _faiss()


def _faiss() -> Any:
    try:
        import faiss
    except ImportError as err:
        raise DependencyError(
            "Storage pq needs Faiss. Install it with: pip install 'optical-ir[pyserini]'"
        ) from err
    return faiss
