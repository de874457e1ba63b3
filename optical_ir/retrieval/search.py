"""Exact MaxSim search over a multi-vector index.

All query tokens of a batch are multiplied with a chunk of document tokens at a time, and a
compiled loop takes the maxima over each document's rows while the products are still in cache.
In bfloat16, which is twice as fast where the CPU has it, a first pass finds candidates and a
second scores them in float32, so scores do not depend on chunk, batch or shard.
"""

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from optical_ir.models.encoder import TokenVectors
from optical_ir.models.precision import has_fast_bfloat16
from optical_ir.records import Query, ScoredDoc
from optical_ir.retrieval.gpu_scores import document_scores
from optical_ir.retrieval.index import MultiVectorIndex
from optical_ir.retrieval.queries import check_query_vectors
from optical_ir.threads import keep_torch_threads
from optical_ir.trec import rank_docs

_CHUNK_VALUES = 1 << 21
"""Products held at a time; 4 MiB in bfloat16 stays in the cache of a server core."""

_CHUNK_TOKENS = 1 << 12
"""Document tokens converted to another dtype at a time: large chunks, each in new memory, take
twice as long as multiplying them."""

_GPU_CHUNK_VALUES = 1 << 28
"""The same on a GPU: 1 GiB in float32."""

_QUERY_TOKENS = 1024
"""Query tokens multiplied at a time."""

_MARGIN = 0.1
"""The first pass keeps this part of `k` more documents, and 20, for exact scoring."""


def search_index(
    index: MultiVectorIndex,
    queries: Sequence[Query],
    vectors: Sequence[TokenVectors],
    *,
    k: int = 1000,
    allowed: npt.NDArray[np.bool_] | None = None,
) -> dict[str, list[ScoredDoc]]:
    """Rank all documents for each query by MaxSim and keep the first `k`.

    Parameters
    ----------
    queries : sequence of Query
    vectors : sequence of arrays, shape (n_tokens, dim), float32
        Their token embeddings, from `encode_queries`. A query without any finds nothing.
    k : int
        Documents a query.
    allowed : array, shape (n_docs,), bool, optional
        Documents that may be found; all if not given.

    Returns
    -------
    dict of list of ScoredDoc
        By query id in the order of `queries`, best first. Scores are sums of cosines.

    Raises
    ------
    ConfigError
        If the embeddings' width is not the index's.
    ValueError
        If `queries` and `vectors` differ in length.
    """
    check_query_vectors(index, queries, vectors)
    run: dict[str, list[ScoredDoc]] = {}
    for batch in _batches(vectors):
        candidates = _first_pass(index, vectors[batch], k, allowed)
        for query, own, rows in zip(queries[batch], vectors[batch], candidates, strict=True):
            run[query.query_id] = score_exactly(index, query, own, rows)[:k]
    return run


def _batches(vectors: Sequence[TokenVectors]) -> Iterator[slice]:
    """Cut into runs of queries with about `_QUERY_TOKENS` tokens together."""
    start, tokens = 0, 0
    for position, query_vectors in enumerate(vectors):
        if tokens and tokens + len(query_vectors) > _QUERY_TOKENS:
            yield slice(start, position)
            start, tokens = position, 0
        tokens += len(query_vectors)
    if start < len(vectors):
        yield slice(start, len(vectors))


def score_exactly(
    index: MultiVectorIndex, query: Query, vectors: TokenVectors, rows: npt.NDArray[np.int64]
) -> list[ScoredDoc]:
    """Rank some documents by MaxSim in float32.

    Parameters
    ----------
    vectors : array, shape (n_tokens, dim), float32
        Of the query.
    rows : array, shape (n_docs,), int64
        Their places in the index; each has token embeddings.
    """
    tokens = index.gather(rows)
    offsets = np.cumsum([0, *np.diff(index.offsets)[rows]], dtype=np.int64)
    scores = np.zeros((1, len(rows)), np.float32)
    ends = np.array([0, len(vectors)], np.int64)
    products = (tokens @ torch.from_numpy(vectors).T).numpy()
    _run(_segment_max_float32(), products, offsets, ends, scores)
    return rank_docs(
        ScoredDoc(query.query_id, index.doc_ids[row], float(score))
        for row, score in zip(rows, scores[0], strict=True)
    )


def _first_pass(
    index: MultiVectorIndex,
    vectors: Sequence[TokenVectors],
    k: int,
    allowed: npt.NDArray[np.bool_] | None,
) -> list[npt.NDArray[np.int64]]:
    """Rows of the best documents of each query, in no order."""
    may_find = index.live & (np.diff(index.offsets) > 0)
    scored = np.flatnonzero(may_find if allowed is None else may_find & allowed)
    scores = approximate_scores(index, vectors)
    kept = min(k + int(_MARGIN * k) + 20, len(scored))
    found = []
    for query_vectors, row in zip(vectors, scores, strict=True):
        if not len(query_vectors):
            found.append(np.empty(0, np.int64))
            continue
        best = torch.topk(torch.from_numpy(row[scored]), kept, sorted=False).indices.numpy()
        found.append(scored[best])
    return found


