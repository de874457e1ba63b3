"""The multi-vector index: token embeddings of all documents in memory-mapped arrays.

    <folder>/index.json        dim, dtype, counts, embedding space, checksums, origin
    <folder>/embeddings.bin    token embeddings, row after row, in dtype
    <folder>/doc_lengths.bin   tokens of each document, int32
    <folder>/doc_ids.txt       one document id a line

Documents are encoded once, by the teacher; every student that was distilled from it searches
the same index. Building appends block by block and goes on where it was killed.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from sentence_transformers import MultiVectorEncoder
from torch import Tensor

from optical_ir.errors import ConfigError, DataError
from optical_ir.files import sha256_file, write_folder
from optical_ir.models.encoder import TokenVectors, embedding_dim, encode_documents
from optical_ir.models.single_vector import SingleVectorEncoder
from optical_ir.records import Doc

_FORMAT = 1
_DTYPES = {"bfloat16": (torch.bfloat16, np.uint16), "float32": (torch.float32, np.float32)}
_DATA_FILES = ("embeddings.bin", "doc_lengths.bin", "doc_ids.txt")
_BLOCK = 1024
"""Documents encoded between two records of progress; also sorted by length within."""


@dataclass(frozen=True)
class MultiVectorIndex:
    """An opened index.

    Attributes
    ----------
    embeddings : Tensor, shape (n_tokens, dim), bfloat16 or float32
        Memory-mapped, read only; unit rows.
    offsets : array, shape (n_docs + 1,), int64
        Document i has the tokens ``offsets[i]:offsets[i + 1]``.
    doc_ids : list of str
    space : str
        Key of the embedding space, see `optical_ir.models.embedding_space`.
    """

    folder: Path
    embeddings: Tensor
    offsets: npt.NDArray[np.int64]
    doc_ids: list[str]
    space: str

    @property
    def dim(self) -> int:
        """Width of the token embeddings."""
        return int(self.embeddings.shape[1])

    @classmethod
    def open(cls, folder: Path | str) -> "MultiVectorIndex":
        """Open the index in `folder`.

        Raises
        ------
        DataError
            If there is no index, or its files do not fit its description.
        """
        folder = Path(folder)
        description = _read_description(folder)
        torch_dtype, numpy_dtype = _DTYPES[description["dtype"]]
        shape = (description["n_tokens"], description["dim"])
        for name in ("doc_lengths.bin", "doc_ids.txt"):
            file = folder / name
            if not file.exists() or sha256_file(file) != description["sha256"][name]:
                raise DataError(
                    f"{file}: expected the file that index.json describes, found "
                    f"{'another' if file.exists() else 'none'}. Encode the collection again."
                )
        path = folder / "embeddings.bin"
        expected = shape[0] * shape[1] * np.dtype(numpy_dtype).itemsize
        if not path.exists() or path.stat().st_size != expected:
            found = path.stat().st_size if path.exists() else 0
            raise DataError(
                f"{path}: expected {expected} bytes, found {found}. The index is damaged: "
                "encode the collection again."
            )
        lengths = np.fromfile(folder / "doc_lengths.bin", np.int32)
        doc_ids = (folder / "doc_ids.txt").read_text("utf-8").splitlines()
        mapped = np.memmap(path, numpy_dtype, mode="c", shape=shape)
        return cls(
            folder=folder,
            embeddings=torch.from_numpy(mapped).view(torch_dtype),
            offsets=np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]),
            doc_ids=doc_ids,
            space=description["space"],
        )


def _read_description(folder: Path) -> dict[str, Any]:
    path = folder / "index.json"
    try:
        content: Any = json.loads(path.read_text("utf-8"))
    except FileNotFoundError as err:
        hint = "An unfinished one ends in .tmp; run encode again. " if folder.exists() else ""
        raise DataError(
            f"{folder}: expected a multi-vector index with an index.json, found none. "
            f"{hint}Make one with: optical-ir encode"
        ) from err
    except ValueError as err:
        raise DataError(f"{path}: is not JSON ({err}). Encode the collection again.") from err
    description: dict[str, Any] = content if isinstance(content, dict) else {}
    if description.get("kind") == "bm25":
        raise DataError(f"{folder} is a BM25 index, which needs no encoder. Leave out --encoder.")
    if description.get("kind") == "late-interaction":
        raise DataError(
            f"{folder} is a late-interaction index, expected a multi-vector one. Name what encode "
            "wrote."
        )
    found = [description.get(key) for key in ("format", "dtype")]
    if found not in [[_FORMAT, dtype] for dtype in _DTYPES]:
        raise DataError(
            f"{path}: expected format {_FORMAT} and dtype {' or '.join(_DTYPES)}, found {found}."
        )
    return description


def build_index(
    docs: Iterable[Doc],
    encoder: MultiVectorEncoder | SingleVectorEncoder,
    output: Path | str,
    *,
    space: str,
    dtype: str = "bfloat16",
    batch_size: int = 32,
    origin: dict[str, Any] | None = None,
    overwrite: bool = False,
) -> MultiVectorIndex:
    """Encode documents into a new index; after a kill the same call goes on where it stopped.

    Parameters
    ----------
    docs : iterable of Doc
        Streamed; memory holds one block of 1024 documents.
    encoder : MultiVectorEncoder or SingleVectorEncoder
        The teacher. The one vector of the second kind is stored as a document's only token.
    space : str
        Key of its embedding space, written into the index.
    dtype : {"bfloat16", "float32"}
        Of the stored embeddings.
    origin : dict, optional
        What `index.json` shall say of where the index comes from.

    Raises
    ------
    ConfigError
        If `output` exists, or `dtype` is unknown, or an unfinished index there is of another
        encoder.
    DataError
        If there are no documents, an id is used twice, or, on resuming, the documents differ
        from those already encoded.
    """
    if dtype not in _DTYPES:
        raise ConfigError(f"dtype: expected {' or '.join(_DTYPES)}, found {dtype!r}.")
    dim = embedding_dim(encoder) if isinstance(encoder, MultiVectorEncoder) else encoder.dim
    claim = {"format": _FORMAT, "dim": dim, "dtype": dtype, "space": space}
    with write_folder(output, overwrite=overwrite, resume=True) as part:
        builder = _Builder(part, claim)
        stream = builder.skip_done(docs)
        while block := list(islice(stream, _BLOCK)):
            builder.append(block, _encode(encoder, [doc.text for doc in block], batch_size))
        builder.finish(origin or {})
    return MultiVectorIndex.open(output)


def _encode(
    encoder: MultiVectorEncoder | SingleVectorEncoder, texts: list[str], batch_size: int
) -> Sequence[TokenVectors]:
    if isinstance(encoder, MultiVectorEncoder):
        return encode_documents(encoder, texts, batch_size=batch_size)
    return list(encoder.encode_documents(texts, batch_size=batch_size)[:, None, :])


class _Builder:
    """An unfinished index on disk: data files, and `progress.json` with their sizes that hold."""

    def __init__(self, folder: Path, claim: dict[str, Any]) -> None:
        self.folder, self.claim = folder, claim
        self.n_tokens = 0
        self.digest, self.done_digest = hashlib.sha256(), hashlib.sha256().hexdigest()
        path = folder / "progress.json"
        sizes = dict.fromkeys(_DATA_FILES, 0)
        if path.exists():
            progress = json.loads(path.read_text())
            if progress["claim"] != claim:
                raise ConfigError(
                    f"{folder}: an unfinished index of another encoder or dtype is here. "
                    "Remove the folder to start anew."
                )
            sizes, self.n_tokens = progress["sizes"], progress["n_tokens"]
            self.done_digest = progress["docs_sha256"]
        for name, size in sizes.items():
            with (folder / name).open("ab") as stream:
                if stream.tell() < size:
                    raise DataError(
                        f"{folder / name}: expected {size} bytes or more of the unfinished index, "
                        f"found {stream.tell()}. Remove the folder to start anew."
                    )
                # What was appended after the last record of progress may be half a block.
                stream.truncate(size)
        self.doc_ids = (folder / "doc_ids.txt").read_text("utf-8").splitlines()

    def skip_done(self, docs: Iterable[Doc]) -> Iterator[Doc]:
        """Yield the documents still to encode; check those done for changes, ids for repeats."""
        stream = iter(docs)
        for position, expected in enumerate(list(self.doc_ids)):
            found = next(stream, None)
            if found is None or found.doc_id != expected:
                raise DataError(
                    f"{self.folder}: document {position + 1} was {expected!r} when encoding "
                    f"began, and is {found and found.doc_id!r} now. Remove the folder to start "
                    "anew."
                )
            self._add_to_digest(found)
        if self.digest.hexdigest() != self.done_digest:
            raise DataError(
                f"{self.folder}: the text of the first {len(self.doc_ids)} documents is not what "
                "it was when encoding began. Remove the folder to start anew."
            )
        seen = set(self.doc_ids)
        for doc in stream:
            if doc.doc_id in seen:
                raise DataError(f"Document id {doc.doc_id!r} is used twice. Give each its own.")
            if doc.doc_id.split() != [doc.doc_id]:
                raise DataError(f"Expected a document id without white space: {doc.doc_id!r}.")
            seen.add(doc.doc_id)
            yield doc

    def append(self, docs: Sequence[Doc], vectors: Sequence[TokenVectors]) -> None:
        torch_dtype, numpy_dtype = _DTYPES[self.claim["dtype"]]
        rows = torch.from_numpy(np.concatenate(vectors)).to(torch_dtype)
        bits = rows.view(torch.uint16) if numpy_dtype is np.uint16 else rows
        self._extend("embeddings.bin", bits.numpy().tobytes())
        self._extend("doc_lengths.bin", np.asarray([len(v) for v in vectors], np.int32).tobytes())
        self._extend("doc_ids.txt", "".join(f"{doc.doc_id}\n" for doc in docs).encode())
        for doc in docs:
            self.doc_ids.append(doc.doc_id)
            self._add_to_digest(doc)
        self.n_tokens += len(rows)
        sizes = {name: (self.folder / name).stat().st_size for name in _DATA_FILES}
        progress = {"claim": self.claim, "n_tokens": self.n_tokens, "sizes": sizes}
        self._write_json("progress.json", {**progress, "docs_sha256": self.digest.hexdigest()})

    def _add_to_digest(self, doc: Doc) -> None:
        self.digest.update(json.dumps(doc).encode())

    def _extend(self, name: str, content: bytes) -> None:
        with (self.folder / name).open("ab") as stream:
            stream.write(content)

    def _write_json(self, name: str, content: dict[str, Any]) -> None:
        part = self.folder / f"{name}.part"
        part.write_text(json.dumps(content, indent=2, default=str) + "\n", "utf-8")
        part.replace(self.folder / name)

    def finish(self, origin: dict[str, Any]) -> None:
        if not self.n_tokens:
            raise DataError(
                f"Expected documents with words to encode, found none among {len(self.doc_ids)}."
            )
        description = {
            **self.claim,
            "n_docs": len(self.doc_ids),
            "n_tokens": self.n_tokens,
            "sha256": {name: sha256_file(self.folder / name) for name in _DATA_FILES},
            "origin": origin,
        }
        self._write_json("index.json", description)
        (self.folder / "progress.json").unlink()
