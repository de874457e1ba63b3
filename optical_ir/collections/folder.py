"""Prepared folders: `corpus.jsonl`, `topics.<name>.tsv` and `qrels.<name>.txt`, read strictly.

`corpus.jsonl` is what Pyserini's JsonCollection reads, one `{"id", "contents"}` a line. A folder
may hold several topics over one corpus; `prepare` writes such folders.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from optical_ir.collections.collection import Collection
from optical_ir.errors import ConfigError, DataError
from optical_ir.files import iter_lines, parse_json
from optical_ir.records import Doc, Qrel
from optical_ir.texts import check_texts
from optical_ir.trec import read_qrels, read_topics


def open_folder(folder: Path | str, *, topics: str | None = None) -> Collection:
    """Open a prepared folder as a collection.

    Languages and `n_docs` come from the folder's `origin.json`, None where it has none.

    Parameters
    ----------
    folder : path
        Holds `corpus.jsonl` or `corpus.jsonl.gz`, topics and judgements.
    topics : str, optional
        The `<name>` of `topics.<name>.tsv`. Needed where the folder has several and no plain
        `topics.tsv`. Its judgements are the first file that exists of `qrels.<name>.txt`, the
        same with parts of the name dropped from its end, then with parts dropped from its start,
        and `qrels.txt`: `swa.test.en.human` finds `qrels.swa.test.txt`, `de.dev` finds
        `qrels.dev.txt`.

    Raises
    ------
    ConfigError
        If the folder, its corpus or the named topics are missing; or, when queries or judgements
        are read, if there are none or it is not clear which ones.
    """
    folder = Path(folder)
    corpus = _corpus_file(folder)
    # Encoding needs the documents only, so which topics is not asked before they are read.
    chosen = partial(_choose_topics, folder, topics)
    names = _topics_names(folder)
    if topics is not None or "" in names or len(names) == 1:
        topics = chosen()
    origin = _read_origin(folder)
    is_described = topics in (origin.get("topics"), "")
    base = folder.resolve().name
    return Collection(
        name=f"{base}-{topics}" if topics else base,
        doc_lang=origin.get("doc_lang"),
        query_lang=origin.get("query_lang") if is_described else None,
        n_docs=origin.get("n_docs"),
        iter_docs=partial(iter_corpus, corpus),
        iter_queries=lambda: iter(read_topics(folder / _file_name("topics", chosen(), "tsv"))),
        iter_qrels=lambda: _iter_qrels(folder, chosen()),
    )


def iter_corpus(path: Path | str) -> Iterator[Doc]:
    """Documents of a JSON-lines corpus, plain or `.gz`, in file order; further keys are ignored.

    The ids seen are kept to find duplicates, about 100 bytes each; texts are not.

    Raises
    ------
    DataError
        For a line that is no JSON object with an `id` (a string without white space, not seen
        before) and `contents` (a string that is not empty).
    """
    seen: set[str] = set()
    for number, line in iter_lines(path):
        where = f"{path}, line {number}"
        doc = _parse_doc(where, line)
        if doc.doc_id in seen:
            raise DataError(
                f"{where}: document id {doc.doc_id!r} is used twice. Give every document its own."
            )
        seen.add(doc.doc_id)
        yield doc


def _parse_doc(where: str, line: str) -> Doc:
    try:
        record = parse_json(line)
    except ValueError as err:
        raise DataError(
            f'{where}: expected a JSON object {{"id": ..., "contents": ...}}, found {line[:60]!r} '
            f"({err}). Write one object a line."
        ) from err
    if not isinstance(record, dict) or not {"id", "contents"} <= record.keys():
        found = sorted(record) if isinstance(record, dict) else type(record).__name__
        raise DataError(f"{where}: expected a JSON object with 'id' and 'contents', found {found}.")
    doc_id, contents = record["id"], record["contents"]
    if not isinstance(doc_id, str) or doc_id.split() != [doc_id]:
        raise DataError(
            f"{where}: expected an id that is a string without white space, found {doc_id!r}."
        )
    if not isinstance(contents, str) or not contents.strip():
        raise DataError(
            f"{where}: expected contents that are a string and not empty, found {contents!r} in "
            f"document {doc_id!r}. Leave the document out."
        )
    try:
        check_texts((doc_id, contents))
    except DataError as err:
        raise DataError(f"{where}: {err}") from err
    return Doc(doc_id, contents)


def _corpus_file(folder: Path) -> Path:
    if not folder.is_dir():
        raise ConfigError(f"{folder}: expected a prepared folder, found none. Check the path.")
    for name in ("corpus.jsonl", "corpus.jsonl.gz"):
        if (folder / name).is_file():
            return folder / name
    raise ConfigError(
        f"{folder}: expected corpus.jsonl or corpus.jsonl.gz in it, found neither. "
        "Write one with: optical-ir prepare"
    )


def _topics_names(folder: Path) -> list[str]:
    return sorted(
        path.name.removeprefix("topics").removesuffix(".tsv").removeprefix(".")
        for path in (*folder.glob("topics.tsv"), *folder.glob("topics.*.tsv"))
    )


def _choose_topics(folder: Path, topics: str | None) -> str:
    """Name of the topics, "" for the plain `topics.tsv`."""
    names = _topics_names(folder)
    listed = ", ".join(name or "(topics.tsv)" for name in names) or "none"
    if topics is None:
        if "" in names:
            return ""
        if len(names) == 1:
            return names[0]
        raise ConfigError(
            f"{folder}: expected one topics.<name>.tsv, found {len(names)}. "
            f"Choose the topics by name: {listed}."
        )
    if topics not in names:
        raise ConfigError(f"{folder}: expected topics {topics!r}, found: {listed}.")
    return topics


def _iter_qrels(folder: Path, topics: str) -> Iterator[Qrel]:
    parts = topics.split(".") if topics else []
    names = [".".join(parts[:end]) for end in range(len(parts), 0, -1)]
    names += [".".join(parts[start:]) for start in range(1, len(parts))]
    files = [_file_name("qrels", name, "txt") for name in [*names, ""]]
    for file in files:
        if (folder / file).is_file():
            return iter(read_qrels(folder / file))
    raise ConfigError(
        f"{folder}: expected judgements for topics {topics!r} in one of {', '.join(files)}, "
        "found none. Put a TREC qrels file there under one of these names."
    )


def _file_name(kind: str, name: str, suffix: str) -> str:
    return f"{kind}.{name}.{suffix}" if name else f"{kind}.{suffix}"


def _read_origin(folder: Path) -> dict[str, Any]:
    """Read what `prepare` noted on the collection, empty for a folder made by other means."""
    path = folder / "origin.json"
    if not path.is_file():
        return {}
    try:
        origin = parse_json(path.read_bytes())
        return dict(origin.get("collection", {}))
    except (ValueError, TypeError, AttributeError) as err:
        raise DataError(
            f"{path}: expected the JSON that prepare writes, found something else ({err}). "
            "Remove the file or prepare the folder again."
        ) from err
