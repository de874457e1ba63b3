"""Runs from the token vectors that another engine holds."""

from collections.abc import Sequence
from typing import Unpack

from optical_ir.engines.address import Address
from optical_ir.engines.stores import Store, open_store
from optical_ir.models.encoder import TokenVectors
from optical_ir.records import Query, ScoredDoc
from optical_ir.retrieval.queries import QueryEncoding, check_query_vectors, encode_for
from optical_ir.trec import rank_docs


def search_exported(
    encoder: str,
    address: Address,
    queries: Sequence[Query],
    *,
    k: int = 1000,
    exact: bool = True,
    **encoding: Unpack[QueryEncoding],
) -> dict[str, list[ScoredDoc]]:
    """Encode queries with an encoder, given by name, and let an engine rank its documents.

    Parameters
    ----------
    encoding
        See `encode_for`.

    Raises
    ------
    ConfigError
        If the encoder writes into another embedding space than the collection holds; also see
        `open_store`.
    DataError, DependencyError
        See `open_store`.
    """
    with open_store(address) as store:
        vectors = encode_for(store, encoder, queries, **encoding)
        return search_store(store, queries, vectors, k=k, exact=exact)


def search_store(
    store: Store,
    queries: Sequence[Query],
    vectors: Sequence[TokenVectors],
    *,
    k: int = 1000,
    exact: bool = True,
) -> dict[str, list[ScoredDoc]]:
    """Let an engine rank its documents by MaxSim and keep the first `k`.

    Parameters
    ----------
    vectors : sequence of arrays, shape (n_tokens, dim), float32
        Token embeddings of the queries. A query without any finds nothing.
    exact : bool
        Whether all documents are scored; otherwise the engine uses an index it may have.

    Returns
    -------
    dict of list of ScoredDoc
        By query id in the order of `queries`, best first. Scores are sums of cosines.

    Raises
    ------
    ConfigError
        If the embeddings' width is not the collection's.
    ValueError
        If `queries` and `vectors` differ in length.
    """
    check_query_vectors(store, queries, vectors)
    run = {}
    for query, own in zip(queries, vectors, strict=True):
        found = store.search(own, k=k, exact=exact) if len(own) else []
        run[query.query_id] = rank_docs(
            ScoredDoc(query.query_id, doc_id, score) for doc_id, score in found
        )
    return run
