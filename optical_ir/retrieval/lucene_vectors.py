"""A Lucene index of the vectors that `pyserini.encode` writes: flat, or an HNSW graph.

Pyserini has no command for this, and Anserini's program reads document ids from another key than
Pyserini writes them to, and then indexes nothing without an error. The index is Anserini's own:
``python -m pyserini.search.lucene --dense`` with ``--flat`` or ``--hnsw`` searches it.
"""

import json
import logging
import math
import shutil
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

from optical_ir.errors import DataError
from optical_ir.files import iter_lines, parse_json, write_folder
from optical_ir.retrieval.anserini import run_anserini
from optical_ir.retrieval.java import start_jvm
from optical_ir.retrieval.lucene import open_searcher

logger = logging.getLogger(__name__)


def build_vector_index(
    embeddings: Path | str,
    output: Path | str,
    *,
    hnsw: bool = False,
    m: int = 16,
    ef_construction: int = 100,
    overwrite: bool = False,
) -> int:
    """Index the vectors in a folder of JSON lines; return the number of documents.

    Zero vectors, of documents with nothing to encode, are left out with a warning that counts
    them.

    Parameters
    ----------
    embeddings : Path or str
        Folder that `pyserini.encode` wrote without `--to-faiss`: files `*.jsonl` of lines
        ``{"id": ..., "vector": [...]}``. Lucene scores ``(1 + cosine) / 2``, so vectors must be
        of unit length, else the order would not be that of inner products.
    output : Path or str
        Holds Lucene's files and `index.json`.
    hnsw : bool
        An HNSW graph, searched approximately; else all vectors are compared.
    m, ef_construction : int
        Links a node and candidates an insertion of that graph.

    Raises
    ------
    ConfigError
        If `output` exists.
    DataError
        If there are no vectors, a line is malformed, an id is used twice, vectors differ in
        width or are not of unit length, or Lucene does not hold all of them at the end.
    DependencyError
        If Pyserini or a Java for it is missing.
    """
    start_jvm()
    with write_folder(output, overwrite=overwrite) as part:
        corpus = part / "corpus"
        corpus.mkdir()
        n_docs, dim = _convert(Path(embeddings), corpus / "vectors.jsonl")
        flags = ["-M", str(m), "-efC", str(ef_construction)] if hnsw else []
        run_anserini(
            f"io.anserini.index.Index{'Hnsw' if hnsw else 'Flat'}DenseVectors",
            part,
            *("-collection", "JsonDenseVectorCollection", "-input", corpus),
            *("-generator", "DenseVectorDocumentGenerator", "-index", part, "-threads", "1"),
            *flags,
        )
        found = count_documents(part)
        if found != n_docs:
            raise DataError(f"{output}: expected {n_docs} documents, found {found} in Lucene's.")
        shutil.rmtree(corpus)
        description = {
            "kind": "hnsw" if hnsw else "flat",
            "docs": n_docs,
            "dim": dim,
            "pyserini": version("pyserini"),
        }
        (part / "index.json").write_text(json.dumps(description, indent=2) + "\n", "utf-8")
    return n_docs


def count_documents(index: Path) -> int:
    """Count the documents that a Lucene index holds."""
    start_jvm()
    reader = open_searcher(index).getIndexReader()
    try:
        return int(reader.numDocs())
    finally:
        reader.close()


def _convert(source: Path, target: Path) -> tuple[int, int]:
    """Write Anserini's format; give the number of vectors and their width."""
    seen: set[str] = set()
    dim, n_blank = 0, 0
    with target.open("w", encoding="utf-8", newline="\n") as stream:
        for where, doc_id, vector in _iter_vectors(source):
            if doc_id in seen:
                raise DataError(f"{where}: document id {doc_id!r} is used twice.")
            seen.add(doc_id)
            dim = dim or len(vector)
            if len(vector) != dim:
                raise DataError(f"{where}: expected {dim} values, found {len(vector)}.")
            length = math.hypot(*vector)
            if not length:
                n_blank += 1
                continue
            if not abs(length - 1) < 1e-3:
                raise DataError(
                    f"{where}: expected a vector of length 1, found {length:.4f}. Encode with "
                    "--l2-norm, or with our encoders, whose vectors are."
                )
            stream.write(json.dumps({"docid": doc_id, "contents": "", "vector": vector}) + "\n")
    if n_blank:
        logger.warning(
            "%d of %d documents have a zero vector and are left out.", n_blank, len(seen)
        )
    if len(seen) == n_blank:
        raise DataError(f"{source}: expected vectors, found none among {n_blank} documents.")
    return len(seen) - n_blank, dim


def _iter_vectors(folder: Path) -> Iterator[tuple[str, str, list[float]]]:
    files = sorted(folder.glob("*.jsonl"))
    if not files:
        raise DataError(
            f"{folder}: expected *.jsonl with vectors, found none. Make them with: python -m "
            "encoders pyserini.encode (without --to-faiss)."
        )
    for file in files:
        for number, line in iter_lines(file):
            where = f"{file}, line {number}"
            try:
                record: dict[str, Any] = parse_json(line)
                yield where, str(record["id"]), [float(value) for value in record["vector"]]
            except (ValueError, OverflowError, KeyError, TypeError) as err:
                raise DataError(
                    f'{where}: expected {{"id": ..., "vector": [numbers]}}, found something else '
                    f"({type(err).__name__}: {err})."
                ) from err
