"""Shards of an index under way: files that grow block by block, and a record of what holds.

The record, `progress.json`, is renamed into place after each block and each finished shard. What
files have beyond it, and shards it does not know, were written by a block that was killed, and go.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from optical_ir.errors import ConfigError, DataError
from optical_ir.models.encoder import TokenVectors
from optical_ir.records import Doc
from optical_ir.retrieval.document_ids import DocumentIds
from optical_ir.retrieval.index_description import (
    Shard,
    read_description,
    shard_from_json,
    shard_to_json,
)
from optical_ir.retrieval.index_files import (
    IDS,
    INDEX,
    LENGTHS,
    PROGRESS,
    QUANTIZER,
    VECTORS,
    describe_file,
    shard_name,
    shard_number,
    write_json,
)
from optical_ir.retrieval.product_quantization import STAGED_STORAGE, quantize_shard
from optical_ir.retrieval.storage import PQ, pack_rows, unpack_rows

_STAGED = "staged.bin"
_SHARD_SHARE = 0.5
"""Of the memory: bytes of vectors with which a shard is finished."""

_ROWS = 4096
"""Token vectors that are packed at a time."""


@dataclass(frozen=True)
class Claim:
    """What the vectors of an index are; those of an unfinished one must go on with the same.

    Attributes
    ----------
    first : int
        Number of the first shard to write; the index that is added to has those below.
    """

    dim: int
    storage: str
    pool_factor: float
    space: str
    first: int = 0


class ShardWriter:
    """Writes shards into a folder, going on with those that an earlier attempt left there.

    Parameters
    ----------
    folder : Path
    claim : Claim
    memory : int
        A shard is finished when its vectors have half of these bytes.
    quantizer : Path, optional
        For a shard with too few tokens to train its own, if it is the first.

    Raises
    ------
    ConfigError
        If an unfinished index of another claim is there.
    DataError
        If it is damaged.
    """

    def __init__(
        self, folder: Path, claim: Claim, *, memory: int, quantizer: Path | None = None
    ) -> None:
        self.folder, self.claim = folder, claim
        self._memory, self._quantizer = memory, quantizer
        self._quantized = claim.storage == PQ
        self._storage = STAGED_STORAGE if self._quantized else claim.storage
        self._digest = hashlib.sha256()
        self._shards: list[Shard] = []
        self._begin_shard({})
        self._done_digest = self._digest.hexdigest()
        self._read_progress()
        self._remove_unknown()

    @property
    def docs_sha256(self) -> str:
        """SHA-256 of the documents so far."""
        return self._digest.hexdigest()

    @property
    def _shard(self) -> Path:
        """Folder of the shard under way."""
        return self.folder / shard_name(self.claim.first + len(self._shards))

    @property
    def _files(self) -> tuple[str, ...]:
        return (_STAGED if self._quantized else VECTORS, LENGTHS, IDS)

    def _begin_shard(self, state: dict[str, Any]) -> None:
        self._docs, self._tokens = state.get("docs", 0), state.get("tokens", 0)
        self._error = state.get("squared_error", 0.0)
        self._sizes: dict[str, int] = state.get("sizes") or dict.fromkeys(self._files, 0)

    def _read_progress(self) -> None:
        path = self.folder / PROGRESS
        if not path.exists():
            self._read_finished()
            return
        try:
            progress = json.loads(path.read_text("utf-8"))
            found = Claim(**progress["claim"])
        except (ValueError, KeyError, TypeError) as err:
            raise DataError(
                f"{path}: expected the progress of an unfinished index, found something else "
                f"({type(err).__name__}: {err}). {self._remedy}"
            ) from err
        if found != self.claim and found.first < self.claim.first:
            # Its shards are in the index already: the kill came between the last two steps.
            return
        if found != self.claim:
            raise ConfigError(
                f"{self.folder}: an unfinished index of another encoder, storage or pool factor "
                f"is here. {self._remedy}"
            )
        self._shards = [shard_from_json(shard, self.claim.storage) for shard in progress["shards"]]
        self._begin_shard(progress["current"])
        self._done_digest = progress["docs_sha256"]

    def _read_finished(self) -> None:
        """Take up a new index that was killed before it got its name."""
        if self.claim.first or not (self.folder / INDEX).exists():
            return
        done = read_description(self.folder)
        if (
            done.docs_sha256
            and Claim(done.dim, done.storage, done.pool_factor, done.space) == self.claim
        ):
            self._shards, self._done_digest = list(done.shards), done.docs_sha256

    @property
    def _remedy(self) -> str:
        if self.claim.first:
            return f"Remove {self.folder / PROGRESS} to start anew."
        return "Remove the folder to start anew."

    def _remove_unknown(self) -> None:
        """Remove what was written after the last record of progress."""
        known = self.claim.first + len(self._shards)
        for path in self.folder.iterdir():
            if shard_number(path.name) > known or (path == self._shard and not self._docs):
                shutil.rmtree(path)
        for shard in self._shards:
            (self.folder / shard.name / _STAGED).unlink(missing_ok=True)
            for name, facts in shard.files.items():
                self._truncate(self.folder / shard.name / name, facts.bytes)
        for name, size in self._sizes.items() if self._docs else ():
            self._truncate(self._shard / name, size)

    def _truncate(self, path: Path, size: int) -> None:
        found = path.stat().st_size if path.exists() else -1
        if found < size:
            raise DataError(
                f"{path}: expected {size} bytes or more of the unfinished index, found "
                f"{'no file' if found < 0 else found}. {self._remedy}"
            )
        if found > size:
            os.truncate(path, size)

    def _done_ids(self) -> Iterator[str]:
        folders = [self.folder / shard.name for shard in self._shards]
        for folder in [*folders, *([self._shard] if self._docs else [])]:
            with (folder / IDS).open(encoding="utf-8") as stream:
                yield from (line.rstrip("\n") for line in stream)

    def skip_done(self, docs: Iterable[Doc], ids: DocumentIds) -> Iterator[Doc]:
        """Yield the documents still to encode; check those done for changes.

        Raises
        ------
        DataError
            If they are not those that were encoded.
        """
        stream = iter(docs)
        position = 0
        for position, expected in enumerate(self._done_ids(), start=1):
            found = next(stream, None)
            if found is None or found.doc_id != expected:
                raise DataError(
                    f"{self.folder}: document {position} was {expected!r} when encoding "
                    f"began, and is {found and found.doc_id!r} now. {self._remedy}"
                )
            ids.add(expected)
            self._add_to_digest(found)
        if self.docs_sha256 != self._done_digest:
            raise DataError(
                f"{self.folder}: the text of the first {position} documents is not what "
                f"it was when encoding began. {self._remedy}"
            )
        yield from stream

    def _add_to_digest(self, doc: Doc) -> None:
        self._digest.update(json.dumps(doc).encode())

    def append(self, docs: Sequence[Doc], vectors: Sequence[TokenVectors]) -> None:
        """Write a block, into a new shard if the one under way is full.

        Parameters
        ----------
        vectors : sequence of arrays, shape (n_tokens, dim), float32
            Of each document.
        """
        if self._sizes[self._files[0]] >= self._memory * _SHARD_SHARE:
            self._finish_shard()
        self._shard.mkdir(exist_ok=True)
        (self._shard / self._files[0]).touch()
        for rows in _chunks(vectors):
            packed = pack_rows(rows, self._storage)
            self._extend(self._files[0], packed)
            self._tokens += len(rows)
            if not self._quantized:
                stored = unpack_rows(packed, self._storage, self.claim.dim).numpy()
                self._error += float(np.square(stored - rows).sum(dtype=np.float64))
        self._extend(LENGTHS, np.asarray([len(own) for own in vectors], "<i4").tobytes())
        self._extend(IDS, "".join(f"{doc.doc_id}\n" for doc in docs).encode())
        self._docs += len(docs)
        for doc in docs:
            self._add_to_digest(doc)
        self._record()

    def _extend(self, name: str, content: bytes) -> None:
        with (self._shard / name).open("ab") as stream:
            stream.write(content)
        self._sizes[name] += len(content)

    def _record(self) -> None:
        current = {
            "docs": self._docs,
            "tokens": self._tokens,
            "squared_error": self._error,
            "sizes": self._sizes,
        }
        progress = {
            "claim": asdict(self.claim),
            "docs_sha256": self.docs_sha256,
            "shards": [shard_to_json(shard) for shard in self._shards],
            "current": current,
        }
        write_json(self.folder / PROGRESS, progress)

    def _finish_shard(self) -> None:
        names = [VECTORS, LENGTHS, IDS]
        if self._quantized:
            names.append(QUANTIZER)
            for name in (VECTORS, QUANTIZER):
                (self._shard / name).unlink(missing_ok=True)
            self._error = quantize_shard(
                self._shard,
                self._shard / _STAGED,
                self.claim.dim,
                fallback=self._last_quantizer(),
                memory=self._memory // 8,
            )
        shard = Shard(
            name=self._shard.name,
            docs=self._docs,
            tokens=self._tokens,
            mean_squared_error=self._error / max(self._tokens, 1),
            files={name: describe_file(self._shard / name) for name in names},
        )
        staged = self._shard / _STAGED
        self._shards.append(shard)
        self._begin_shard({})
        self._record()
        staged.unlink(missing_ok=True)

    def _last_quantizer(self) -> Path | None:
        return self.folder / self._shards[-1].name / QUANTIZER if self._shards else self._quantizer

    def finish(self) -> list[Shard]:
        """Finish the last shard; give all."""
        if self._docs:
            self._finish_shard()
        return self._shards


def is_unfinished(folder: Path, first: int) -> bool:
    """Whether shards from number `first` on are under way; an older record is of no use."""
    try:
        progress = json.loads((folder / PROGRESS).read_text("utf-8"))
        return bool(progress["claim"]["first"] == first)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _chunks(vectors: Sequence[TokenVectors]) -> Iterator[TokenVectors]:
    """Rows of some documents in pieces of about `_ROWS`."""
    piece: list[TokenVectors] = []
    n_rows = 0
    for rows in vectors:
        piece.append(rows)
        n_rows += len(rows)
        if n_rows >= _ROWS:
            yield np.concatenate(piece)
            piece, n_rows = [], 0
    if n_rows:
        yield np.concatenate(piece)
