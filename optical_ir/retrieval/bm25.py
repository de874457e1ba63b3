"""BM25 by Anserini, the Java half of Pyserini, behind one class.

The searcher is the Java object that `pyserini.search.lucene.LuceneSearcher` wraps. It is used
directly because importing that wrapper also imports every neural encoder of Pyserini and, in
Pyserini 2, downloads lists of prebuilt indexes. The index is an ordinary Lucene index: stock
`python -m pyserini.search.lucene --index FOLDER` searches it too.
"""

import json
import logging
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from optical_ir.errors import ConfigError, DataError
from optical_ir.files import read_json_object, sha256_file, write_folder
from optical_ir.records import Doc, Query, ScoredDoc
from optical_ir.retrieval.anserini import run_anserini
from optical_ir.retrieval.java import start_jvm
from optical_ir.texts import check_texts
from optical_ir.trec import rank_docs

logger = logging.getLogger(__name__)

LANGUAGES = tuple(
    "ar bn da de en es fa fi fr ha hi hu id it ja ko nl no pl pt ru so sv sw te th tr uk yo "
    "zh".split()
)
"""Languages that Anserini has an analyzer for; `ha`, `so`, `sw` and `yo` are only split at white
space, case and punctuation kept."""

_KIND = "bm25"
# A document used as a query may have more terms than the 1,024 that Lucene allows by default.
MAX_TERMS = 2**31 - 1


class Bm25Index:
    """A Lucene index of documents, ranked by BM25.

    Parameters
    ----------
    folder : Path or str
        An index that `build` has written.

    Attributes
    ----------
    language : str
        Language of the analyzer, for documents and queries alike.
    n_docs : int
        Number of documents that can be found.

    Raises
    ------
    DataError
        If `folder` is no such index, or is incomplete.
    DependencyError
        If Pyserini or a Java for it is missing.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        description = _read_description(self.folder)
        self.language: str = description["language"]
        self._searcher = _open_searcher(self.folder, self.language)
        self.n_docs = int(self._searcher.get_total_num_docs())
        if self.n_docs != description["docs"]:
            self.close()
            raise DataError(
                f"{folder}: expected {description['docs']} documents, found {self.n_docs} in "
                "Lucene's files. Build the index again."
            )

    @classmethod
    def build(
        cls,
        docs: Iterable[Doc],
        folder: Path | str,
        *,
        language: str = "en",
        overwrite: bool = False,
    ) -> Self:
        """Index `docs` with Anserini and open the index.

        Documents without text cannot be found and are left out, with a warning that counts them.
        English is stemmed with Porter's stemmer and freed of stop words, as Pyserini does.

        Parameters
        ----------
        docs : iterable of Doc
            Read once, so it may be a generator.
        folder : Path or str
            Holds Lucene's files and `index.json` (language, counts, hash of the documents).
        language : str
            One of `LANGUAGES`.
        overwrite : bool
            Whether to replace `folder` if it exists.

        Raises
        ------
        ConfigError
            If `folder` exists, or Anserini has no analyzer for `language`.
        DataError
            If an id is used twice or has white space, no document has text, or Lucene does not
            hold all documents at the end.
        DependencyError
            If Pyserini or a Java for it is missing.
        """
        if language not in LANGUAGES:
            raise ConfigError(
                f"expected a language that Anserini has an analyzer for, found {language!r}. "
                f"Choose one of: {', '.join(LANGUAGES)}."
            )
        # Before any document is read, so that what is missing is said at once.
        start_jvm()
        with write_folder(folder, overwrite=overwrite) as part:
            # Of a name of its own: Anserini outlives a kill of this process alone, and would
            # write into the folder of the next attempt.
            work = Path(tempfile.mkdtemp(prefix="work-", dir=part))
            corpus, index = work / "corpus", work / "index"
            corpus.mkdir()
            description = {
                "kind": _KIND,
                "language": language,
                "docs": _write_corpus(corpus / "docs.jsonl", docs),
                "corpus_sha256": sha256_file(corpus / "docs.jsonl"),
                "pyserini": version("pyserini"),
            }
            run_anserini(
                "io.anserini.index.IndexCollection",
                part,
                *("-collection", "JsonCollection", "-generator", "DefaultLuceneDocumentGenerator"),
                *("-threads", "1", "-language", language, "-input", corpus, "-index", index),
            )
            for file in index.iterdir():
                file.rename(part / file.name)
            shutil.rmtree(work)
            text = json.dumps(description, indent=2) + "\n"
            (part / "index.json").write_text(text, encoding="utf-8")
            cls(part).close()
        return cls(folder)

    @property
    def searcher(self) -> Any:
        """Anserini's `SimpleSearcher`, for queries that are more than text; not thread-safe."""
        return self._searcher

    def search(
        self,
        queries: Iterable[Query],
        *,
        k: int = 1000,
        k1: float = 0.9,
        b: float = 0.4,
        threads: int = 1,
    ) -> dict[str, list[ScoredDoc]]:
        """Rank the documents for each query, in the order of `queries`.

        Parameters
        ----------
        queries : iterable of Query
            A query without a term of the index gets an empty list.
        k : int
            Documents per query at most.
        k1, b : float
            Parameters of BM25; the defaults are Anserini's.
        threads : int
            Queries searched at the same time.

        Returns
        -------
        dict of str to list of ScoredDoc
            By query id, best first. Anserini rounds scores to four decimals and then lowers
            equal ones by 1e-6 per rank, documents with the smaller id first.

        Raises
        ------
        DataError
            If a query id is used twice.
        """
        if k < 1 or threads < 1:
            raise ValueError(f"k and threads must be positive, got {k} and {threads}")
        queries = list(queries)
        self._searcher.set_bm25(float(k1), float(b))
        run: dict[str, list[ScoredDoc]] = {}
        for start in range(0, len(queries), threads):
            batch = queries[start : start + threads]
            for query, hits in zip(batch, self._search_batch(batch, k), strict=True):
                if query.query_id in run:
                    raise DataError(
                        f"query id {query.query_id!r} is used twice. Give every query its own id."
                    )
                run[query.query_id] = rank_docs(
                    ScoredDoc(query.query_id, hit.docid, hit.score) for hit in hits
                )
        n_empty = sum(not rows for rows in run.values())
        if n_empty:
            logger.debug("%d of %d queries have no term of the index", n_empty, len(run))
        return run

    def analyze(self, text: str) -> list[str]:
        """Terms of a text as the index has them; stop words of English are left out."""
        from jnius import autoclass

        analyzer = self._searcher.get_analyzer()
        found = autoclass("io.anserini.analysis.AnalyzerUtils").analyze(analyzer, text)
        return [str(found.get(number)) for number in range(found.size())]

    def _search_batch(self, queries: Sequence[Query], k: int) -> list[Any]:
        from jnius import JavaException

        check_texts(query.text for query in queries)
        try:
            return self._find(queries, k)
        except JavaException as err:
            raise DataError(
                f"{self.folder}: Lucene cannot search this index ({err.classname}: "
                f"{err.innermessage}). Build it again."
            ) from err

    def _find(self, queries: Sequence[Query], k: int) -> list[Any]:
        # Anserini's batch_search runs on all cores whatever number of threads it is given, so a
        # batch has as many queries as there may be threads.
        if len(queries) == 1:
            return [self._searcher.search(queries[0].text, k)]
        from jnius import autoclass

        texts, keys = autoclass("java.util.ArrayList")(), autoclass("java.util.ArrayList")()
        for number, query in enumerate(queries):
            texts.add(query.text)
            keys.add(str(number))
        hits = self._searcher.batch_search(texts, keys, k, len(queries))
        return [hits.get(str(number)) for number in range(len(queries))]

    def close(self) -> None:
        """Close Lucene's files; the index cannot be searched afterwards."""
        self._searcher.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def _read_description(folder: Path) -> dict[str, Any]:
    description: dict[str, Any] = {}
    try:
        description = read_json_object(folder / "index.json")
    except OSError as err:
        raise DataError(
            f"{folder}: expected a BM25 index with its index.json, found none ({err.strerror}). "
            "Build the index first, or check the path."
        ) from err
    except ValueError:
        pass  # what is expected is said below
    kind, language, n_docs = (description.get(key) for key in ("kind", "language", "docs"))
    if kind != _KIND or language not in LANGUAGES or not isinstance(n_docs, int):
        raise DataError(
            f"{folder}: expected the index.json of a BM25 index, found one of kind {kind!r}, "
            f"language {language!r} and {n_docs!r} documents. Check the path."
        )
    return description


