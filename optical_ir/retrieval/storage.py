"""How token vectors lie in the file `vectors.bin` of a shard: rows of equal length, little endian.

    float32, bfloat16, float16   the values
    int8                         a float32 scale, then the values over it, rounded
    pq                           codes of a quantizer beside them, see `product_quantization`

Rows are mapped into memory and decompressed when they are read.
"""

from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from optical_ir.models.encoder import TokenVectors

PQ = "pq"
_FLOATS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
STORAGES = (*_FLOATS, "int8", PQ)
_INT8 = 127
_SCALE_BYTES = 4


class TokenRows(Protocol):
    """Token vectors of a shard, or of an index in memory."""

    def read(self, start: int, end: int) -> Tensor:
        """Read rows, shape (end - start, dim), float32 or bfloat16; a view where it can be."""


class FloatRows:
    """Rows that are kept as they are.

    Parameters
    ----------
    values : Tensor, shape (n_rows, dim), float32, bfloat16 or float16
    """

    def __init__(self, values: Tensor) -> None:
        self.values = values

    def read(self, start: int, end: int) -> Tensor:
        """See `TokenRows`."""
        rows = self.values[start:end]
        return rows.float() if rows.dtype == torch.float16 else rows


class Int8Rows:
    """Rows of a scale and whole numbers.

    Parameters
    ----------
    rows : Tensor, shape (n_rows, 4 + dim), uint8
    """

    def __init__(self, rows: Tensor) -> None:
        self.rows = rows

    def read(self, start: int, end: int) -> Tensor:
        """See `TokenRows`."""
        return _unpack_int8(self.rows[start:end])


def _unpack_int8(rows: Tensor) -> Tensor:
    scales = rows[:, :_SCALE_BYTES].contiguous().view(torch.float32)
    return rows[:, _SCALE_BYTES:].view(torch.int8).float().mul_(scales)


def row_bytes(storage: str, dim: int) -> int:
    """Bytes of a row; of `pq`, whose rows depend on the quantizer, see `Quantizer.code_bytes`."""
    if storage == "int8":
        return _SCALE_BYTES + dim
    return _FLOATS[storage].itemsize * dim


def pack_rows(vectors: TokenVectors, storage: str) -> bytes:
    """Rows of `vectors`, shape (n, dim), float32, as they are stored; not for `pq`."""
    if storage != "int8":
        values = torch.from_numpy(vectors).to(_FLOATS[storage])
        return values.contiguous().view(torch.uint8).numpy().tobytes()
    scales = np.abs(vectors).max(axis=1, keepdims=True, initial=0).astype("<f4") / _INT8
    rounded = np.rint(vectors / np.where(scales > 0, scales, 1)).astype(np.int8)
    return np.concatenate([scales.view(np.uint8), rounded.view(np.uint8)], axis=1).tobytes()


def unpack_rows(packed: bytes, storage: str, dim: int) -> Tensor:
    """Rows that `pack_rows` made, shape (n, dim), float32."""
    rows = torch.frombuffer(bytearray(packed), dtype=torch.uint8).view(-1, row_bytes(storage, dim))
    return _unpack_int8(rows) if storage == "int8" else rows.view(_FLOATS[storage]).float()


def map_rows(path: Path, n_rows: int, storage: str, dim: int) -> TokenRows:
    """Map a file of rows into memory; not for `pq`. Writing to them leaves the file alone."""
    rows = map_bytes(path, n_rows, row_bytes(storage, dim))
    return Int8Rows(rows) if storage == "int8" else FloatRows(rows.view(_FLOATS[storage]))


def map_bytes(path: Path, n_rows: int, width: int) -> Tensor:
    """Map a file into memory as uint8 of shape (n_rows, width)."""
    if not n_rows:
        return torch.empty(0, width, dtype=torch.uint8)
    # Unlike numpy's, this map keeps no file open: an index may have thousands of shards.
    size = n_rows * width
    return torch.from_file(str(path), shared=False, size=size, dtype=torch.uint8).view(-1, width)
