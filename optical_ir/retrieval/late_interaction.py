"""Late interaction inside Lucene: text, pooled and token vectors in one Lucene index.

    <folder>/index.json    kind, dim, counts, embedding space, versions
    <folder>/...           Lucene's files

The fields of a document, the first two made as Anserini makes them, so that stock
`python -m pyserini.search.lucene --index FOLDER` ranks it by BM25:

    id          stored; breaks ties
    contents    the text, analysed by Anserini's English analyzer
    vector      the mean of the token vectors, of unit length, in a graph (HNSW)
    tokens      all token vectors in float32, in a `LateInteractionField`

A search takes candidates by BM25 or by nearest pooled vector, and Lucene's
`LateInteractionRescorer` scores them: the dot product of the vectors as they are stored, which
`search_index` takes too, so both give the same scores.
"""

import json
import logging
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Any, Self, Unpack

import numpy as np

from optical_ir.errors import ConfigError, DataError
from optical_ir.files import read_json_object, write_folder
from optical_ir.models.encoder import TokenVectors
from optical_ir.records import Doc, Query, ScoredDoc
from optical_ir.retrieval import lucene
from optical_ir.retrieval.index import MultiVectorIndex
from optical_ir.retrieval.lucene_writer import check_dim, iter_pairs, open_writer
from optical_ir.retrieval.queries import QueryEncoding, check_query_vectors, encode_for
from optical_ir.trec import rank_docs

logger = logging.getLogger(__name__)

FIRST_STAGES = ("vector", "bm25")

_KIND = "late-interaction"


class LateInteractionIndex:
    """A Lucene index of documents, ranked by MaxSim after a first stage.

    Parameters
    ----------
    folder : Path or str
        An index that `build` has written.

    Attributes
    ----------
    dim : int
        Width of the token embeddings.
    space : str
        Key of their embedding space, see `optical_ir.models.embedding_space`.
    n_docs : int
        Number of documents, with token vectors or without.

    Raises
    ------
    DataError
        If `folder` is no such index, or is incomplete.
    DependencyError
        If Pyserini or a Java for it is missing, or its Lucene is too old.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        description = _read_description(self.folder)
        self.dim: int = description["dim"]
        self.space: str = description["space"]
        lucene.start_lucene()
        self._searcher = lucene.open_searcher(self.folder)
        self.n_docs = int(self._searcher.getIndexReader().numDocs())
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
        vectors: MultiVectorIndex,
        folder: Path | str,
        *,
        overwrite: bool = False,
    ) -> Self:
        """Write English documents with their token vectors into a Lucene index and open it.

        A document without token vectors has no MaxSim, so `search` never lists it, as
        `search_index` does not; a warning counts these. BM25 of stock Pyserini finds it.

        Parameters
        ----------
        docs : iterable of Doc
            Read once, in any order.
        vectors : MultiVectorIndex
            Token vectors of the same documents.
        folder : Path or str
            Takes as many bytes as the token vectors have in float32, twice that on the way.
        overwrite : bool
            Whether to replace `folder` if it exists.

        Raises
        ------
        ConfigError
            If `folder` exists, or Lucene cannot hold vectors of this width.
        DataError
            If `docs` and `vectors` are not of the same documents, or Lucene cannot write them
            or does not hold all of them at the end.
        DependencyError
            If Pyserini or a Java for it is missing, or its Lucene is too old.
        """
        # Before any document is read, so that what is missing is said at once.
        lucene.start_lucene()
        check_dim(vectors)
        with write_folder(folder, overwrite=overwrite) as part:
            with open_writer(part) as writer:
                for doc, rows in iter_pairs(docs, vectors):
                    writer.add(doc, rows)
            text = json.dumps(_describe(vectors), indent=2) + "\n"
            (part / "index.json").write_text(text, encoding="utf-8")
            cls(part).close()
        return cls(folder)

    def search(
        self,
        queries: Sequence[Query],
        vectors: Sequence[TokenVectors],
        *,
        first_stage: str = "vector",
        first_stage_queries: Sequence[Query] | None = None,
        depth: int = 1000,
        k: int = 1000,
        k1: float = 0.9,
        b: float = 0.4,
    ) -> dict[str, list[ScoredDoc]]:
        """Rank the first stage's documents by MaxSim, for each query in the order of `queries`.

        Parameters
        ----------
        queries : sequence of Query
        vectors : sequence of arrays, shape (n_tokens, dim), float32
            Their token embeddings, from `encode_queries`. A query without any finds nothing.
        first_stage : {"vector", "bm25"}
            Nearest neighbours of the query's pooled vector, or BM25 on the query's words.
        first_stage_queries : sequence of Query, optional
            What BM25 looks for instead of `queries`, by the same ids: translations, say.
        depth, k : int
            Documents that the first stage finds for a query, and those kept of them.
        k1, b : float
            Parameters of BM25; the defaults are Anserini's.

        Returns
        -------
        dict of str to list of ScoredDoc
            By query id, best first, ordered by `rank_docs`. Scores are MaxSim.

        Raises
        ------
        ConfigError
            If the embeddings' width is not the index's, or there is no such first stage.
        DataError
            If `first_stage_queries` lacks a query.
        """
        if depth < 1 or k < 1:
            raise ValueError(f"depth and k must be positive, got {depth} and {k}")
        check_query_vectors(self, queries, vectors)
        texts = _first_stage_texts(first_stage, queries, first_stage_queries)
        self._searcher.setSimilarity(lucene.lucene("search.similarities.BM25Similarity")(k1, b))
        depth = min(depth, self.n_docs)
        run: dict[str, list[ScoredDoc]] = {}
        for (query_id, _), text, own in zip(queries, texts, vectors, strict=True):
            run[query_id] = []
            if len(own):
                if first_stage == "bm25":
                    found = lucene.search_words(self._searcher, text, depth)
                else:
                    found = lucene.search_pooled(self._searcher, own, depth)
                scores = lucene.rescore(self._searcher, found, own, depth)
                run[query_id] = rank_docs(ScoredDoc(query_id, *score) for score in scores)[:k]
        return run

    def close(self) -> None:
        """Close Lucene's files; the index cannot be searched afterwards."""
        self._searcher.getIndexReader().close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def search_late(
    encoder: str,
    folder: Path | str,
    queries: Sequence[Query],
    *,
    first_stage: str = "vector",
    first_stage_queries: Sequence[Query] | None = None,
    depth: int = 1000,
    k: int = 1000,
    k1: float = 0.9,
    b: float = 0.4,
    **encoding: Unpack[QueryEncoding],
) -> dict[str, list[ScoredDoc]]:
    """Encode queries with an encoder, given by name, and search the index in `folder`.

    See `LateInteractionIndex.search` and `encode_for`.
    """
    # Before the encoder runs, so that what is missing is said at once.
    _first_stage_texts(first_stage, queries, first_stage_queries)
    with LateInteractionIndex(folder) as index:
        vectors = encode_for(index, encoder, queries, **encoding)
        return index.search(
            queries,
            vectors,
            first_stage=first_stage,
            first_stage_queries=first_stage_queries,
            depth=depth,
            k=k,
            k1=k1,
            b=b,
        )