def _open_searcher(folder: Path, language: str) -> Any:
    start_jvm()
    from jnius import JavaException, autoclass

    autoclass("org.apache.lucene.search.IndexSearcher").setMaxClauseCount(MAX_TERMS)
    try:
        searcher = autoclass("io.anserini.search.SimpleSearcher")(str(folder))
    except JavaException as err:
        raise DataError(
            f"{folder}: Lucene cannot open this index ({err.innermessage}). Build it again."
        ) from err
    if language != "en":
        searcher.set_language(language)
    return searcher


def _write_corpus(path: Path, docs: Iterable[Doc]) -> int:
    """Write the documents that have text in Anserini's format and return their number."""
    seen: set[str] = set()
    n_blank = 0
    with path.open("w", encoding="utf-8", newline="\n") as stream:
        for doc_id, text in docs:
            check_texts((doc_id, text))
            if doc_id in seen or len(doc_id.split()) != 1:
                raise DataError(
                    "expected document ids without white space, each used once, found "
                    f"{doc_id!r} as document {len(seen) + 1}."
                )
            seen.add(doc_id)
            # Anserini skips what Java's trim() leaves empty: nothing above a blank.
            if max(text, default="") <= " ":
                n_blank += 1
            else:
                stream.write(json.dumps({"id": doc_id, "contents": text}) + "\n")
    if n_blank == len(seen):
        raise DataError(f"expected documents with text, found none among {n_blank}.")
    if n_blank:
        logger.warning("%d of %d documents have no text and are left out", n_blank, len(seen))
    return len(seen) - n_blank
