"""Encoding documents into a new multi-vector index, shard by shard, in bounded memory.

Documents are read from any iterator in blocks. `progress.json` says after each block what of the
files holds, so a build that was killed goes on there, and ends with the same bytes.

With `max_memory` M, a block has as many documents as surely take less than M / 4 in memory, 1024
at most, and a shard is finished by the block with which its vectors reach M / 2 on disk. What
the encoder itself needs, and one text longer than a block, come on top.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NotRequired, Protocol, TypedDict, Unpack

import numpy as np
import torch
from sentence_transformers import MultiVectorEncoder
from sentence_transformers.multi_vector_encoder.modules import HierarchicalTokenPooling

from optical_ir.errors import ConfigError, DataError
from optical_ir.files import write_folder
from optical_ir.models.encoder import TokenVectors, embedding_dim, encode_documents
from optical_ir.models.single_vector import SingleVectorEncoder
from optical_ir.records import Doc
from optical_ir.retrieval.document_ids import DocumentIds
from optical_ir.retrieval.index_description import Description, Part, write_description
from optical_ir.retrieval.index_files import PROGRESS
from optical_ir.retrieval.product_quantization import check_faiss
from optical_ir.retrieval.shard_writer import Claim, ShardWriter
from optical_ir.retrieval.storage import PQ, STORAGES

DEFAULT_MEMORY = 2 << 30
_LEAST_MEMORY = 16 << 20
_BLOCK = 1024
"""Documents at most that are encoded between two records of progress, and sorted by length."""

_SCRATCH = "ids.sqlite"


class DocEncoder(Protocol):
    """What gives token vectors of documents, or one vector of each."""

    @property
    def dim(self) -> int:
        """Width of the vectors."""

    def encode_documents(self, texts: Sequence[str], *, batch_size: int = 32) -> Any:
        """Arrays of shape (n_tokens, dim), one a text, or one array of shape (n_texts, dim)."""


AnyEncoder = MultiVectorEncoder | SingleVectorEncoder | DocEncoder


class BuildSettings(TypedDict):
    """How an index is built; see `write_index`."""

    space: str
    storage: NotRequired[str]
    pool_factor: NotRequired[float]
    max_memory: NotRequired[int]
    batch_size: NotRequired[int]
    origin: NotRequired[dict[str, Any]]
    part: NotRequired[Part | None]


def write_index(
    docs: Iterable[Doc],
    encoder: AnyEncoder,
    output: Path | str,
    *,
    overwrite: bool = False,
    **settings: Unpack[BuildSettings],
) -> None:
    """Encode documents into a new index; after a kill the same call goes on where it stopped.

    Parameters
    ----------
    docs : iterable of Doc
        Streamed.
    encoder : MultiVectorEncoder, SingleVectorEncoder or DocEncoder
        The teacher. One vector is stored as a document's only token.
    overwrite : bool
        Replace `output` if it exists.
    space : str
        Key of the encoder's embedding space, written into the index.
    storage : {"float32", "bfloat16", "float16", "int8", "pq"}
        How vectors are stored; bfloat16 by default.
    pool_factor : float
        Each document's token vectors are clustered into this many times fewer; 1, the default,
        keeps all.
    max_memory : int
        Bytes to hold at a time, whatever the number of documents; 2 GiB by default.
    batch_size : int
        Texts a forward pass; 32 by default.
    origin : dict, optional
        What `index.json` shall say of where the index comes from.
    part : Part, optional
        Which part of a collection `docs` are, for `merge_indexes`.

    Raises
    ------
    ConfigError
        If `output` exists, or a setting is impossible, or an unfinished index there is of another
        encoder, storage or pool factor.
    DataError
        If there are no documents, an id is used twice, or, on resuming, the documents differ
        from those already encoded.
    DependencyError
        If the storage is pq and Faiss is not installed.
    """
    claim = make_claim(encoder, settings)
    memory = settings.get("max_memory", DEFAULT_MEMORY)
    check_memory(memory)
    with write_folder(output, overwrite=overwrite, resume=True) as folder:
        writer = ShardWriter(folder, claim, memory=memory)
        encode_into(writer, docs, encoder, settings)
        description = Description(
            dim=claim.dim,
            storage=claim.storage,
            pool_factor=claim.pool_factor,
            space=claim.space,
            shards=tuple(writer.finish()),
            part=settings.get("part"),
            docs_sha256=writer.docs_sha256,
            origin=settings.get("origin") or {},
        )
        if not description.n_tokens:
            raise DataError(
                f"Expected documents with words to encode, found none among {description.n_docs}."
            )
        write_description(folder, description)
        (folder / PROGRESS).unlink(missing_ok=True)


def make_claim(encoder: AnyEncoder, settings: BuildSettings) -> Claim:
    """Tell what distinguishes an index from one of other vectors.

    Raises
    ------
    ConfigError
        If a setting is impossible.
    DependencyError
        If the storage is pq and Faiss is not installed.
    """
    storage, pool_factor = settings.get("storage", "bfloat16"), settings.get("pool_factor", 1)
    if storage not in STORAGES:
        raise ConfigError(f"storage: expected one of {', '.join(STORAGES)}, found {storage!r}.")
    if not pool_factor >= 1:
        raise ConfigError(f"pool factor: expected 1 or more, found {pool_factor}.")
    if storage == PQ:
        check_faiss()
    dim = embedding_dim(encoder) if isinstance(encoder, MultiVectorEncoder) else encoder.dim
    return Claim(dim, storage, float(pool_factor), settings["space"])


def check_memory(memory: int) -> None:
    """Raise `ConfigError` for a limit that no block would fit into."""
    if memory < _LEAST_MEMORY:
        raise ConfigError(
            f"max memory: expected {_LEAST_MEMORY >> 20} MiB or more, found {memory / 2**20:g}."
        )


def encode_into(
    writer: ShardWriter,
    docs: Iterable[Doc],
    encoder: AnyEncoder,
    settings: BuildSettings,
    *,
    known: Iterable[str] = (),
) -> None:
    """Encode the documents that a writer does not have yet.

    Parameters
    ----------
    known : iterable of str
        Ids that none of them may have.

    Raises
    ------
    DataError
        See `write_index`.
    """
    pooling = HierarchicalTokenPooling(writer.claim.pool_factor, num_protected_tokens=0)
    batch_size = settings.get("batch_size", 32)
    memory = settings.get("max_memory", DEFAULT_MEMORY) // 4
    with DocumentIds(writer.folder / _SCRATCH) as ids:
        ids.add_all(known)
        rest = _check_ids(writer.skip_done(docs, ids), ids)
        for block in iter_blocks(rest, memory, longest_document(encoder), writer.claim.dim):
            vectors = _encode(encoder, [doc.text for doc in block], batch_size)
            if pooling.pool_factor > 1:
                vectors = [pooling.pool_one(torch.from_numpy(own)).numpy() for own in vectors]
            writer.append(block, vectors)


def _check_ids(docs: Iterable[Doc], ids: DocumentIds) -> Iterator[Doc]:
    for doc in docs:
        if doc.doc_id.split() != [doc.doc_id]:
            raise DataError(f"Expected a document id without white space: {doc.doc_id!r}.")
        ids.add(doc.doc_id)
        yield doc


def iter_blocks(docs: Iterable[Doc], memory: int, longest: int, dim: int) -> Iterator[list[Doc]]:
    """Cut a stream into blocks, by what their texts and vectors may take in memory.

    Parameters
    ----------
    memory : int
        Bytes; a document that takes more is a block of its own.
    longest : int
        Tokens of the longest document.
    dim : int
        Width of the token vectors.
    """
    block: list[Doc] = []
    used = 0
    for doc in docs:
        # A token has a character or more. Its vector is there as the model's and as ours, both
        # in float32; a character takes up to four bytes, as read and in the batch.
        tokens = min(len(doc.text) + 2, longest)
        needed = 2 * 4 * dim * tokens + 2 * 4 * len(doc.text)
        if block and (used + needed > memory or len(block) == _BLOCK):
            yield block
            block, used = [], 0
        block.append(doc)
        used += needed
    if block:
        yield block


def longest_document(encoder: AnyEncoder) -> int:
    """Tokens of the longest document that an encoder gives."""
    if not isinstance(encoder, MultiVectorEncoder):
        return int(getattr(encoder, "longest", 1))
    transformer: Any = encoder[0]
    return int(transformer.document_length or transformer.max_seq_length)


def _encode(encoder: AnyEncoder, texts: list[str], batch_size: int) -> Sequence[TokenVectors]:
    if isinstance(encoder, MultiVectorEncoder):
        return encode_documents(encoder, texts, batch_size=batch_size)
    vectors = encoder.encode_documents(texts, batch_size=batch_size)
    return list(vectors[:, None, :]) if isinstance(vectors, np.ndarray) else vectors
