"""Lucene as late interaction needs it: its classes, the fields, two first stages, re-scoring.

Lucene is driven from Python, through pyjnius, and no Java is compiled.
"""

from pathlib import Path
from typing import Any

from optical_ir.errors import DataError, DependencyError
from optical_ir.models.encoder import TokenVectors
from optical_ir.models.single_vector import MeanPooling
from optical_ir.retrieval.bm25 import MAX_TERMS
from optical_ir.retrieval.java import start_jvm

ID, TEXT, POOLED, TOKENS = "id", "contents", "vector", "tokens"
"""Names of the fields, the first two as Anserini names them."""

_RESCORER = "search.LateInteractionRescorer"
# The constructor, of several, that pyjnius does not choose by itself.
_SEARCHER = "(Lorg/apache/lucene/index/IndexReader;)V"


def lucene(name: str) -> Any:
    """Class of Lucene by its name below `org.apache.lucene`; after `start_lucene`."""
    from jnius import autoclass

    return autoclass(f"org.apache.lucene.{name}")


def start_lucene() -> None:
    """Start the JVM and make sure that its Lucene has late interaction.

    Raises
    ------
    DependencyError
        If Pyserini or a Java for it is missing, or its Lucene is too old.
    """
    start_jvm()
    from jnius import JavaException

    try:
        lucene(_RESCORER)
    except JavaException as err:
        found = lucene("util.Version").LATEST.toString()
        raise DependencyError(
            "Late interaction inside Lucene needs the Lucene of Pyserini 2.4.0 or newer, found "
            f"Lucene {found}, which has no {_RESCORER.split('.')[1]}. Use Python 3.12 or newer "
            "and run: pip install 'pyserini>=2.4'"
        ) from err
    lucene("search.IndexSearcher").setMaxClauseCount(MAX_TERMS)


def open_searcher(folder: Path) -> Any:
    """Lucene's searcher of the index in `folder`.

    Raises
    ------
    DataError
        If there is no index or it is damaged.
    """
    from jnius import JavaException

    try:
        reader = lucene("index.DirectoryReader").open(directory(folder))
    except JavaException as err:
        raise DataError(
            f"{folder}: Lucene cannot open this index ({err.innermessage}). Build it again."
        ) from err
    return lucene("search.IndexSearcher")(reader, signature=_SEARCHER)


def directory(folder: Path) -> Any:
    """Lucene's handle of a folder."""
    from jnius import autoclass

    path = autoclass("java.io.File")(str(folder.resolve())).toPath()
    return lucene("store.FSDirectory").open(path)


def analyzer() -> Any:
    """Anserini's analyzer of English, as BM25 has it: Porter's stemmer, stop words left out."""
    from jnius import autoclass

    return autoclass("io.anserini.analysis.DefaultEnglishAnalyzer").newDefaultInstance()


def search_words(searcher: Any, text: str, depth: int) -> Any:
    """Find documents by BM25 as Anserini does, ties by id; only those with token vectors.

    Returns
    -------
    Lucene's TopDocs
    """
    from jnius import autoclass

    generator = autoclass("io.anserini.search.query.BagOfWordsQueryGenerator")()
    occur = lucene("search.BooleanClause$Occur")
    query = lucene("search.BooleanQuery$Builder")()
    query.add(generator.buildQuery(TEXT, analyzer(), text), occur.MUST)
    query.add(lucene("search.FieldExistsQuery")(TOKENS), occur.FILTER)
    field = lucene("search.SortField")
    by_id = field(ID, lucene("search.SortField$Type").STRING_VAL)
    order = lucene("search.Sort")(field.FIELD_SCORE, by_id)
    return searcher.search(query.build(), depth, order, True)


def search_pooled(searcher: Any, vectors: TokenVectors, depth: int) -> Any:
    """Find the documents whose pooled vectors are nearest; exact if `depth` takes in all.

    Returns
    -------
    Lucene's TopDocs
    """
    pooled = MeanPooling(vectors.shape[1]).pool_queries([vectors])[0]
    query = lucene("search.KnnFloatVectorQuery")(POOLED, pooled.tolist(), depth)
    return searcher.search(query, depth)


def rescore(
    searcher: Any, found: Any, vectors: TokenVectors, depth: int
) -> list[tuple[str, float]]:
    """Score the documents of a first stage by MaxSim.

    Lucene maps each similarity s to (1 + s) / 2, so n query tokens give (n + MaxSim) / 2.

    Returns
    -------
    list of (document id, MaxSim)
    """
    similarity = lucene("index.VectorSimilarityFunction").DOT_PRODUCT
    rescorer = lucene(_RESCORER).create(TOKENS, vectors.tolist(), similarity)
    stored = searcher.storedFields()
    return [
        (stored.document(hit.doc).get(ID), 2.0 * hit.score - len(vectors))
        for hit in rescorer.rescore(searcher, found, depth).scoreDocs
    ]
