"""Triples to train a teacher on: those of an ir_datasets id, or judgements with mined negatives."""

import shutil
from itertools import islice
from pathlib import Path

from optical_ir.collections import Collection
from optical_ir.errors import ConfigError, DataError
from optical_ir.provenance import write_origin
from optical_ir.records import Query
from optical_ir.retrieval.bm25 import Bm25Index
from optical_ir.stages import digest_queries, is_done, read_settings
from optical_ir.training import TeacherSettings, Triple, Triples, draw_triples
from optical_ir.trec import Run, read_run, write_run


def open_triples(
    collection: Collection,
    settings: TeacherSettings,
    *,
    negatives: str | None = None,
    cache: Path,
) -> Triples:
    """Read the triples of a collection, or make them of its judgements.

    Parameters
    ----------
    collection : Collection
        With English queries and, unless it has pairs of documents, judgements.
    settings : TeacherSettings
        How many negatives, and from which ranks.
    negatives : str, optional
        ``bm25`` mines them, ``none`` leaves those of the batch, and any other word is the path
        of a TREC run. By default the collection's own pairs of documents where it has them,
        which are streamed and need `max_steps`, and BM25 otherwise.
    cache : Path
        Where the run that BM25 makes is kept, so that it is made once.

    Raises
    ------
    ConfigError
        If pairs of documents are to be streamed and `max_steps` does not say how many.
    DataError
        If the collection lacks queries or judgements.
    """
    if negatives is None and collection.docpairs is not None:
        return _stream(collection, settings)
    documents = {doc.doc_id: doc.text for doc in collection.iter_docs()}
    queries = {query.query_id: query.text for query in collection.iter_queries()}
    qrels = [qrel for qrel in collection.iter_qrels() if qrel.query_id in queries]
    if not any(qrel.relevance > 0 for qrel in qrels):
        raise DataError(
            f"{collection.name}: expected judgements of its queries with relevance above 0, found "
            "none. Choose topics that are judged."
        )
    n_negatives = 0 if negatives == "none" else settings.n_negatives
    run: Run = {}
    if n_negatives:
        judged = {qrel.query_id for qrel in qrels if qrel.relevance > 0}
        asked = [Query(query_id, text) for query_id, text in queries.items() if query_id in judged]
        is_bm25 = negatives in (None, "bm25")
        run = (
            _mine(collection, asked, settings.last_rank, cache)
            if is_bm25
            else read_run(str(negatives))
        )
    rows = draw_triples(
        qrels,
        run,
        list(documents),
        n_negatives=n_negatives,
        first_rank=settings.first_rank,
        last_rank=settings.last_rank,
        seed=settings.seed,
    )
    return Triples(rows, queries, documents.__getitem__)


def _stream(collection: Collection, settings: TeacherSettings) -> Triples:
    """Ids of as many pairs as the steps need; texts stay in the store of documents."""
    pairs = collection.docpairs
    if pairs is None or settings.max_steps is None:
        raise ConfigError(
            f"{collection.name}: its pairs of documents are read as far as they are needed. Give "
            "max_steps."
        )
    if settings.n_negatives != 1:
        raise ConfigError(
            f"n_negatives: {collection.name} has pairs of documents with 1 negative, found "
            f"{settings.n_negatives}. Choose other negatives."
        )
    n_rows = settings.max_steps * settings.batch_size + settings.dev_queries
    rows = [
        Triple(query_id, positive, (negative,))
        for query_id, positive, negative in islice(pairs.iter_docpairs(), n_rows)
    ]
    needed = {row.query_id for row in rows}
    queries = {q.query_id: q.text for q in collection.iter_queries() if q.query_id in needed}
    if missing := needed - queries.keys():
        raise DataError(f"{collection.name}: query {min(missing)!r} has no text.")
    return Triples(rows, queries, pairs.doc_text)


def _mine(collection: Collection, queries: list[Query], hits: int, path: Path) -> Run:
    settings = {
        "collection": collection.name,
        "queries_sha256": digest_queries(queries),
        "hits": hits,
        "system": "bm25",
    }
    if not is_done(path, read_settings(path), settings):
        index_folder = path.with_name(path.name + ".index")
        with Bm25Index.build(collection.iter_docs(), index_folder, overwrite=True) as index:
            run = index.search(queries, k=hits)
        write_origin(path, settings=settings)
        write_run(path, run, tag="bm25")
        shutil.rmtree(index_folder)
    return read_run(path, may_be_empty=True)
