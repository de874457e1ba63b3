"""Copying a multi-vector index into another engine, again and again without duplicates."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
import torch

from optical_ir.engines.address import Address
from optical_ir.engines.blocks import iter_blocks
from optical_ir.engines.stores import Layout, open_store
from optical_ir.retrieval.index import MultiVectorIndex

Progress = Callable[[Iterable[int], int], Iterable[int]]
"""Passes the places of documents on, of which there are so many, and shows how far they are."""


class Exported(NamedTuple):
    """How many documents were written, were there already, and were removed."""

    written: int
    kept: int
    removed: int


def export_index(
    index: MultiVectorIndex,
    address: Address,
    *,
    prune: bool = False,
    overwrite: bool = False,
    progress: Progress = lambda rows, total: rows,
) -> Exported:
    """Bring a collection of another engine up to date with an index.

    Documents whose token embeddings are there are left alone, so that after a kill the same call
    goes on where it stopped, and after a change of the index it writes what changed. Documents
    that the index has as deleted are removed. Memory holds one block of documents, and of all
    documents in the collection an id and a hash.

    Parameters
    ----------
    prune : bool
        Whether documents in the collection that the index does not know are removed too.
    overwrite : bool
        Whether a Vespa feed that exists may be replaced.

    Raises
    ------
    ConfigError, DataError, DependencyError
        See `open_store`.
    """
    layout = Layout(dim=index.dim, space=index.space, is_half=_is_half(index))
    n_docs = len(index.doc_ids)
    written = kept = 0
    with open_store(address, layout, overwrite=overwrite) as store:
        present = store.digests()
        known = present or {}
        for block in iter_blocks(index, progress(range(n_docs), n_docs)):
            found = block.digests()
            new = {doc_id for doc_id, digest in found.items() if known.get(doc_id) != digest}
            if new:
                store.put(block.only(new))
            written, kept = written + len(new), kept + len(found) - len(new)
        gone = _gone(index, None if present is None else set(present), prune=prune)
        if gone:
            store.remove(gone)
    return Exported(written, kept, len(gone))


def _is_half(index: MultiVectorIndex) -> bool:
    row = int(np.argmax(np.diff(index.offsets) > 0))
    return index.token_vectors(row, row + 1).dtype == torch.bfloat16


def _gone(index: MultiVectorIndex, present: set[str] | None, *, prune: bool) -> list[str]:
    """Documents that may be in a collection and are not to be found any more, in their order."""
    searched = np.logical_and(index.live, np.diff(index.offsets) > 0)
    found = {index.doc_ids[row] for row in np.flatnonzero(searched)}
    if present is None:
        return sorted(set(index.doc_ids) - found)
    return sorted((present if prune else present.intersection(index.doc_ids)) - found)