def approximate_scores(
    index: MultiVectorIndex, vectors: Sequence[TokenVectors]
) -> npt.NDArray[np.float32]:
    """MaxSim of every query with every document in the precision that is fastest here.

    Returns
    -------
    array, shape (n_queries, n_docs), float32
        In bfloat16, within about 0.004 a query token of the exact score.
    """
    if torch.cuda.is_available():
        return _gpu_scores(index, vectors)
    half = index.storage != "float32" and has_fast_bfloat16(torch.device("cpu"))
    dtype = torch.bfloat16 if half else torch.float32
    stacked = torch.from_numpy(np.concatenate(list(vectors))).to(dtype)
    query_offsets = np.cumsum([0, *(len(v) for v in vectors)], dtype=np.int64)
    scores = np.zeros((len(vectors), len(index.doc_ids)), np.float32)
    if not len(stacked):
        return scores
    segment_max = _segment_max_bfloat16 if half else _segment_max_float32
    chunk = max(1, _CHUNK_VALUES // len(stacked))
    converts = str(dtype) != f"torch.{index.storage}"
    blocks = list(index.iter_blocks(min(chunk, _CHUNK_TOKENS) if converts else chunk))
    most = max((int(index.offsets[b] - index.offsets[a]) for a, b in blocks), default=0)
    converted, memory = (
        torch.empty(most, width, dtype=dtype) for width in (index.dim, len(stacked))
    )
    for first, last in blocks:
        start, end = index.offsets[first], index.offsets[last]
        tokens, products = index.token_vectors(first, last), memory[: end - start]
        if tokens.dtype != dtype:
            tokens = converted[: end - start].copy_(tokens)
        torch.mm(tokens, stacked.T, out=products)
        _run(
            segment_max(),
            _as_numpy(products),
            index.offsets[first : last + 1] - start,
            query_offsets,
            scores[:, first:last],
        )
    return scores


def _gpu_scores(
    index: MultiVectorIndex, vectors: Sequence[TokenVectors]
) -> npt.NDArray[np.float32]:
    scores = np.zeros((len(vectors), len(index.doc_ids)), np.float32)
    n_tokens = sum(len(own) for own in vectors)
    if not n_tokens:
        return scores
    for first, last in index.iter_blocks(max(1, _GPU_CHUNK_VALUES // n_tokens)):
        lengths = np.diff(index.offsets[first : last + 1])
        scores[:, first:last] = document_scores(
            index.token_vectors(first, last), lengths, vectors, device="cuda"
        )
    return scores


def _as_numpy(products: Tensor) -> npt.NDArray[Any]:
    if products.dtype == torch.bfloat16:
        return products.view(torch.int16).numpy()
    return products.numpy()


def _run(segment_max: Any, *arguments: npt.NDArray[Any]) -> None:
    """Run a compiled loop on as many threads as torch has."""
    import numba

    with keep_torch_threads():
        numba.set_num_threads(min(torch.get_num_threads(), numba.config.NUMBA_NUM_THREADS))
        segment_max(*arguments)


@cache
def _segment_max_float32() -> Any:
    import numba

    @numba.njit(parallel=True, nogil=True, cache=True)
    def segment_max(products, doc_offsets, query_offsets, scores):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        for doc in numba.prange(len(doc_offsets) - 1):
            start, end = doc_offsets[doc], doc_offsets[doc + 1]
            if start < end:
                best = products[start].copy()
                for row in range(start + 1, end):
                    for column in range(best.shape[0]):
                        best[column] = max(best[column], products[row, column])
                for query in range(len(query_offsets) - 1):
                    total = np.float32(0)
                    for column in range(query_offsets[query], query_offsets[query + 1]):
                        total += best[column]
                    scores[query, doc] = total

    return segment_max


@cache
def _segment_max_bfloat16() -> Any:
    import numba

    @numba.njit(parallel=True, nogil=True, cache=True)
    def segment_max(products, doc_offsets, query_offsets, scores):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        # The bits of a bfloat16 with the lower ones flipped where it is negative order as int16.
        for doc in numba.prange(len(doc_offsets) - 1):
            start, end = doc_offsets[doc], doc_offsets[doc + 1]
            if start < end:
                best = np.full(products.shape[1], np.int16(-32768))
                for row in range(start, end):
                    for column in range(best.shape[0]):
                        bits = products[row, column]
                        key = np.int16(bits ^ ((bits >> 15) & np.int16(0x7FFF)))
                        best[column] = max(best[column], key)
                words = np.empty(best.shape[0], np.int32)
                for column in range(best.shape[0]):
                    key = best[column]
                    bits = np.int16(key ^ ((key >> 15) & np.int16(0x7FFF)))
                    words[column] = np.int32(bits) << 16
                values = words.view(np.float32)
                for query in range(len(query_offsets) - 1):
                    total = np.float32(0)
                    for column in range(query_offsets[query], query_offsets[query + 1]):
                        total += values[column]
                    scores[query, doc] = total

    return segment_max
