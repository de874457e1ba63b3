"""Exact search over single vectors: the yardstick for what an engine of one vector a text finds."""

from collections.abc import Sequence

import numpy as np
import torch

from optical_ir.models.single_vector import TokenPooling, Vectors
from optical_ir.records import Query, ScoredDoc
from optical_ir.retrieval.index import MultiVectorIndex
from optical_ir.trec import rank_docs

_BLOCK = 1 << 17
"""Tokens pooled at a time."""


def pool_index(index: MultiVectorIndex, pooling: TokenPooling) -> Vectors:
    """One vector for each document of a multi-vector index, without encoding it again.

    Returns
    -------
    array, shape (n_docs, dim), float32
    """
    blocks = []
    for first, last in index.iter_blocks(_BLOCK):
        offsets = index.offsets[first : last + 1]
        tokens = index.token_vectors(first, last).float().numpy()
        blocks.append(pooling.pool_documents(np.split(tokens, offsets[1:-1] - offsets[0])))
    return np.concatenate(blocks)


def search_dense(
    doc_ids: Sequence[str],
    doc_vectors: Vectors,
    queries: Sequence[Query],
    query_vectors: Vectors,
    *,
    k: int = 1000,
) -> dict[str, list[ScoredDoc]]:
    """Rank all documents for each query by inner product and keep the first `k`.

    Parameters
    ----------
    doc_vectors : array, shape (n_docs, dim), float32
    query_vectors : array, shape (n_queries, dim), float32
        A query whose vector is zero finds nothing.

    Returns
    -------
    dict of list of ScoredDoc
        By query id in the order of `queries`, best first.
    """
    scores = torch.from_numpy(query_vectors) @ torch.from_numpy(doc_vectors).T
    values, rows = torch.topk(scores, min(k, len(doc_ids)))
    run = {}
    for query, vector, own, best in zip(queries, query_vectors, values, rows, strict=True):
        found = zip(best.tolist(), own.tolist(), strict=True) if vector.any() else ()
        run[query.query_id] = rank_docs(
            ScoredDoc(query.query_id, doc_ids[row], score) for row, score in found
        )
    return run
