"""The multi-vector index: token vectors of all documents, memory-mapped from shards.

Documents are encoded once, by the teacher; every student that was distilled from it searches
the same index. `index_files` describes the files, `index_build` writes them, `index_edit` adds
and deletes documents, `index_merge` joins what several processes have encoded.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from optical_ir.errors import DataError
from optical_ir.records import Doc
from optical_ir.retrieval.index_build import AnyEncoder, BuildSettings, write_index
from optical_ir.retrieval.index_description import (
    Description,
    Shard,
    read_deleted,
    read_description,
)
from optical_ir.retrieval.index_files import IDS, LENGTHS, VECTORS, check_sizes, check_sum
from optical_ir.retrieval.product_quantization import QuantizedRows
from optical_ir.retrieval.storage import PQ, FloatRows, TokenRows, map_rows

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class MultiVectorIndex:
    """An opened index.

    Attributes
    ----------
    folder : Path
    shards : sequence of TokenRows
    shard_docs : array, shape (n_shards + 1,), int64
        Shard i has the documents ``shard_docs[i]:shard_docs[i + 1]``.
    offsets : array, shape (n_docs + 1,), int64
        Document i has the tokens ``offsets[i]:offsets[i + 1]``.
    doc_ids : list of str
        In the order of the index, deleted ones among them.
    live : array, shape (n_docs,), bool
        False for deleted documents.
    space : str
        Key of the embedding space, see `optical_ir.models.embedding_space`.
    dim : int
        Width of the token vectors.
    storage : str
        How they are stored, see `optical_ir.retrieval.storage`.
    pool_factor : float
        A document has about this part of its token vectors, clustered; 1 for all.
    """

    folder: Path
    shards: Sequence[TokenRows]
    shard_docs: Rows
    offsets: Rows
    doc_ids: list[str]
    live: npt.NDArray[np.bool_]
    space: str
    dim: int
    storage: str
    pool_factor: float = 1

    @classmethod
    def open(cls, folder: Path | str, *, check: bool = False) -> "MultiVectorIndex":
        """Open the index in `folder`.

        Parameters
        ----------
        check : bool
            Compare the SHA-256 of every file; otherwise sizes, and the SHA-256 of all but the
            token vectors.

        Raises
        ------
        DataError
            If there is no index, or its files do not fit its description.
        """
        folder = Path(folder)
        description = read_description(folder)
        check_sizes(description.files(folder))
        for path, facts in description.files(folder):
            if check or path.name != VECTORS:
                check_sum(path, facts)
        lengths, doc_ids = _read_documents(folder, description.shards)
        return cls(
            folder=folder,
            shards=[_open_rows(folder, shard, description) for shard in description.shards],
            shard_docs=np.cumsum(
                [0, *(shard.docs for shard in description.shards)], dtype=np.int64
            ),
            offsets=np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]),
            doc_ids=doc_ids,
            live=_read_live(folder, description),
            space=description.space,
            dim=description.dim,
            storage=description.storage,
            pool_factor=description.pool_factor,
        )

    @classmethod
    def from_tensor(
        cls, folder: Path, embeddings: Tensor, offsets: Rows, doc_ids: list[str], space: str
    ) -> "MultiVectorIndex":
        """Make an index of token vectors in memory.

        Parameters
        ----------
        folder : Path
            A name; nothing is written.
        embeddings : Tensor, shape (n_tokens, dim), float32, bfloat16 or float16
        offsets : array, shape (n_docs + 1,), int64
        """
        return cls(
            folder=folder,
            shards=[FloatRows(embeddings)],
            shard_docs=np.array([0, len(doc_ids)], np.int64),
            offsets=offsets,
            doc_ids=doc_ids,
            live=np.ones(len(doc_ids), np.bool_),
            space=space,
            dim=embeddings.shape[1],
            storage=str(embeddings.dtype).removeprefix("torch."),
        )

    @cached_property
    def rows(self) -> dict[str, int]:
        """Places of the documents that are not deleted, by id."""
        return {self.doc_ids[row]: row for row in np.flatnonzero(self.live).tolist()}

    @cached_property
    def _shard_tokens(self) -> list[int]:
        """First token of each shard, and their number."""
        return [int(token) for token in self.offsets[self.shard_docs]]

    def token_vectors(self, first: int, last: int) -> Tensor:
        """Token vectors of the documents `first` to `last`, the latter excluded.

        Returns
        -------
        Tensor, shape (offsets[last] - offsets[first], dim), float32 or bfloat16
            Where they are of one shard in float32 or bfloat16, a view of the file.
        """
        start, end = int(self.offsets[first]), int(self.offsets[last])
        pieces = []
        number = bisect_right(self._shard_tokens, start) - 1
        while start < end:
            low, high = self._shard_tokens[number : number + 2]
            pieces.append(self.shards[number].read(start - low, min(end, high) - low))
            start, number = high, number + 1
        if len(pieces) == 1:
            return pieces[0]
        return torch.cat(pieces) if pieces else torch.empty(0, self.dim)

    def gather(self, rows: Rows, *, out: Tensor | None = None) -> Tensor:
        """Token vectors of some documents, one after another.

        Parameters
        ----------
        rows : array, shape (n,), int64
            Places of the documents in the index.
        out : Tensor, shape (at least n_tokens, dim), float32, optional
            Memory to put them into. In a loop, new memory costs more than the copies.

        Returns
        -------
        Tensor, shape (n_tokens, dim), float32
        """
        # Slices: taking row by row costs several times what multiplying them does.
        docs = [self.token_vectors(row, row + 1) for row in rows.tolist()]
        found = torch.cat(docs) if docs else torch.empty(0, self.dim)
        return found.float() if out is None else out[: len(found)].copy_(found)

    def iter_blocks(self, max_tokens: int) -> Iterator[tuple[int, int]]:
        """Ranges of whole documents of at most `max_tokens` tokens, or of one longer document.

        None reaches over the end of a shard, so that `token_vectors` need not copy.
        """
        for first, end in pairwise(self.shard_docs.tolist()):
            while first < end:
                most = self.offsets[first] + max_tokens
                last = int(np.searchsorted(self.offsets, most, side="right")) - 1
                last = min(max(last, first + 1), end)
                yield first, last
                first = last


def _open_rows(folder: Path, shard: Shard, description: Description) -> TokenRows:
    own = folder / shard.name
    if description.storage == PQ:
        return QuantizedRows(own, shard.tokens, description.dim)
    return map_rows(own / VECTORS, shard.tokens, description.storage, description.dim)


def _read_documents(
    folder: Path, shards: Iterable[Shard]
) -> tuple[npt.NDArray[np.int32], list[str]]:
    lengths, doc_ids = [np.empty(0, np.int32)], []
    for shard in shards:
        own_lengths = np.fromfile(folder / shard.name / LENGTHS, "<i4")
        own_ids = (folder / shard.name / IDS).read_text("utf-8").splitlines()
        total = own_lengths.sum(dtype=np.int64)
        found = (len(own_lengths), len(own_ids), total, own_lengths.min(initial=0))
        if found != (shard.docs, shard.docs, shard.tokens, 0):
            raise DataError(
                f"{folder / shard.name}: expected {shard.docs} documents of {shard.tokens} tokens "
                f"together, found {len(own_ids)} ids and {len(own_lengths)} lengths with the sum "
                f"{total}. Encode the collection again."
            )
        lengths.append(own_lengths)
        doc_ids.extend(own_ids)
    return np.concatenate(lengths), doc_ids


def _read_live(folder: Path, description: Description) -> npt.NDArray[np.bool_]:
    live = np.ones(description.n_docs, np.bool_)
    live[read_deleted(folder, description)] = False
    return live


def build_index(
    docs: Iterable[Doc],
    encoder: AnyEncoder,
    output: Path | str,
    *,
    overwrite: bool = False,
    **settings: Unpack[BuildSettings],
) -> MultiVectorIndex:
    """Encode documents into a new index and open it; see `index_build.write_index`."""
    write_index(docs, encoder, output, overwrite=overwrite, **settings)
    return MultiVectorIndex.open(output)


def verify_index(
    folder: Path | str, *, progress: Callable[[Iterable[Any], int], Iterable[Any]] | None = None
) -> Description:
    """Compare the SHA-256 of every file of an index with its description.

    Parameters
    ----------
    progress : callable, optional
        Passes on the files it is given, with their number, and shows how many went by.

    Raises
    ------
    DataError
        If one differs, or the index does not open.
    """
    folder = Path(folder)
    description = read_description(folder)
    check_sizes(description.files(folder))
    files = list(description.files(folder))
    for path, facts in progress(files, len(files)) if progress else files:
        check_sum(path, facts)
    MultiVectorIndex.open(folder)
    return description