def is_late_interaction_index(folder: Path | str) -> bool:
    """Whether the `index.json` in `folder` says that it is such an index."""
    try:
        return bool(read_json_object(Path(folder) / "index.json").get("kind") == _KIND)
    except (OSError, ValueError):
        return False


def _read_description(folder: Path) -> dict[str, Any]:
    if not is_late_interaction_index(folder):
        raise DataError(
            f"{folder}: expected a late-interaction index with its index.json, found none. "
            "Make one with: optical-ir index --token-vectors"
        )
    path = folder / "index.json"
    description = read_json_object(path)
    found = [type(description.get(key)) for key in ("dim", "docs", "space")]
    if found != [int, int, str]:
        raise DataError(
            f"{path}: expected dim, docs and space of the index, found {sorted(description)}. "
            "Build the index again."
        )
    return description


def _describe(vectors: MultiVectorIndex) -> dict[str, Any]:
    lengths = np.diff(vectors.offsets)[vectors.live]
    n_docs, n_empty = len(lengths), int(np.count_nonzero(lengths == 0))
    if n_empty:
        logger.warning(
            "%d of %d documents have no token vectors and cannot be re-scored", n_empty, n_docs
        )
    return {
        "kind": _KIND,
        "dim": vectors.dim,
        "space": vectors.space,
        "docs": n_docs,
        "docs_without_tokens": n_empty,
        "tokens": int(lengths.sum()),
        "lucene": lucene.lucene("util.Version").LATEST.toString(),
        "pyserini": version("pyserini"),
    }


def _first_stage_texts(
    first_stage: str, queries: Sequence[Query], others: Sequence[Query] | None
) -> list[str]:
    """Words of each query for BM25."""
    if first_stage not in FIRST_STAGES:
        raise ConfigError(
            f"first stage: expected {' or '.join(FIRST_STAGES)}, found {first_stage!r}."
        )
    if others is None:
        return [query.text for query in queries]
    if first_stage != "bm25":
        raise ConfigError(
            f"expected the first stage bm25 for texts of its own, found {first_stage!r}, which "
            "takes none. Leave the texts out, or choose bm25."
        )
    texts = {query.query_id: query.text for query in others}
    for query_id, _ in queries:
        if query_id not in texts:
            raise DataError(
                f"expected a first-stage text for query {query_id!r}, found none among "
                f"{len(texts)}. Give every query one."
            )
    return [texts[query_id] for query_id, _ in queries]
