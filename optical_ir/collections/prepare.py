"""Write any collection as a prepared folder, checking it on the way."""

import json
import logging
from collections.abc import Callable, Container, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from optical_ir.collections.collection import Collection
from optical_ir.errors import ConfigError, DataError
from optical_ir.files import write_file, write_folder
from optical_ir.provenance import describe_origin
from optical_ir.records import Doc, Qrel, Query
from optical_ir.trec import write_qrels, write_topics

logger = logging.getLogger(__name__)

_Record = TypeVar("_Record", Doc, Query)

Progress = Callable[[Iterable[Doc], int | None], Iterable[Doc]]
"""Wraps the stream of documents, given their number if known, as a progress bar does."""


def prepare(
    collection: Collection,
    output: Path | str,
    *,
    topics_name: str,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> None:
    """Write `corpus.jsonl`, `topics.<name>.tsv`, `qrels.<name>.txt` and `origin.json`.

    Documents and queries without text are left out and counted in the log, as are judgements
    given twice (the higher one stays). Judgements on ids that are not there are counted, and
    kept, so that measures agree with those of others on the same collection.

    Parameters
    ----------
    collection : Collection
        Its documents are streamed; only their ids, the queries and the judgements are held.
    output : path
        Folder to make; complete or not there at all.
    topics_name : str
        The `<name>` of topics and judgements.
    progress : callable, optional
        Called with the documents and their number (None if unknown), returns them again.

    Raises
    ------
    ConfigError
        If `output` exists and `overwrite` is false, or `topics_name` cannot be part of a file name.
    DataError
        If an id is used twice or has white space, or if nothing is left of one of the three.
    """
    if not topics_name or set(topics_name) & set("/\\ \t\n"):
        raise ConfigError(
            f"expected a topics name without blanks and slashes, as in 'sw.test', "
            f"found {topics_name!r}."
        )
    with write_folder(output, overwrite=overwrite) as folder:
        docs: Iterable[Doc] = collection.iter_docs()
        if progress is not None:
            docs = progress(docs, collection.n_docs)
        doc_ids = _write_corpus(folder / "corpus.jsonl", docs, name=collection.name)
        queries = _kept_queries(collection)
        qrels = _kept_qrels(collection)
        _report_unknown(collection.name, qrels, doc_ids, {query.query_id for query in queries})
        write_topics(folder / f"topics.{topics_name}.tsv", queries)
        write_qrels(folder / f"qrels.{topics_name}.txt", qrels)
        origin = describe_origin(
            settings={"collection": collection.name, "topics_name": topics_name}
        )
        origin["collection"] = {
            "name": collection.name,
            "topics": topics_name,
            "doc_lang": collection.doc_lang,
            "query_lang": collection.query_lang,
            "n_docs": len(doc_ids),
            "n_queries": len(queries),
            "n_qrels": len(qrels),
        }
        with write_file(folder / "origin.json") as stream:
            stream.write(json.dumps(origin, indent=2, ensure_ascii=False) + "\n")


def _write_corpus(path: Path, docs: Iterable[Doc], *, name: str) -> set[str]:
    doc_ids: set[str] = set()
    with write_file(path) as stream:
        for doc in _with_text(docs, "documents", name):
            _check_id(doc.doc_id, doc_ids, f"{name}: document")
            doc_ids.add(doc.doc_id)
            record = {"id": doc.doc_id, "contents": doc.text}
            stream.write(json.dumps(record, ensure_ascii=False) + "\n")
    _check_any(len(doc_ids), f"{name}: expected documents with text")
    return doc_ids


def _kept_queries(collection: Collection) -> list[Query]:
    queries: dict[str, Query] = {}
    for query in _with_text(collection.iter_queries(), "queries", collection.name):
        _check_id(query.query_id, queries.keys(), f"{collection.name}: query")
        queries[query.query_id] = query
    _check_any(len(queries), f"{collection.name}: expected queries with text")
    return list(queries.values())


def _kept_qrels(collection: Collection) -> list[Qrel]:
    qrels: dict[tuple[str, str], Qrel] = {}
    n_again = 0
    for qrel in collection.iter_qrels():
        pair = (qrel.query_id, qrel.doc_id)
        n_again += pair in qrels
        if pair not in qrels or qrel.relevance > qrels[pair].relevance:
            qrels[pair] = qrel
    _check_any(len(qrels), f"{collection.name}: expected judgements")
    if n_again:
        logger.warning(
            "%s: %d judgements are given twice; the higher one is kept.", collection.name, n_again
        )
    return list(qrels.values())


def _report_unknown(name: str, qrels: list[Qrel], doc_ids: set[str], query_ids: set[str]) -> None:
    for kind, n_unknown in (
        ("documents", sum(qrel.doc_id not in doc_ids for qrel in qrels)),
        ("queries", sum(qrel.query_id not in query_ids for qrel in qrels)),
    ):
        if n_unknown:
            logger.warning(
                "%s: %d of %d judgements are on %s that are not there; they are kept.",
                name,
                n_unknown,
                len(qrels),
                kind,
            )


def _with_text(records: Iterable[_Record], kind: str, name: str) -> Iterator[_Record]:
    n_empty = 0
    for record in records:
        if record.text.strip():
            yield record
        else:
            n_empty += 1
    if n_empty:
        logger.warning("%s: left out %d %s without text.", name, n_empty, kind)


def _check_id(record_id: str, seen: Container[str], where: str) -> None:
    if record_id in seen:
        raise DataError(f"{where} id {record_id!r} is used twice. Give each its own id.")
    if record_id.split() != [record_id]:
        raise DataError(
            f"{where} id {record_id!r}: expected an id without white space, which TREC files "
            "cannot hold. Replace the white space."
        )


def _check_any(number: int, expectation: str) -> None:
    if number == 0:
        raise DataError(f"{expectation}, found none. Choose another collection or topics.")
