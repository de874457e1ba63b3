"""Adding documents to an index and deleting some, without encoding the others again.

Each edit takes effect with the renaming of `index.json`: a kill leaves the old index or the new
one. An index that is open goes on reading what it opened.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import numpy.typing as npt

from optical_ir.errors import ConfigError, DataError
from optical_ir.files import lock_output
from optical_ir.records import Doc
from optical_ir.retrieval.index import MultiVectorIndex
from optical_ir.retrieval.index_build import (
    DEFAULT_MEMORY,
    AnyEncoder,
    BuildSettings,
    check_memory,
    encode_into,
    make_claim,
)
from optical_ir.retrieval.index_description import (
    Deleted,
    Description,
    Shard,
    read_deleted,
    read_description,
    write_description,
)
from optical_ir.retrieval.index_files import (
    IDS,
    LENGTHS,
    PROGRESS,
    QUANTIZER,
    VECTORS,
    deleted_name,
    deleted_number,
    describe_file,
    link_file,
    remove_strays,
    shard_name,
)
from optical_ir.retrieval.shard_writer import Claim, ShardWriter, is_unfinished
from optical_ir.retrieval.storage import PQ

_COPY_ROWS = 4096


def add_documents(
    folder: Path | str,
    docs: Iterable[Doc],
    encoder: AnyEncoder,
    **settings: Unpack[BuildSettings],
) -> None:
    """Encode documents and append them to an index; after a kill the same call goes on.

    Until it ends, the index is the old one. A document that was deleted may come back.

    Parameters
    ----------
    docs : iterable of Doc
        Streamed; ids that the index does not have.
    encoder : MultiVectorEncoder, SingleVectorEncoder or DocEncoder
        That of the index.
    space, storage, pool_factor
        Those of the index, by default for the last two.
    max_memory, batch_size, origin
        See `optical_ir.retrieval.index_build.write_index`.

    Raises
    ------
    ConfigError
        If the encoder, storage or pool factor is not that of the index, or another process
        changes it.
    DataError
        If there are no documents, an id is used twice or in the index, or, on resuming, the
        documents differ from those already encoded.
    """
    folder = Path(folder)
    with _edit(folder) as (index, description):
        settings.setdefault("storage", description.storage)
        settings.setdefault("pool_factor", description.pool_factor)
        claim = replace(make_claim(encoder, settings), first=description.next_number)
        _check_claim(folder, description, claim)
        memory = settings.get("max_memory", DEFAULT_MEMORY)
        check_memory(memory)
        trained = description.storage == PQ and description.shards
        quantizer = folder / description.shards[-1].name / QUANTIZER if trained else None
        writer = ShardWriter(folder, claim, memory=memory, quantizer=quantizer)
        encode_into(writer, docs, encoder, settings, known=index.rows)
        added = writer.finish()
        if not added:
            raise DataError("Expected documents to add, found none.")
        _commit(folder, description, settings.get("origin"), shards=(*description.shards, *added))


def _check_claim(folder: Path, description: Description, claim: Claim) -> None:
    for name in ("space", "dim", "storage", "pool_factor"):
        expected, found = getattr(description, name), getattr(claim, name)
        if expected != found:
            raise ConfigError(
                f"{folder}: expected the {name.replace('_', ' ')} of the index, {expected}, found "
                f"{found}. Add with the encoder and the settings that the index was encoded with."
            )


def delete_documents(
    folder: Path | str, doc_ids: Sequence[str], *, origin: dict[str, Any] | None = None
) -> None:
    """Delete documents from an index: no search finds them any more.

    Their vectors stay in the files until `compact_index` removes them.

    Raises
    ------
    ConfigError
        If another process changes the index.
    DataError
        If one of the documents is not in the index.
    """
    folder = Path(folder)
    with _edit(folder) as (index, description):
        missing = [doc_id for doc_id in doc_ids if doc_id not in index.rows]
        if missing:
            raise DataError(
                f"{folder}: expected documents of the index, found {len(missing)} that it lacks, "
                f"as {missing[0]!r}. Check the ids."
            )
        own = np.array([index.rows[doc_id] for doc_id in doc_ids], np.int64)
        rows = np.union1d(read_deleted(folder, description), own)
        deleted = write_deleted(folder, rows, before=description.deleted)
        _commit(folder, description, origin, deleted=deleted)


def write_deleted(
    folder: Path, rows: npt.NDArray[np.int64], *, before: Deleted | None = None
) -> Deleted | None:
    """Write the places of deleted documents into a file beside that in use; None without any."""
    if not len(rows):
        return None
    path = folder / deleted_name(1 + (deleted_number(before.name) if before else 0))
    path.write_bytes(rows.astype("<i8").tobytes())
    return Deleted(path.name, len(rows), *describe_file(path))


def compact_index(folder: Path | str, *, origin: dict[str, Any] | None = None) -> None:
    """Write the shards that have deleted documents anew, without these.

    Raises
    ------
    ConfigError
        If another process changes the index, or an unfinished addition is there.
    DataError
        If all documents are deleted.
    """
    folder = Path(folder)
    with _edit(folder) as (index, description):
        if is_unfinished(folder, description.next_number):
            raise ConfigError(
                f"{folder}: an unfinished addition of documents is here. Finish it with the same "
                f"add-documents, or remove {folder / PROGRESS}."
            )
        if not index.live.any():
            raise DataError(f"{folder}: expected documents to keep, found all deleted.")
        remove_strays(folder, _in_use(description))
        kept: list[Shard] = []
        number = description.next_number
        for shard, first in zip(description.shards, index.shard_docs, strict=False):
            live = index.live[first : first + shard.docs]
            if live.all():
                kept.append(shard)
            elif live.any():
                kept.append(_compact_shard(folder, shard, live, number))
                number += 1
        _commit(folder, description, origin, shards=tuple(kept), deleted=None)


def _compact_shard(folder: Path, shard: Shard, live: npt.NDArray[np.bool_], number: int) -> Shard:
    """Copy the rows of live documents into a new shard."""
    source, target = folder / shard.name, folder / shard_name(number)
    target.mkdir()
    lengths = np.fromfile(source / LENGTHS, "<i4")
    lengths[live].tofile(target / LENGTHS)
    doc_ids = (source / IDS).read_text("utf-8").splitlines()
    kept_ids = [doc_id for doc_id, keep in zip(doc_ids, live, strict=True) if keep]
    (target / IDS).write_text("".join(f"{doc_id}\n" for doc_id in kept_ids), "utf-8", newline="\n")
    width = shard.files[VECTORS].bytes // shard.tokens if shard.tokens else 0
    with (source / VECTORS).open("rb") as old, (target / VECTORS).open("wb") as new:
        for length, keep in zip(lengths.tolist(), live, strict=True):
            if keep:
                new.write(old.read(length * width))
            else:
                old.seek(length * width, 1)
    if QUANTIZER in shard.files:
        link_file(source / QUANTIZER, target / QUANTIZER)
    return Shard(
        name=target.name,
        docs=int(live.sum()),
        tokens=int(lengths[live].sum(dtype=np.int64)),
        mean_squared_error=shard.mean_squared_error,
        files={name: describe_file(target / name) for name in shard.files},
    )


@contextmanager
def _edit(folder: Path) -> Iterator[tuple[MultiVectorIndex, Description]]:
    """Open an index for one edit at a time."""
    if not folder.is_dir():
        read_description(folder)
    with lock_output(folder):
        yield MultiVectorIndex.open(folder), read_description(folder)


def _commit(
    folder: Path, description: Description, origin: dict[str, Any] | None, **changes: Any
) -> None:
    """Make the changed description that of the index, then remove what it no longer names."""
    edits = (*description.edits, *([origin] if origin else []))
    changed = replace(description, edits=edits, docs_sha256=None, part=None, **changes)
    write_description(folder, changed)
    if "shards" in changes:
        (folder / PROGRESS).unlink(missing_ok=True)
        remove_strays(folder, _in_use(changed))
    elif description.deleted:
        (folder / description.deleted.name).unlink(missing_ok=True)


def _in_use(description: Description) -> set[str]:
    names = {shard.name for shard in description.shards}
    return names | ({description.deleted.name} if description.deleted else set())
