"""Any ir_datasets id with documents, queries and judgements as a `Collection`.

Texts are what ir_datasets itself calls the default text, so runs agree with those of other
tools on the same id. For WikiCLIR that is title and text of a document, and of a query the
*title* of the English article; its opening sentence, a query as long as a question, is the field
`first_sent`. WikiCLIR's queries are English and its documents are not: the other direction
than foreign queries on English documents, and read all the same.
"""

import difflib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from typing import Any, TypeAlias

from optical_ir.collections.collection import Collection, DocPairs
from optical_ir.errors import ConfigError, DataError
from optical_ir.records import Doc, DocPair, Qrel, Query

_Dataset: TypeAlias = Any  # ir_datasets has no types

_OWN_CODES = {"dt": "nl"}  # mMARCO v2 abbreviates Dutch so, and ir_datasets passes it on


def open_irds(dataset_id: str, *, query_field: str | None = None) -> Collection:
    """Open an ir_datasets id as a collection; ir_datasets downloads it on first use.

    Set `IR_DATASETS_HOME` before the first call to choose where its files live.

    Parameters
    ----------
    dataset_id : str
        For example `wikiclir/sw` or `mmarco/de/dev/small`, or an id that you registered.
    query_field : str, optional
        A field of the queries instead of their default text, as `description` for TREC topics
        or `first_sent` for WikiCLIR.

    Raises
    ------
    ConfigError
        If the id is unknown, lacks documents, or has no such query field, or its records have
        no default text; while reading, if it lacks what is read or cannot download it.
    DataError
        While reading, if ir_datasets cannot parse a file.
    """
    dataset = _load(dataset_id)
    if not dataset.has("docs"):
        raise _lack(dataset_id, "docs")
    if not hasattr(dataset.docs_cls(), "default_text"):
        raise ConfigError(
            f"ir_datasets id {dataset_id!r}: its documents have no default_text(). Register them "
            "under an id of your own, as a class that has this method."
        )
    if dataset.has("queries"):
        _check_query_field(dataset_id, dataset.queries_cls(), query_field)
    doc_lang: str | None = dataset.docs_lang()
    query_lang: str | None = dataset.queries_lang() if dataset.has("queries") else None
    return Collection(
        name=dataset_id,
        doc_lang=_own_code(doc_lang),
        query_lang=_own_code(query_lang),
        n_docs=dataset.docs_metadata().get("count"),
        iter_docs=partial(_iter_docs, dataset_id, dataset),
        iter_queries=partial(_iter_queries, dataset_id, dataset, query_field),
        iter_qrels=partial(_iter_qrels, dataset_id, dataset),
        docpairs=_docpairs(dataset_id, dataset) if dataset.has("docpairs") else None,
    )


def _docpairs(dataset_id: str, dataset: _Dataset) -> DocPairs:
    @cache
    def store() -> Any:  # on first use, since ir_datasets may have to make it
        with _failures(f"ir_datasets id {dataset_id!r}, docs"):
            return dataset.docs_store()

    def doc_text(doc_id: str) -> str:
        try:
            return store().get(doc_id).default_text() or ""
        except KeyError as err:
            raise DataError(
                f"ir_datasets id {dataset_id!r}: there is no document {doc_id!r}."
            ) from err

    return DocPairs(partial(_iter_docpairs, dataset_id, dataset), doc_text)


def _own_code(language: str | None) -> str | None:
    return _OWN_CODES.get(language, language) if language else None


def _load(dataset_id: str) -> _Dataset:
    import ir_datasets

    try:
        with _failures(f"ir_datasets id {dataset_id!r}"):
            return ir_datasets.load(dataset_id)
    except KeyError as err:
        near = difflib.get_close_matches(dataset_id, list(ir_datasets.registry), n=5, cutoff=0.7)
        raise ConfigError(
            f"expected an existing folder, the word 'demo' or an ir_datasets id, found "
            f"{dataset_id!r}. "
            + (f"Did you mean: {', '.join(near)}?" if near else "Ids: ir_datasets list")
        ) from err


