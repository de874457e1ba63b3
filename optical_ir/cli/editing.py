"""The verbs on multi-vector indexes that are there: merge, add, delete, compact, verify."""

from pathlib import Path
from typing import Annotated

import typer

from optical_ir.cli.options import (
    BatchSize,
    CollectionName,
    Device,
    MaxMemory,
    Output,
    Overwrite,
    to_bytes,
)
from optical_ir.console import make_progress, track

_Index = Annotated[Path, typer.Option(help="Folder that `encode` wrote.")]


def merge_indexes(
    parts: Annotated[list[Path], typer.Argument(help="Indexes of one encoder and storage.")],
    output: Output,
    overwrite: Overwrite = False,
) -> None:
    """Join indexes without encoding again: parts of a collection in its order, others as given.

    Files are hard links where the file system has them, so the parts may be removed.
    """
    from optical_ir.indexing import merge

    merge(parts, output, overwrite=overwrite)


def add_documents(
    index: _Index,
    collection: CollectionName,
    encoder: Annotated[
        str | None, typer.Option(help="Where the index's encoder is, if it was moved.")
    ] = None,
    max_memory: MaxMemory = 2,
    batch_size: BatchSize = 32,
    device: Device = None,
) -> None:
    """Encode a collection's documents as an index was encoded, and append them to it.

    The index is the old one until all are there; after a kill the same command goes on. A
    document in a new version is first deleted, then added.
    """
    from optical_ir.indexing import add_collection

    with make_progress() as progress:
        add_collection(
            index,
            collection,
            encoder=encoder,
            max_memory=to_bytes(max_memory),
            batch_size=batch_size,
            device=device,
            progress=lambda docs, total: track(docs, "Encoding", total, progress=progress),
        )


def delete_documents(
    index: _Index,
    ids: Annotated[
        Path | None, typer.Option(help="Text file with a document id a line.", dir_okay=False)
    ] = None,
    doc_id: Annotated[list[str] | None, typer.Option(help="An id; may be repeated.")] = None,
) -> None:
    """Delete documents from an index: no search finds them any more.

    Their vectors stay in the files until compact-index removes them.
    """
    from optical_ir.files import iter_lines
    from optical_ir.indexing import delete_by_id

    listed = [line for _, line in iter_lines(ids)] if ids else []
    if not (doc_ids := [*listed, *(doc_id or [])]):
        raise typer.BadParameter("expected --ids or --doc-id, found neither.")
    delete_by_id(index, doc_ids)


def compact_index(index: _Index) -> None:
    """Free the space of deleted documents, without encoding again."""
    from optical_ir.indexing import compact

    compact(index)


def verify_index(index: _Index) -> None:
    """Compare every file of an index with its SHA-256; an error names the first that differs."""
    from optical_ir.retrieval.index import MultiVectorIndex
    from optical_ir.retrieval.index import verify_index as verify
    from optical_ir.retrieval.token_ann import FOLDER, TokenAnn

    with make_progress() as progress:
        found = verify(
            index, progress=lambda files, total: track(files, "Files", total, progress=progress)
        )
    if (index / FOLDER).exists():
        TokenAnn.open(MultiVectorIndex.open(index), check=True)
    deleted = found.deleted.docs if found.deleted else 0
    typer.echo(
        f"{index}: {found.n_docs - deleted} documents, {found.n_tokens} token vectors of dim "
        f"{found.dim} in {found.storage}, {len(found.shards)} shards: all as described"
    )
