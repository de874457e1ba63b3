"""Encoding a collection by several processes, and joining what they wrote.

Parts are contiguous, as those of Pyserini: part i of n has the documents from i/n to (i+1)/n of the
collection. So merged parts have its order, which is also that of an index of one process, and
merging is a matter of names: the shards' files get a second one.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from optical_ir.errors import ConfigError, DataError
from optical_ir.files import write_folder
from optical_ir.retrieval.document_ids import DocumentIds
from optical_ir.retrieval.index_description import (
    Description,
    Part,
    Shard,
    read_deleted,
    read_description,
    write_description,
)
from optical_ir.retrieval.index_edit import write_deleted
from optical_ir.retrieval.index_files import (
    IDS,
    check_sizes,
    check_sum,
    link_file,
    shard_name,
)

_SCRATCH = "ids.sqlite"


def part_bounds(n_docs: int, part: Part) -> tuple[int, int]:
    """First document of a part of a collection of `n_docs`, and the one after its last.

    Raises
    ------
    ConfigError
        If there is no such part, or it has no documents.
    """
    if not 0 <= part.id < part.num:
        raise ConfigError(
            f"shard-id: expected 0 to {part.num - 1} with --shard-num {part.num}, found {part.id}."
        )
    first, end = (n_docs * number // part.num for number in (part.id, part.id + 1))
    if first == end:
        raise ConfigError(
            f"shard-num: expected no more parts than documents, {n_docs}, found {part.num}."
        )
    return first, end


def merge_indexes(
    parts: Sequence[Path | str],
    output: Path | str,
    *,
    origin: dict[str, Any] | None = None,
    overwrite: bool = False,
) -> None:
    """Join indexes into one, without encoding anything again.

    Parts of one collection are put in its order; other indexes in the order given. Documents that
    were deleted stay so. The files are hard links where the file system has them, so merging
    takes no space; editing or removing a part leaves the merged index as it is.

    Raises
    ------
    ConfigError
        If `output` exists, or the indexes have not the same space, dim, storage and pool factor,
        or parts of a collection are missing.
    DataError
        If an index does not open, or a document is in two.
    """
    if not parts:
        raise ConfigError("Expected indexes to merge, found none.")
    given = [(Path(part), read_description(Path(part))) for part in parts]
    for folder, description in given:
        check_sizes(description.files(folder))
        _check_same(given[0], (folder, description))
    given = _in_order(given)
    with write_folder(output, overwrite=overwrite) as target:
        _check_ids(given, target)
        shards: list[Shard] = []
        deleted = [np.empty(0, np.int64)]
        for folder, description in given:
            deleted.append(read_deleted(folder, description) + sum(shard.docs for shard in shards))
            for shard in description.shards:
                shards.append(_link_shard(folder, shard, target / shard_name(len(shards))))
        merged = Description(
            dim=given[0][1].dim,
            storage=given[0][1].storage,
            pool_factor=given[0][1].pool_factor,
            space=given[0][1].space,
            shards=tuple(shards),
            deleted=write_deleted(target, np.concatenate(deleted)),
            origin=origin or {},
        )
        write_description(target, merged)


def _check_same(first: tuple[Path, Description], other: tuple[Path, Description]) -> None:
    for name in ("space", "dim", "storage", "pool_factor"):
        expected, found = (getattr(description, name) for _, description in (first, other))
        if expected != found:
            raise ConfigError(
                f"{other[0]}: expected the {name.replace('_', ' ')} of {first[0]}, {expected}, "
                f"found {found}. Encode both with the same encoder and settings."
            )


def _in_order(given: list[tuple[Path, Description]]) -> list[tuple[Path, Description]]:
    """Parts of a collection in its order; other indexes as they are."""
    found = [description.part for _, description in given]
    if None in found:
        return given
    own = sorted(part for part in found if part)
    if own != [Part(number, own[0].num) for number in range(own[0].num)]:
        names = ", ".join(f"{part.id} of {part.num}" for part in own)
        raise ConfigError(
            f"expected every part of a collection once, found the parts {names}. Name the indexes "
            "that encode wrote with the same --shard-num, one of each --shard-id."
        )
    return sorted(given, key=lambda pair: pair[1].part or Part(0, 0))


def iter_live_ids(folder: Path, description: Description) -> Iterator[str]:
    """Ids of the documents that are not deleted, read as they come."""
    deleted = set(read_deleted(folder, description).tolist())
    row = 0
    for shard in description.shards:
        with (folder / shard.name / IDS).open(encoding="utf-8") as stream:
            for line in stream:
                if row not in deleted:
                    yield line.rstrip("\n")
                row += 1


def _check_ids(given: Iterable[tuple[Path, Description]], scratch: Path) -> None:
    with DocumentIds(scratch / _SCRATCH) as ids:
        for folder, description in given:
            for shard in description.shards:
                check_sum(folder / shard.name / IDS, shard.files[IDS])
            try:
                ids.add_all(iter_live_ids(folder, description))
            except DataError as err:
                raise DataError(
                    f"{folder}: {err} Name each index once, and none twice encoded."
                ) from err


def _link_shard(folder: Path, shard: Shard, target: Path) -> Shard:
    target.mkdir()
    for name in shard.files:
        link_file(folder / shard.name / name, target / name)
    return replace(shard, name=target.name)