def _check_query_field(dataset_id: str, query_class: type, query_field: str | None) -> None:
    fields = ", ".join(query_class._fields[1:])  # type: ignore[attr-defined]
    if query_field is None and not hasattr(query_class, "default_text"):
        raise ConfigError(
            f"ir_datasets id {dataset_id!r}: its queries have no default text. "
            f"Choose topics, one of their fields: {fields}."
        )
    if query_field is not None and query_field not in fields.split(", "):
        raise ConfigError(
            f"ir_datasets id {dataset_id!r}: its queries have no field {query_field!r}. "
            f"Choose topics, one of their fields: {fields}."
        )


def _lack(dataset_id: str, kind: str) -> ConfigError:
    return ConfigError(
        f"ir_datasets id {dataset_id!r}: expected {kind}, found none. {_complete_ids(dataset_id)}"
    )


def _complete_ids(dataset_id: str) -> str:
    import ir_datasets

    below = (name for name in ir_datasets.registry if name.startswith(f"{dataset_id}/"))
    complete = [
        name
        for name in below
        if all(ir_datasets.load(name).has(kind) for kind in ("docs", "queries", "qrels"))
    ]
    if not complete:
        return "Choose another id."
    listed = ", ".join(complete[:8]) + (", ..." if len(complete) > 8 else "")
    return f"Choose one below it that has all: {listed}."


def _iter_docs(dataset_id: str, dataset: _Dataset) -> Iterator[Doc]:
    for doc in _records(dataset_id, dataset, "docs"):
        yield Doc(doc.doc_id, doc.default_text() or "")


def _iter_queries(dataset_id: str, dataset: _Dataset, query_field: str | None) -> Iterator[Query]:
    for query in _records(dataset_id, dataset, "queries"):
        text = query.default_text() if query_field is None else getattr(query, query_field)
        yield Query(query.query_id, text or "")


def _iter_qrels(dataset_id: str, dataset: _Dataset) -> Iterator[Qrel]:
    for qrel in _records(dataset_id, dataset, "qrels"):
        yield Qrel(qrel.query_id, qrel.doc_id, qrel.relevance)


def _iter_docpairs(dataset_id: str, dataset: _Dataset) -> Iterator[DocPair]:
    for pair in _records(dataset_id, dataset, "docpairs"):
        yield DocPair(pair.query_id, pair.doc_id_a, pair.doc_id_b)


def _records(dataset_id: str, dataset: _Dataset, kind: str) -> Iterator[Any]:
    if not dataset.has(kind):
        raise _lack(dataset_id, kind)
    with _failures(f"ir_datasets id {dataset_id!r}, {kind}"):
        yield from getattr(dataset, f"{kind}_iter")()


@contextmanager
def _failures(where: str) -> Iterator[None]:
    """Turn what ir_datasets raises into errors that name a remedy."""
    try:
        yield
    except (OSError, RuntimeError, ValueError, AssertionError) as err:
        cause = _download_error(err)
        if cause is None:
            raise DataError(
                f"{where}: ir_datasets cannot parse its file ({err}). "
                "Remove the file below IR_DATASETS_HOME and load the id again."
            ) from err
        raise ConfigError(
            f"{where}: a file is missing and cannot be downloaded ({type(cause).__name__}). "
            f"{_placement(cause)}"
        ) from err


def _download_error(err: Exception) -> OSError | None:
    """Error of the network or the file system behind a failure, None for one of parsing."""
    causes = [err]
    if isinstance(err, RuntimeError) and len(err.args) == 2:  # (message, [(mirror, error)])
        causes = [cause for _, cause in err.args[1]]
    failures = [cause for cause in causes if isinstance(cause, OSError)]
    for cause in failures:
        if hasattr(cause, "request"):  # it names the address
            return cause
    return failures[0] if failures else None


def _placement(cause: OSError) -> str:
    """Where ir_datasets would find the file if it were put there by hand."""
    import ir_datasets
    from ir_datasets.util.download import DownloadConfig

    home = ir_datasets.util.home_path()
    if isinstance(cause, FileNotFoundError):
        return f"Place it at {cause.filename or cause.args[0]}."
    url = getattr(getattr(cause, "request", None), "url", None)
    for key, files in DownloadConfig.contents().items():
        for file in files.values():
            if url is not None and file.get("url") == url:
                cached, md5 = file.get("cache_path"), file.get("expected_md5", "")
                place = Path(key, cached) if cached else Path("downloads", md5)
                return f"Place {url} at {home / place}."
    return f"Connect to the network, or place its files below {home}."
