"""Two-stage search: candidates by token codes, then exact MaxSim of the best of them.

1. All documents are ranked by MaxSim of their tokens' centroids.
2. The best, several times as many as are wanted, are ranked by MaxSim of their codes.
3. The best of these are scored by exact MaxSim from their token embeddings.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Unpack

import numpy as np
import numpy.typing as npt
import torch

from optical_ir.errors import DataError
from optical_ir.files import iter_lines
from optical_ir.models.encoder import TokenVectors
from optical_ir.records import Query, ScoredDoc
from optical_ir.retrieval.code_kernels import (
    LANES,
    pack_bytes,
    pack_sums,
    pad_queries,
    score_centroids,
    score_codes,
    sum_maxima,
)
from optical_ir.retrieval.codebooks import split_parts
from optical_ir.retrieval.index import MultiVectorIndex
from optical_ir.retrieval.queries import QueryEncoding, check_query_vectors, encode_for
from optical_ir.retrieval.search import search_index
from optical_ir.retrieval.token_ann import TokenAnn
from optical_ir.threads import map_in_threads, use_threads
from optical_ir.trec import rank_docs

Rows = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

_FANOUT = 6
"""Documents whose codes are scored, for each candidate."""

_BLOCK_DOCS = 8
"""Documents scored exactly at a time, so that their embeddings stay in the cache."""


def search_two_stage(
    index: MultiVectorIndex,
    ann: TokenAnn,
    queries: Sequence[Query],
    vectors: Sequence[TokenVectors],
    *,
    k: int = 1000,
    candidates: int = 800,
    allowed: Mask | None = None,
    threads: int = 1,
) -> dict[str, list[ScoredDoc]]:
    """Rank the documents that token codes find for each query by exact MaxSim.

    Parameters
    ----------
    queries : sequence of Query
    vectors : sequence of arrays, shape (n_tokens, dim), float32
        Their token embeddings, from `encode_queries`. A query without any finds nothing.
    k : int
        Documents a query, at most `candidates`.
    candidates : int
        Documents a query that are scored exactly. More find more of what exact search finds; as
        many as may be found are exact search.
    allowed : array, shape (n_docs,), bool, optional
        Documents that may be found, see `allow_docs`.
    threads : int
        Queries searched at a time, on one core each; changes nothing in what they find.

    Returns
    -------
    dict of list of ScoredDoc
        By query id in the order of `queries`, best first, with the scores of exact search.

    Raises
    ------
    ConfigError
        If the embeddings' width is not the index's.
    ValueError
        If `queries` and `vectors` differ in length.
    """
    check_query_vectors(index, queries, vectors)
    may_find = index.live & (np.diff(index.offsets) > 0)
    may_find = may_find if allowed is None else may_find & allowed
    if candidates >= np.count_nonzero(may_find):
        return search_index(index, queries, vectors, k=k, allowed=allowed)

    def search_one(pair: tuple[Query, TokenVectors]) -> list[ScoredDoc]:
        if not len(pair[1]):
            return []
        rows = find_candidates(ann, pair[1], candidates, may_find)
        return score_blocks(index, *pair, rows)[:k]

    pairs = zip(queries, vectors, strict=True)
    found = map_in_threads(search_one, pairs, threads)
    return {query.query_id: ranked for query, ranked in zip(queries, found, strict=True)}


def find_candidates(ann: TokenAnn, vectors: TokenVectors, count: int, may_find: Mask) -> Rows:
    """Documents with the highest MaxSim by their codes, in the order of their rows.

    Parameters
    ----------
    vectors : array, shape (n_tokens, dim), float32
        Of one query; at least one.
    may_find : array, shape (n_docs,), bool
        At least `count` documents, all with entries.

    Returns
    -------
    array, shape (count,), int64
    """
    books, rows = ann.codebooks, np.flatnonzero(may_find)
    tokens = pad_queries(vectors)
    # Query tokens last, as they lie side by side in the words.
    centroid_scores = books.centroids @ tokens.mT
    if len(rows) > _FANOUT * count:
        words, steps = pack_bytes(centroid_scores)
        best = score_centroids()(words, ann.entry_centroids, ann.entry_offsets, rows)
        scores = best.view(np.uint8).reshape(len(rows), -1) @ steps
        rows = take_best(rows, scores, _FANOUT * count)
    parts = split_parts((tokens @ books.rotation).flatten(0, 1), len(books.codewords))
    parts = parts.view(len(parts), -1, LANES, parts.shape[2]).transpose(0, 1)
    *tables, steps = pack_sums(centroid_scores, books.codewords @ parts.mT)
    best = score_codes()(*tables, ann.entry_centroids, ann.entry_codes, ann.entry_offsets, rows)
    scores = best.view(np.uint16).reshape(len(rows), -1) @ steps
    return np.sort(take_best(rows, scores, count))


def take_best(rows: Rows, scores: npt.NDArray[np.float32], count: int) -> Rows:
    """Rows with the highest scores; of equal ones the first in the index."""
    if len(rows) <= count:
        return rows
    least = -np.partition(-scores, count - 1)[count - 1]
    above, level = rows[scores > least], rows[scores == least]
    return np.concatenate([above, np.sort(level)[: count - len(above)]])


def score_blocks(
    index: MultiVectorIndex, query: Query, vectors: TokenVectors, rows: Rows
) -> list[ScoredDoc]:
    """Rank documents, given by their rows, by exact MaxSim, some at a time."""
    # Not `score_exactly`: its compiled loop starts threads, and some kinds of these may not be
    # started from several threads at once.
    tokens = torch.from_numpy(vectors)
    scores = np.empty(len(rows), np.float32)
    lengths = np.diff(index.offsets)
    memory = torch.empty(_BLOCK_DOCS * int(lengths[rows].max(initial=0)), index.dim)
    for first in range(0, len(rows), _BLOCK_DOCS):
        block = rows[first : first + _BLOCK_DOCS]
        # The other way round, this product of a few columns takes three times as long.
        products = (tokens @ index.gather(block, out=memory).T).T.contiguous().numpy()
        scores[first : first + len(block)] = sum_maxima()(products, lengths[block])
    return rank_docs(
        ScoredDoc(query.query_id, index.doc_ids[row], float(score))
        for row, score in zip(rows, scores, strict=True)
    )


def allow_docs(index: MultiVectorIndex, doc_ids: Iterable[str]) -> Mask:
    """Mark the documents of an index that searches may find, by their ids.

    Returns
    -------
    array, shape (n_docs,), bool

    Raises
    ------
    DataError
        If an id is not in the index.
    """
    wanted = set(doc_ids)
    allowed = np.fromiter((doc_id in wanted for doc_id in index.doc_ids), np.bool_)
    missing = wanted.difference(index.doc_ids) if np.count_nonzero(allowed) < len(wanted) else None
    if missing:
        raise DataError(
            f"{len(missing)} of {len(wanted)} document ids to search among are not in index "
            f"{index.folder}, as {min(missing)!r}. Leave them out."
        )
    return allowed


def search_tokens(
    encoder: str,
    folder: Path | str,
    queries: Sequence[Query],
    *,
    k: int = 1000,
    candidates: int | None = None,
    doc_ids: Path | None = None,
    threads: int | None = None,
    **encoding: Unpack[QueryEncoding],
) -> dict[str, list[ScoredDoc]]:
    """Encode queries with an encoder, given by name, and search the index in `folder`.

    Parameters
    ----------
    candidates : int, optional
        See `search_two_stage`; exact search if not given.
    doc_ids : Path, optional
        File of the documents that may be found, one id a line.
    threads : int, optional
        Cores to use; as many as torch takes if not given.
    encoding
        See `encode_for`.

    Raises
    ------
    ConfigError
        If the encoder writes into another embedding space than the index holds.
    DataError
        If there is no index, or, with `candidates`, no token codes of it, or it lacks a document.
    """
    index = MultiVectorIndex.open(folder)
    ann = TokenAnn.open(index) if candidates else None
    lines = iter_lines(doc_ids) if doc_ids else ()
    allowed = allow_docs(index, (line for _, line in lines)) if doc_ids else None
    with use_threads(threads) as n_threads:
        vectors = encode_for(index, encoder, queries, **encoding)
        if ann is None or candidates is None:
            return search_index(index, queries, vectors, k=k, allowed=allowed)
        settings = {"k": k, "candidates": candidates, "threads": n_threads}
        return search_two_stage(index, ann, queries, vectors, allowed=allowed, **settings)
