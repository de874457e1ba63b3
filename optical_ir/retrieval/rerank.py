"""Re-ranking a run of any engine by exact MaxSim over the token embeddings of an index."""

from collections.abc import Sequence

import numpy as np

from optical_ir.errors import DataError
from optical_ir.models.encoder import TokenVectors
from optical_ir.records import Query, ScoredDoc
from optical_ir.retrieval.index import MultiVectorIndex
from optical_ir.retrieval.queries import check_query_vectors
from optical_ir.retrieval.search import score_exactly
from optical_ir.trec import Run


def rerank(
    index: MultiVectorIndex,
    run: Run,
    queries: Sequence[Query],
    vectors: Sequence[TokenVectors],
    *,
    k: int = 1000,
) -> dict[str, list[ScoredDoc]]:
    """Score the first `k` documents that a run has for each query anew, by MaxSim.

    Parameters
    ----------
    run : mapping of str to sequence of ScoredDoc
        Best first. Queries it lacks get an empty list, as do queries without token embeddings.
    queries : sequence of Query
    vectors : sequence of arrays, shape (n_tokens, dim), float32
        Their token embeddings, from `encode_queries`.
    k : int
        Documents a query that are scored; those below are dropped.

    Returns
    -------
    dict of list of ScoredDoc
        By query id in the order of `queries`, best first. Documents that have no token
        embeddings, such as blank ones, are left out: they have no MaxSim. So are those that were
        deleted from the index.

    Raises
    ------
    ConfigError
        If the embeddings' width is not the index's.
    DataError
        If the run has a query that is not among `queries`, or a document that is not in the
        index.
    """
    check_query_vectors(index, queries, vectors)
    unknown = sorted(run.keys() - {query.query_id for query in queries})
    if unknown:
        raise DataError(
            f"The run has {len(unknown)} queries that the topics lack, as {unknown[0]!r}. Give "
            "the topics that the run is for."
        )
    # A document that was deleted and came back is there twice; the later one counts.
    rows_of = {doc_id: row for row, doc_id in enumerate(index.doc_ids)} | index.rows
    can_score = (np.diff(index.offsets) > 0) & index.live
    reranked: dict[str, list[ScoredDoc]] = {}
    for query, own in zip(queries, vectors, strict=True):
        found = _rows(rows_of, run.get(query.query_id, ())[:k], index)
        scored = found[can_score[found]] if len(own) else found[:0]
        reranked[query.query_id] = score_exactly(index, query, own, scored)
    return reranked


def _rows(
    rows_of: dict[str, int], ranked: Sequence[ScoredDoc], index: MultiVectorIndex
) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    missing = [row.doc_id for row in ranked if row.doc_id not in rows_of]
    if missing:
        raise DataError(
            f"Query {ranked[0].query_id!r} has {len(missing)} documents that index "
            f"{index.folder} lacks, as {missing[0]!r}. Give the index of the collection that the "
            "run is from."
        )
    return np.array([rows_of[row.doc_id] for row in ranked], np.int64)
