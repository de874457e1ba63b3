"""What `index.json` says of a multi-vector index, and what it may say to be trusted."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from optical_ir.errors import DataError
from optical_ir.files import read_json_object
from optical_ir.retrieval.index_files import (
    IDS,
    INDEX,
    LENGTHS,
    QUANTIZER,
    VECTORS,
    FileFacts,
    deleted_number,
    shard_number,
    write_json,
)
from optical_ir.retrieval.storage import PQ, STORAGES, row_bytes

FORMAT = 2
_KIND = "multi-vector"
_LENGTH_BYTES = 4


@dataclass(frozen=True)
class Shard:
    """A folder of token vectors.

    Attributes
    ----------
    name : str
        ``shard-`` and a number that no other shard of the index ever had.
    docs, tokens : int
    mean_squared_error : float
        Squared distance of a stored vector from the encoder's, in the mean over the tokens.
    files : dict of FileFacts
        By name.
    """

    name: str
    docs: int
    tokens: int
    mean_squared_error: float
    files: dict[str, FileFacts]

    @property
    def number(self) -> int:
        """Number in its name."""
        return shard_number(self.name)


class Deleted(NamedTuple):
    """The file of deleted documents."""

    name: str
    docs: int
    bytes: int
    sha256: str


class Part(NamedTuple):
    """Which part of a collection an index holds: of `num` parts that with number `id`, from 0."""

    id: int
    num: int


@dataclass(frozen=True)
class Description:
    """What `index.json` says.

    Attributes
    ----------
    dim : int
    storage : str
        One of `optical_ir.retrieval.storage.STORAGES`.
    pool_factor : float
        A document keeps about this part of its token vectors, clustered; 1 keeps all.
    space : str
        Key of the embedding space.
    shards : tuple of Shard
        In the order of their documents.
    deleted : Deleted, optional
    part : Part, optional
    docs_sha256 : str, optional
        Of the documents as they were read; not of an index that was edited or merged.
    origin : dict
    edits : tuple of dict
        Origins of what was added, deleted or compacted since, oldest first.
    """

    dim: int
    storage: str
    pool_factor: float
    space: str
    shards: tuple[Shard, ...]
    deleted: Deleted | None = None
    part: Part | None = None
    docs_sha256: str | None = None
    origin: Mapping[str, Any] | None = None
    edits: tuple[Mapping[str, Any], ...] = ()

    @property
    def n_docs(self) -> int:
        """Documents in the shards, deleted ones among them."""
        return sum(shard.docs for shard in self.shards)

    @property
    def n_tokens(self) -> int:
        """Token vectors in the shards."""
        return sum(shard.tokens for shard in self.shards)

    @property
    def next_number(self) -> int:
        """Number for the next shard."""
        return 1 + max((shard.number for shard in self.shards), default=-1)

    def files(self, folder: Path) -> Iterator[tuple[Path, FileFacts]]:
        """Every data file of the index in `folder`, and what it should be."""
        for shard in self.shards:
            for name, facts in shard.files.items():
                yield folder / shard.name / name, facts
        if self.deleted:
            yield folder / self.deleted.name, FileFacts(self.deleted.bytes, self.deleted.sha256)


def shard_to_json(shard: Shard) -> dict[str, Any]:
    """Give a shard as `index.json` has it."""
    files = {name: facts._asdict() for name, facts in shard.files.items()}
    return {**asdict(replace(shard, files={})), "files": files}


def shard_from_json(content: Any, storage: str) -> Shard:
    """Read a shard of `index.json`.

    Raises
    ------
    KeyError, TypeError, ValueError
        If it is not one.
    """
    files = {name: FileFacts(**facts) for name, facts in content["files"].items()}
    shard = Shard(**{**content, "files": files})
    expected = {VECTORS, LENGTHS, IDS} | ({QUANTIZER} if storage == PQ else set())
    # A name with a path in it could lead out of the index.
    if shard_number(shard.name) < 0 or set(files) != expected:
        raise ValueError(f"shard {shard.name!r} with the files {sorted(files)}")
    whole = [shard.docs, shard.tokens, *(facts.bytes for facts in files.values())]
    if not all(type(value) is int and value >= 0 for value in whole):
        raise ValueError(f"counts of shard {shard.name!r}")
    if not math.isfinite(shard.mean_squared_error):
        raise ValueError(f"error of shard {shard.name!r}")
    return shard


def write_description(folder: Path, description: Description) -> None:
    """Write `index.json`, which makes the files it names the index, all at once."""
    n_docs, n_tokens = description.n_docs, description.n_tokens
    errors = sum(shard.mean_squared_error * shard.tokens for shard in description.shards)
    content = {
        "kind": _KIND,
        "format": FORMAT,
        **asdict(replace(description, shards=(), deleted=None, part=None)),
        "n_docs": n_docs,
        "n_tokens": n_tokens,
        "n_deleted": description.deleted.docs if description.deleted else 0,
        "mean_squared_error": errors / max(n_tokens, 1),
        "deleted": description.deleted and description.deleted._asdict(),
        "part": description.part and description.part._asdict(),
        "shards": [shard_to_json(shard) for shard in description.shards],
    }
    write_json(folder / INDEX, content, sync=True)


def is_multi_vector_index(folder: Path) -> bool:
    """Whether the `index.json` in `folder` says that it is such an index."""
    try:
        return bool(read_json_object(folder / INDEX)["kind"] == _KIND)
    except (OSError, ValueError, KeyError):
        return False


def read_description(folder: Path) -> Description:
    """Read and check `index.json`.

    Raises
    ------
    DataError
        If there is none, or it is damaged, of another kind, or of another format.
    """
    content = _read_json(folder)
    if content.get("kind") == "bm25":
        raise DataError(f"{folder} is a BM25 index, which needs no encoder. Leave out --encoder.")
    if content.get("kind") == "late-interaction":
        raise DataError(
            f"{folder} is a late-interaction index, expected a multi-vector one. Name what encode "
            "wrote."
        )
    _check_format(folder / INDEX, content)
    try:
        return _parse(content)
    except (KeyError, TypeError, ValueError, AttributeError) as err:
        raise DataError(
            f"{folder / INDEX}: expected the description of a multi-vector index, found a damaged "
            f"one ({type(err).__name__}: {err}). Encode the collection again."
        ) from err


def _read_json(folder: Path) -> dict[str, Any]:
    path = folder / INDEX
    try:
        return read_json_object(path)
    except (FileNotFoundError, NotADirectoryError) as err:
        hint = ""
        if (folder / "progress.json").exists():
            hint = "It is unfinished; run the same encode again. "
        elif folder.exists():
            hint = "An unfinished one ends in .tmp; run encode again. "
        raise DataError(
            f"{folder}: expected a multi-vector index with an index.json, found none. "
            f"{hint}Make one with: optical-ir encode"
        ) from err
    except (OSError, ValueError) as err:
        raise DataError(f"{path}: is not JSON ({err}). Encode the collection again.") from err


def _check_format(path: Path, content: Mapping[str, Any]) -> None:
    found = content.get("format")
    if type(found) is int and found > FORMAT:
        raise DataError(
            f"{path}: expected format {FORMAT}, found {found} of a newer optical-ir. Upgrade."
        )
    if found != FORMAT or content.get("kind") != _KIND:
        raise DataError(
            f"{path}: expected a multi-vector index of format {FORMAT}, found format {found!r}"
            f"{', which is older' if found == 1 else ''}. Encode the collection again."
        )


def _parse(content: Mapping[str, Any]) -> Description:
    storage, deleted, part = content["storage"], content["deleted"], content["part"]
    if storage not in STORAGES:
        raise ValueError(f"storage {storage!r}")
    description = Description(
        dim=content["dim"],
        storage=storage,
        pool_factor=float(content["pool_factor"]),
        space=content["space"],
        shards=tuple(shard_from_json(shard, storage) for shard in content["shards"]),
        deleted=Deleted(**deleted) if deleted else None,
        part=Part(**part) if part else None,
        docs_sha256=content["docs_sha256"],
        origin=content["origin"],
        edits=tuple(content["edits"]),
    )
    if type(description.dim) is not int or description.dim < 1:
        raise ValueError(f"dim {description.dim!r}")
    if type(description.space) is not str:
        raise TypeError("space is no text")
    names = [shard.name for shard in description.shards]
    if len(set(names)) < len(names):
        raise ValueError("a shard twice")
    if description.deleted and deleted_number(description.deleted.name) < 0:
        raise ValueError(f"deleted documents in {description.deleted.name!r}")
    if content["n_docs"] != description.n_docs or content["n_tokens"] != description.n_tokens:
        raise ValueError("counts that differ from the sums over the shards")
    for shard in description.shards:
        rows = shard.files[VECTORS].bytes, shard.files[LENGTHS].bytes
        fits = storage == PQ or rows[0] == shard.tokens * row_bytes(storage, description.dim)
        if not fits or rows[1] != shard.docs * _LENGTH_BYTES:
            raise ValueError(f"sizes of shard {shard.name!r}")
    return description


def read_deleted(folder: Path, description: Description) -> npt.NDArray[np.int64]:
    """Places of the deleted documents, in order.

    Raises
    ------
    DataError
        If they are not places of documents.
    """
    if not description.deleted:
        return np.empty(0, np.int64)
    path = folder / description.deleted.name
    rows = np.fromfile(path, "<i8")
    ordered = len(rows) == description.deleted.docs and (np.diff(rows) > 0).all()
    if not ordered or (len(rows) and (rows[0] < 0 or rows[-1] >= description.n_docs)):
        raise DataError(
            f"{path}: expected places of {description.deleted.docs} of {description.n_docs} "
            "documents, found others. Encode the collection again."
        )
    return rows
