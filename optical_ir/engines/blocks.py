"""An index as a stream of blocks of documents, the unit in which engines take them."""

from collections.abc import Collection, Iterable, Iterator
from hashlib import blake2b
from typing import NamedTuple

import torch
from torch import Tensor

from optical_ir.retrieval.index import MultiVectorIndex

BLOCK_VALUES = 1 << 20
"""Values of a block: as JSON, about 20 characters each, under the 32 MiB that Qdrant takes."""


class Block(NamedTuple):
    """Some documents with their token embeddings.

    Attributes
    ----------
    doc_ids : list of str
    vectors : list of Tensor, shape (n_tokens, dim), bfloat16 or float32
        As the index has them; at least one token each.
    """

    doc_ids: list[str]
    vectors: list[Tensor]

    def digests(self) -> dict[str, str]:
        """Hash of each document's token embeddings, by document id."""
        hashes = (digest_of(vectors) for vectors in self.vectors)
        return dict(zip(self.doc_ids, hashes, strict=True))

    def only(self, doc_ids: Collection[str]) -> "Block":
        """Keep some of the documents."""
        rows = [row for row, doc_id in enumerate(self.doc_ids) if doc_id in doc_ids]
        return Block([self.doc_ids[row] for row in rows], [self.vectors[row] for row in rows])


def digest_of(vectors: Tensor) -> str:
    """Hash of token embeddings, as 16 hexadecimal digits."""
    content = vectors.contiguous().view(torch.uint8).numpy()
    return blake2b(content.tobytes(), digest_size=8).hexdigest()


def iter_blocks(
    index: MultiVectorIndex, rows: Iterable[int], *, n_values: int = BLOCK_VALUES
) -> Iterator[Block]:
    """Read documents in blocks, without those that are deleted or have no token.

    Parameters
    ----------
    rows : iterable of int
        Places in the index.
    n_values : int
        Of the token embeddings of a block, unless a single document has more.
    """
    live, offsets = index.live, index.offsets
    block, size = Block([], []), 0
    for row in rows:
        length = int(offsets[row + 1] - offsets[row])
        if not length or not live[row]:
            continue
        if block.doc_ids and size + length * index.dim > n_values:
            yield block
            block, size = Block([], []), 0
        block.doc_ids.append(index.doc_ids[row])
        block.vectors.append(index.token_vectors(row, row + 1))
        size += length * index.dim
    if block.doc_ids:
        yield block
