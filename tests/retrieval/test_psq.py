"""Probabilistic structured queries against their formula, and against plain BM25."""

from collections import Counter

import numpy as np
import pytest

from optical_ir.collections import ProbabilisticLexicon, TranslationProbability
from optical_ir.errors import DataError
from optical_ir.records import Doc, Query
from optical_ir.retrieval.bm25 import Bm25Index
from optical_ir.retrieval.psq import search_psq
from optical_ir.words import WORD

pytestmark = pytest.mark.java

WORDS = "river rivers flood flooded market markets trade nurse school teacher Nairobi 1998".split()

LEXICON = {
    "mto": {"river": 0.5, "rivers": 0.2, "flood": 0.1, "nowhere": 0.05},
    "soko": {"market": 0.6, "the": 0.3, "nursing trade": 0.1},
    "shule": {"school": 0.01},
    "na": {"and": 0.9, "teacher": 0.04},
    "hakuna": {"the": 1.0},
}


def random_docs() -> list[Doc]:
    """Documents under 40 tokens, a length that Lucene stores exactly."""
    rng = np.random.default_rng(3)
    texts = (" ".join(rng.choice(WORDS, size=rng.integers(1, 35))) for _ in range(50))
    return [Doc(f"{number:02d}", text) for number, text in enumerate(texts)]


@pytest.fixture(scope="module")
def index(java, tmp_path_factory):
    with Bm25Index.build(random_docs(), tmp_path_factory.mktemp("psq") / "ix") as index:
        yield index


def make_lexicon(entries: dict[str, dict[str, float]]) -> ProbabilisticLexicon:
    return ProbabilisticLexicon(
        TranslationProbability(foreign, english, probability)
        for foreign, row in entries.items()
        for english, probability in row.items()
    )


def analyse(text: str) -> list[str]:
    from jnius import autoclass

    analyzer = autoclass("io.anserini.analysis.DefaultEnglishAnalyzer").newDefaultInstance()
    return list(autoclass("io.anserini.analysis.AnalyzerUtils").analyze(analyzer, text).toArray())


def terms_of(word: str) -> list[dict[str, float]]:
    """Distributions over terms that a word of a query stands for."""
    if word.lower() not in LEXICON:
        return [{term: 1.0} for term in analyse(word)]
    terms: Counter[str] = Counter()
    for english, probability in LEXICON[word.lower()].items():
        for term in (parts := analyse(english)):
            terms[term] += probability / len(parts)
    return [dict(terms)]


def score_by_hand(query: str, *, k1: float, b: float) -> dict[str, float]:
    """BM25 of expected tf and df, over all documents, in float64."""
    docs = {doc_id: Counter(analyse(text)) for doc_id, text in random_docs()}
    lengths = {doc_id: sum(counts.values()) for doc_id, counts in docs.items()}
    mean_length = np.mean(list(lengths.values()))
    scores: Counter[str] = Counter()
    for terms in (terms for word in WORD.findall(query) for terms in terms_of(word)):
        df = sum(p * sum(term in doc for doc in docs.values()) for term, p in terms.items())
        idf = np.log(1 + (len(docs) - df + 0.5) / (df + 0.5))
        for doc_id, counts in docs.items():
            if tf := sum(p * counts[term] for term, p in terms.items()):
                norm = k1 * (1 - b + b * lengths[doc_id] / mean_length)
                scores[doc_id] += idf * tf / (tf + norm)
    return dict(scores)


@pytest.mark.parametrize(("k1", "b"), [(0.9, 0.4), (1.6, 0.9), (0.2, 0.0)])
def test_scores_are_those_of_the_formula(index, k1, b):
    queries = ["mto", "Soko na MTO, mto", "shule za Nairobi", "na", "mto 1998 soko shule"]
    lexicon = make_lexicon(LEXICON)
    run = search_psq(index, [Query(query, query) for query in queries], lexicon, k1=k1, b=b)
    for query in queries:
        found = {row.doc_id: row.score for row in run[query]}
        # Anserini rounds to four decimals and spreads ties by 1e-6.
        assert found == pytest.approx(score_by_hand(query, k1=k1, b=b), abs=1.5e-4)


def test_depth_does_not_change_the_first(index):
    queries = [Query("q", "soko na mto shule")]
    whole = search_psq(index, queries, make_lexicon(LEXICON))["q"]
    assert search_psq(index, queries, make_lexicon(LEXICON), k=3)["q"] == whole[:3]


def test_one_certain_translation_is_bm25_on_the_translated_query(index):
    lexicon = make_lexicon({"mto": {"rivers": 1}, "soko": {"market": 1}, "ziwa": {"river": 1}})
    own = [Query("1", "mto wa soko, mto"), Query("2", "ziwa mto Nairobi's"), Query("3", "soko")]
    texts = ["rivers wa market, rivers", "river rivers Nairobi's", "market"]
    translated = [query._replace(text=text) for query, text in zip(own, texts, strict=True)]
    found, expected = search_psq(index, own, lexicon), index.search(translated)
    for query_id, rows in expected.items():
        assert [row.doc_id for row in found[query_id]] == [row.doc_id for row in rows]
        scores = [row.score for row in rows]
        assert [row.score for row in found[query_id]] == pytest.approx(scores, abs=1e-4)


def test_an_empty_lexicon_gives_bm25(index):
    queries = [Query("1", "Flooded rivers of 1998, rivers!"), Query("2", "nobody's business")]
    found, expected = search_psq(index, queries, make_lexicon({})), index.search(queries)
    assert list(found) == list(expected)
    for query_id, rows in expected.items():
        assert [row[:2] for row in found[query_id]] == [row[:2] for row in rows]
        scores = [row.score for row in rows]
        assert [row.score for row in found[query_id]] == pytest.approx(scores, abs=1e-4)


@pytest.mark.parametrize("text", ["", "?!", "hakuna", "xylophone"])
def test_query_without_a_known_term_gets_an_empty_list(index, text):
    assert search_psq(index, [Query("q", text)], make_lexicon(LEXICON)) == {"q": []}


def test_query_id_used_twice_and_bad_depth_are_errors(index):
    queries = [Query("q", "mto"), Query("q", "soko")]
    with pytest.raises(DataError, match="query id 'q' is used twice"):
        search_psq(index, queries, make_lexicon(LEXICON))
    with pytest.raises(ValueError, match="must be positive"):
        search_psq(index, [], make_lexicon(LEXICON), k=0)
