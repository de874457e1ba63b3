"""The files of a multi-vector index, how they are named, written and checked.

    <folder>/index.json         dim, storage, space, counts, shards, origin
    <folder>/shard-00000/       token vectors of some documents, in the order of the collection
        vectors.bin             a row a token, see `storage`
        doc_lengths.bin         tokens of each document, int32, little endian
        doc_ids.txt             one document id a line
        quantizer.faiss         of storage `pq` only
    <folder>/deleted-00001.bin  places of the deleted documents, int64; only if there are any

Nothing is ever changed in place. An edit writes new files beside those in use and then renames
a new `index.json` over the old one, so a kill leaves the old index or the new one.
"""

import json
import os
import re
import shutil
from collections.abc import Container, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from optical_ir.errors import DataError
from optical_ir.files import sha256_file

INDEX, PROGRESS = "index.json", "progress.json"
VECTORS, LENGTHS, IDS, QUANTIZER = (
    "vectors.bin",
    "doc_lengths.bin",
    "doc_ids.txt",
    "quantizer.faiss",
)
_SHARD_NAME = re.compile(r"shard-(\d{5,9})")
_DELETED_NAME = re.compile(r"deleted-(\d{5,9})\.bin")


class FileFacts(NamedTuple):
    """What the description tells of a file."""

    bytes: int
    sha256: str


def shard_name(number: int) -> str:
    """Folder of a shard."""
    return f"shard-{number:05d}"


def shard_number(name: str) -> int:
    """Find the number of a shard; -1 for a name that is not that of a shard."""
    match = _SHARD_NAME.fullmatch(name)
    return int(match[1]) if match else -1


def deleted_name(number: int) -> str:
    """Name of a file of deleted documents."""
    return f"deleted-{number:05d}.bin"


def deleted_number(name: str) -> int:
    """Find the number of a file of deleted documents; -1 for another name."""
    match = _DELETED_NAME.fullmatch(name)
    return int(match[1]) if match else -1


def describe_file(path: Path) -> FileFacts:
    """Size and SHA-256 of a file."""
    return FileFacts(path.stat().st_size, sha256_file(path))


def write_json(path: Path, content: Mapping[str, Any], *, sync: bool = False) -> None:
    """Write a JSON file, whole or not at all; with `sync` even if the power fails."""
    part = path.with_name(f"{path.name}.part")
    with part.open("w", encoding="utf-8") as stream:
        stream.write(json.dumps(content, indent=2, default=str) + "\n")
        if sync:
            stream.flush()
            os.fsync(stream.fileno())
    part.replace(path)


def check_sizes(expected: Iterable[tuple[Path, FileFacts]]) -> None:
    """Raise `DataError` for a file that is missing or has another size."""
    for path, facts in expected:
        try:
            found = path.stat().st_size
        except OSError:
            found = -1
        if found != facts.bytes:
            raise DataError(
                f"{path}: expected {facts.bytes} bytes, found "
                f"{'no file' if found < 0 else found}. The index is damaged: encode the "
                "collection again."
            )


def check_sum(path: Path, facts: FileFacts) -> None:
    """Raise `DataError` for a file whose SHA-256 is another."""
    if sha256_file(path) != facts.sha256:
        raise DataError(
            f"{path}: expected the file that index.json describes, found another. The index is "
            "damaged: encode the collection again."
        )


def link_file(source: Path, target: Path) -> None:
    """Give a file a second name, or copy it where the file system has no such links."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def remove_strays(folder: Path, kept: Container[str]) -> None:
    """Remove shards and files of deleted documents that an edit no longer needs, or was killed at.

    Parameters
    ----------
    kept : container of str
        Names of those in use.
    """
    for path in folder.iterdir():
        if path.name in kept:
            continue
        if shard_number(path.name) >= 0:
            shutil.rmtree(path)
        elif deleted_number(path.name) >= 0:
            path.unlink()
