"""Probabilistic structured queries: BM25 over the translations of each query word together.

Lucene's `SynonymQuery` adds up the frequencies of weighted terms before its similarity sees them,
so true expected frequencies are scored at Lucene's own speed and no postings pass through Python.

References
----------
Darwish and Oard (2003), Probabilistic structured query methods, SIGIR: expected tf and df.
"""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from optical_ir.errors import DataError
from optical_ir.glosses import TranslationProbabilities
from optical_ir.records import Query, ScoredDoc
from optical_ir.retrieval.bm25 import Bm25Index
from optical_ir.retrieval.lucene import TEXT, directory, lucene
from optical_ir.trec import rank_docs
from optical_ir.words import WORD, fold_word

_LEAST = 1e-9
"""Terms less likely than this are left out: they add nothing that a score shows."""

_NO_TERM = "\uffff"
"""In no index. Of a single term, Lucene would weight the score in place of the frequency."""


def search_psq(
    index: Bm25Index,
    queries: Iterable[Query],
    lexicon: TranslationProbabilities,
    *,
    k: int = 1000,
    k1: float = 0.9,
    b: float = 0.4,
) -> dict[str, list[ScoredDoc]]:
    """Rank the documents for each query by BM25 over probabilistic structured queries.

    The score of document d is the sum over the words f of the query, each as often as it occurs,
    of ``idf(f) tf(f, d) / (tf(f, d) + k1 (1 - b + b |d| / mean |d|))``, where t runs over the
    terms of the index and::

        tf(f, d) = sum_t p(t | f) tf(t, d)
        df(f)    = sum_t p(t | f) df(t)
        idf(f)   = log(1 + (N - df(f) + 0.5) / (df(f) + 0.5))

    p(t | f) is the sum of p(e | f) over the translations e that the index analyses as t, so
    translations of one stem come together; a translation of several terms, as a phrase, gives
    each an equal part, and stop words take their part with them. Words that the lexicon does not
    have, as most names, are searched as they are, by BM25.

    Parameters
    ----------
    index : Bm25Index
    queries : iterable of Query
        In the language that `lexicon` is from.
    lexicon : TranslationProbabilities
        Such as `optical_ir.collections.ProbabilisticLexicon`.
    k, k1, b : int, float
        See `Bm25Index.search`, also for how ties are broken.

    Returns
    -------
    dict of str to list of ScoredDoc
        By query id in the order of `queries`, best first. A query without a term of the index
        gets an empty list.

    Raises
    ------
    DataError
        If a query id is used twice.
    """
    if k < 1:
        raise ValueError(f"k must be positive, got {k}")
    searcher = index.searcher
    searcher.set_bm25(float(k1), float(b))
    run: dict[str, list[ScoredDoc]] = {}
    with _open_reader(index) as reader:
        builder = _QueryBuilder(searcher, reader, lexicon)
        for query_id, text in queries:
            if query_id in run:
                raise DataError(
                    f"query id {query_id!r} is used twice. Give every query its own id."
                )
            built = builder.build(text)
            hits = searcher.search(built, k) if built is not None else ()
            run[query_id] = rank_docs(ScoredDoc(query_id, hit.docid, hit.score) for hit in hits)
    return run


@contextmanager
def _open_reader(index: Bm25Index) -> Iterator[Any]:
    reader = lucene("index.DirectoryReader").open(directory(index.folder))
    try:
        yield reader
    finally:
        reader.close()


class _QueryBuilder:
    """Makes Lucene's queries of texts, and remembers the terms it has looked up."""

    def __init__(self, searcher: Any, reader: Any, lexicon: TranslationProbabilities) -> None:
        from jnius import autoclass

        self._analyze = autoclass("io.anserini.analysis.AnalyzerUtils").analyze
        self._analyzer = searcher.get_analyzer()
        self._term_class = lucene("index.Term")
        self._reader = reader
        self._lexicon = lexicon
        self._n_docs = int(reader.getDocCount(TEXT))
        self._frequencies: dict[str, int] = {}
        self._terms: dict[str, list[str]] = {}

    def build(self, text: str) -> Any:
        """Lucene's query for a text; None if no term of it is in the index."""
        occur = lucene("search.BooleanClause$Occur").SHOULD
        query = lucene("search.BooleanQuery$Builder")()
        n_clauses = 0
        for terms, count in self._words(text):
            known = {term: p for term, p in terms.items() if p > _LEAST and self._df(term)}
            if known:
                query.add(self._clause(known, count), occur)
                n_clauses += 1
        return query.build() if n_clauses else None

    def _words(self, text: str) -> Iterator[tuple[dict[str, float], int]]:
        """Terms of each word of a query with their probabilities, and how often it occurs."""
        counts: Counter[str] = Counter()
        translated: dict[str, Mapping[str, float]] = {}

        def take(word: str) -> str:
            key = fold_word(word)
            found = translated.get(key) or self._lexicon.probabilities(key)
            if not found:
                return word
            translated[key] = found
            counts[key] += 1
            return " "

        # What is left is analysed as a whole, so that it is what stock BM25 makes of it.
        rest = WORD.sub(lambda found: take(found[0]), text)
        for word, count in counts.items():
            yield self._weigh(translated[word]), count
        for term, count in Counter(self._analyse(rest)).items():
            yield {term: 1.0}, count

    def _weigh(self, translations: Mapping[str, float]) -> dict[str, float]:
        """p(t | f) from p(e | f)."""
        terms: dict[str, float] = {}
        for english, probability in translations.items():
            parts = self._terms.get(english)
            if parts is None:
                parts = self._terms[english] = self._analyse(english)
            for part in parts:
                terms[part] = terms.get(part, 0.0) + probability / len(parts)
        return terms

    def _clause(self, terms: Mapping[str, float], count: int) -> Any:
        """Lucene takes the largest df among synonyms, so its idf is exchanged for that of PSQ."""
        synonyms = lucene("search.SynonymQuery$Builder")(TEXT)
        for text, probability in terms.items():
            synonyms.addTerm(self._term_class(TEXT, text), min(probability, 1.0))
        synonyms.addTerm(self._term_class(TEXT, _NO_TERM), 1.0)
        expected = sum(probability * self._df(text) for text, probability in terms.items())
        largest = max(map(self._df, terms))
        boost = count * self._idf(expected) / self._idf(largest)
        return lucene("search.BoostQuery")(synonyms.build(), boost)

    def _idf(self, df: float) -> float:
        return math.log(1 + (self._n_docs - df + 0.5) / (df + 0.5))

    def _df(self, term: str) -> int:
        if term not in self._frequencies:
            found = self._reader.docFreq(self._term_class(TEXT, term))
            self._frequencies[term] = int(found)
        return self._frequencies[term]

    def _analyse(self, text: str) -> list[str]:
        return [str(term) for term in self._analyze(self._analyzer, text).toArray()]
