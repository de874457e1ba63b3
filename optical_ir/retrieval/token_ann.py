"""Token codes beside a multi-vector index, to find candidates without reading its embeddings.

    <index>/ann/ann.json               which index they belong to, sizes, checksums
    <index>/ann/centroids.bin          float32 (n_centroids, dim)
    <index>/ann/rotation.bin           float32 (dim, n_parts * width)
    <index>/ann/codewords.bin          float32 (n_parts, 256, width)
    <index>/ann/entry_counts.bin       int32 (n_docs), entries of each document
    <index>/ann/entry_centroids.bin    uint16 (n_entries)
    <index>/ann/entry_codes.bin        uint8 (n_entries, n_parts)

All tokens of a document that share a centroid make one entry: the product code of their mean,
less the centroid. Topical collections need less than half as many entries as tokens.

References
----------
Santhanam et al. (2022), PLAID, section 4 (centroids first); Clavie et al. (2024), arXiv 2409.14683
(pooling tokens of a document).
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from optical_ir.errors import DataError
from optical_ir.files import sha256_file
from optical_ir.retrieval.codebooks import N_CODEWORDS, Codebooks
from optical_ir.retrieval.index import MultiVectorIndex

FORMAT = 2
FOLDER = "ann"

_SAMPLED_DOCS = 64
"""Documents whose embeddings the fingerprint of an index covers."""

_UNCHECKED = "entry_codes.bin"
"""Large, and any bytes are valid codes: only its size is checked, unless asked for."""


@dataclass(frozen=True)
class TokenAnn:
    """Opened token codes of an index, all memory-mapped.

    Attributes
    ----------
    codebooks : Codebooks
    entry_offsets : array, shape (n_docs + 1,), int64
        Document i has the entries ``entry_offsets[i]:entry_offsets[i + 1]``.
    entry_centroids : array, shape (n_entries,), uint16
    entry_codes : array, shape (n_entries, n_parts), uint8
    """

    folder: Path
    codebooks: Codebooks
    entry_offsets: npt.NDArray[np.int64]
    entry_centroids: npt.NDArray[np.uint16]
    entry_codes: npt.NDArray[np.uint8]

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return sum(path.stat().st_size for path in self.folder.glob("*.bin"))

    @classmethod
    def open(cls, index: MultiVectorIndex, *, check: bool = False) -> "TokenAnn":
        """Open the token codes of an index.

        Parameters
        ----------
        check : bool
            Compare the SHA-256 of every file; otherwise of all but the product codes.

        Raises
        ------
        DataError
            If there are none, or they are damaged or belong to another state of the index.
        """
        folder = index.folder / FOLDER
        description = _read_description(folder)
        if description.get("index") != fingerprint(index):
            raise DataError(
                f"{folder}: expected token codes of the index {index.folder} as it is, found those "
                "of another or of an earlier state. Run optical-ir compress --overwrite."
            )
        _check_files(folder, description, every=check)
        n_entries, n_parts = description["n_entries"], description["n_parts"]
        counts = np.fromfile(folder / "entry_counts.bin", np.int32)
        return cls(
            folder=folder,
            codebooks=read_codebooks(folder, index.dim, n_parts),
            entry_offsets=np.concatenate([[0], np.cumsum(counts, dtype=np.int64)]),
            entry_centroids=_map(folder, "entry_centroids", np.uint16, (n_entries,)),
            entry_codes=_map(folder, "entry_codes", np.uint8, (n_entries, n_parts)),
        )


def fingerprint(index: MultiVectorIndex) -> str:
    """Tell an index from any other, and from itself before documents were added.

    Covers the embedding space, the ids and lengths of all documents and the embeddings of some,
    evenly spaced; not which documents are deleted, as their codes stay as they were.
    """
    digest = hashlib.sha256(f"{index.dim} {index.space}\n".encode())
    digest.update(np.ascontiguousarray(index.offsets, np.int64).tobytes())
    digest.update("\n".join(index.doc_ids).encode())
    filled = np.flatnonzero(np.diff(index.offsets))
    places = np.linspace(0, len(filled) - 1, min(_SAMPLED_DOCS, len(filled))).astype(np.int64)
    digest.update(index.gather(filled[places]).numpy().tobytes())
    return digest.hexdigest()


def read_codebooks(folder: Path, dim: int, n_parts: int) -> Codebooks:
    """Read codebooks that `write_codebooks` wrote."""
    width = -(-dim // n_parts)
    shapes = {
        "centroids": (-1, dim),
        "rotation": (dim, n_parts * width),
        "codewords": (n_parts, N_CODEWORDS, width),
    }
    read = (np.fromfile(folder / f"{name}.bin", np.float32) for name in shapes)
    arrays = (array.reshape(own) for array, own in zip(read, shapes.values(), strict=True))
    return Codebooks(*(torch.from_numpy(array) for array in arrays))


def write_codebooks(folder: Path, codebooks: Codebooks) -> None:
    """Write codebooks as plain arrays."""
    for name in ("centroids", "rotation", "codewords"):
        getattr(codebooks, name).numpy().tofile(folder / f"{name}.bin")


def _map(folder: Path, name: str, dtype: Any, shape: tuple[int, ...]) -> npt.NDArray[Any]:
    # Copy on write, as read-only arrays would be compiled for once more.
    return np.asarray(np.memmap(folder / f"{name}.bin", dtype, mode="c", shape=shape))


def _read_description(folder: Path) -> dict[str, Any]:
    path = folder / "ann.json"
    try:
        description: Any = json.loads(path.read_text("utf-8"))
    except FileNotFoundError as err:
        raise DataError(
            f"{folder}: expected the token codes of an index, found none. Make them with: "
            f"optical-ir compress --index {folder.parent}"
        ) from err
    except ValueError as err:
        raise DataError(
            f"{path}: is not JSON ({err}). Run optical-ir compress --overwrite."
        ) from err
    if not isinstance(description, dict) or description.get("format") != FORMAT:
        found = description.get("format") if isinstance(description, dict) else None
        raise DataError(
            f"{path}: expected format {FORMAT}, found {found!r}. Run optical-ir compress "
            "--overwrite."
        )
    return description


def _check_files(folder: Path, description: dict[str, Any], *, every: bool) -> None:
    for name, (size, checksum) in description["files"].items():
        path = folder / name
        found = path.stat().st_size if path.exists() else None
        unchecked = name == _UNCHECKED and not every
        same = found == size and (unchecked or sha256_file(path) == checksum)
        if not same:
            raise DataError(
                f"{path}: expected {size} bytes that ann.json describes, found "
                f"{'none' if found is None else f'{found} others'}. The token codes are damaged: "
                "run optical-ir compress --overwrite."
            )
