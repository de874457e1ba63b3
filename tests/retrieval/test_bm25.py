"""BM25 against its formula and against stock Pyserini, on one tiny index."""

import json
import logging
import shutil
from collections import Counter

import numpy as np
import pytest

from optical_ir.errors import ConfigError, DataError
from optical_ir.records import Doc, Query, ScoredDoc
from optical_ir.retrieval.bm25 import LANGUAGES, Bm25Index
from optical_ir.trec import read_run, write_topics

pytestmark = pytest.mark.java

WORDS = (
    "river rivers flooding flooded markets market's trade trading nurse nursing the of and "
    "mountain school schools teacher election votes voted bridges bridge 1998 Nairobi Mogadishu"
).split()
SAME = "an identical sentence about lighthouses"


def random_docs() -> list[Doc]:
    """Documents under 40 tokens, a length that Lucene stores exactly."""
    rng = np.random.default_rng(7)
    texts = (" ".join(rng.choice(WORDS, size=rng.integers(3, 35))) for _ in range(60))
    docs = [Doc(f"{number:03d}", text) for number, text in enumerate(texts)]
    return [*docs, Doc("tie-b", SAME), Doc("tie-a", SAME), Doc("0tie", SAME)]


@pytest.fixture(scope="session")
def index(java, tmp_path_factory):
    with Bm25Index.build(iter(random_docs()), tmp_path_factory.mktemp("bm25") / "ix") as index:
        yield index


def analyse(text: str) -> list[str]:
    from jnius import autoclass

    analyzer = autoclass("io.anserini.analysis.DefaultEnglishAnalyzer").newDefaultInstance()
    return list(autoclass("io.anserini.analysis.AnalyzerUtils").analyze(analyzer, text).toArray())


def score_by_hand(query: str, *, k1: float, b: float) -> dict[str, float]:
    """BM25 as Lucene defines it, over all documents, in float64."""
    docs = {doc_id: Counter(analyse(text)) for doc_id, text in random_docs()}
    lengths = {doc_id: sum(counts.values()) for doc_id, counts in docs.items()}
    mean_length = np.mean(list(lengths.values()))
    scores: Counter[str] = Counter()
    for term in analyse(query):
        df = sum(term in counts for counts in docs.values())
        idf = np.log(1 + (len(docs) - df + 0.5) / (df + 0.5))
        for doc_id, counts in docs.items():
            if tf := counts[term]:
                norm = k1 * (1 - b + b * lengths[doc_id] / mean_length)
                scores[doc_id] += idf * tf / (tf + norm)
    return dict(scores)


@pytest.mark.parametrize(("k1", "b"), [(0.9, 0.4), (1.6, 0.9), (0.2, 0.0)])
def test_scores_are_those_of_the_formula(index, k1, b):
    queries = ["flooded rivers", "the teachers of Nairobi voted, voted", "trade 1998 lighthouse"]
    run = index.search([Query(query, query) for query in queries], k1=k1, b=b)
    for query in queries:
        found = {row.doc_id: row.score for row in run[query]}
        # Anserini rounds to four decimals and spreads ties by 1e-6.
        assert found == pytest.approx(score_by_hand(query, k1=k1, b=b), abs=1.5e-4)


def test_stock_pyserini_gives_the_same_run(index, pyserini, tmp_path):
    corpus, topics, output = tmp_path / "corpus", tmp_path / "topics.tsv", tmp_path / "run.txt"
    corpus.mkdir()
    lines = (json.dumps({"id": doc.doc_id, "contents": doc.text}) for doc in random_docs())
    (corpus / "docs.jsonl").write_text("\n".join(lines))
    queries = [Query("q1", "flooded rivers"), Query("q2", "trade in Mogadishu's schools")]
    write_topics(topics, queries)
    arguments = ["--collection", "JsonCollection", "--input", corpus, "--index", tmp_path / "ix"]
    pyserini("pyserini.index.lucene", *arguments)
    arguments = ["--index", tmp_path / "ix", "--topics", topics, "--output", output]
    pyserini("pyserini.search.lucene", *arguments, "--bm25", "--hits", "20")
    expected = read_run(output)
    found = index.search(queries, k=20)
    assert list(found) == list(expected)
    for query_id, rows in found.items():
        assert len(rows) == 20
        assert [row.doc_id for row in rows] == [row.doc_id for row in expected[query_id]]
        scores = [row.score for row in expected[query_id]]
        assert [row.score for row in rows] == pytest.approx(scores, abs=1e-6)


def test_ids_keep_their_leading_zeros_and_queries_their_order(index):
    queries = [Query("007", "rivers"), Query("7", "markets"), Query("07", "rivers")]
    run = index.search(queries, k=5)
    assert list(run) == ["007", "7", "07"]
    assert {row.query_id for row in run["07"]} == {"07"}
    known = {doc.doc_id for doc in random_docs()}
    assert {row.doc_id for rows in run.values() for row in rows} <= known


@pytest.mark.parametrize("text", ["", "  ", "...?!", "the", "xylophone", "\U0001f600", "\x00"])
def test_query_without_a_known_term_gets_an_empty_list(index, caplog, text):
    with caplog.at_level(logging.DEBUG, "optical_ir"):
        assert index.search([Query("a", text)]) == {"a": []}
    assert "1 of 1 queries have no term of the index" in caplog.text


def test_non_ascii_around_a_known_term_does_no_harm(index):
    run = index.search([Query("a", "rivers"), Query("b", "\U0001f600 rivers \u20ac \x00")])
    assert [row[1:] for row in run["a"]] == [row[1:] for row in run["b"]]


def test_ties_are_in_order_of_id(index):
    rows = index.search([Query("q", "lighthouse")])["q"]
    assert [row.doc_id for row in rows] == ["0tie", "tie-a", "tie-b"]
    assert rows[0].score == pytest.approx(rows[2].score, abs=1e-5)


def test_scores_do_not_depend_on_threads_or_depth(index):
    queries = [Query(str(number), word) for number, word in enumerate(WORDS)]
    run = index.search(queries)
    assert index.search(queries, threads=3) == run
    assert index.search(queries, k=2) == {query_id: rows[:2] for query_id, rows in run.items()}


def test_query_may_have_more_terms_than_lucene_allows_by_default(index):
    words = " ".join(f"w{number}" for number in range(2000))
    run = index.search([Query("long", f"lighthouse {words}"), Query("short", "lighthouse")])
    assert [row[1:] for row in run["long"]] == [row[1:] for row in run["short"]]


def test_query_id_used_twice_is_an_error(index):
    with pytest.raises(DataError, match="query id 'q' is used twice"):
        index.search([Query("q", "rivers"), Query("q", "markets")])


def test_depth_and_threads_must_be_positive(index):
    for arguments in ({"k": 0}, {"threads": 0}):
        with pytest.raises(ValueError, match="must be positive"):
            index.search([], **arguments)


def test_index_opens_again(index):
    with Bm25Index(index.folder) as again:
        assert (again.n_docs, again.language) == (63, "en")
        assert again.search([Query("q", "rivers")]) == index.search([Query("q", "rivers")])
    description = json.loads((index.folder / "index.json").read_text())
    assert description["docs"] == 63
    assert not (index.folder / "corpus").exists()


def test_language_sets_the_analyzer_of_documents_and_queries(java, tmp_path):
    docs = [Doc("001", "alte H\u00e4user am Flu\u00df"), Doc("002", "the old bridge")]
    with Bm25Index.build(docs, tmp_path / "ix", language="de") as index:
        run = index.search([Query("q", "Haus am Fl\u00fcsse"), Query("r", "the")])
    assert [row[:2] for row in run["q"]] == [("q", "001")]
    assert [row.doc_id for row in run["r"]] == ["002"]


def test_languages_are_those_of_anserini(java):
    from jnius import autoclass

    own = set(autoclass("io.anserini.analysis.AnalyzerMap").analyzerMap.keySet().toArray())
    assert set(LANGUAGES) == own | {"en", "ha", "so", "sw", "yo"}


def test_unknown_language_lists_the_known_ones(tmp_path):
    with pytest.raises(ConfigError, match=r"found 'tl'. Choose one of: ar, bn, da"):
        Bm25Index.build([Doc("1", "x")], tmp_path / "ix", language="tl")


def test_documents_without_text_are_left_out_with_a_warning(java, tmp_path, caplog):
    docs = [Doc("1", ""), Doc("2", " \t\x00\n"), Doc("3", "..."), Doc("4", "rivers")]
    with Bm25Index.build(docs, tmp_path / "ix") as index:
        assert index.n_docs == 2
        rows = index.search([Query("q", "river")], k1=0.0)["q"]
    assert rows == [ScoredDoc("q", "4", rows[0].score)]
    assert "2 of 4 documents have no text and are left out" in caplog.text


@pytest.mark.parametrize(
    ("docs", "message"),
    [
        ([Doc("1", "a"), Doc("1", "b")], "each used once, found '1' as document 2"),
        ([Doc("1 2", "a")], "without white space, each used once, found '1 2' as document 1"),
        ([Doc("", "a")], "found '' as document 1"),
        ([Doc("1", " ")], "expected documents with text, found none among 1"),
        ([], "expected documents with text, found none among 0"),
    ],
)
def test_bad_documents_are_named_and_leave_nothing_behind(java, tmp_path, docs, message):
    with pytest.raises(DataError, match=message):
        Bm25Index.build(docs, tmp_path / "ix")
    assert not list(tmp_path.iterdir())


def test_existing_output_is_refused_before_documents_are_read(java, tmp_path):
    with pytest.raises(ConfigError, match=r"exists\. Choose another output or pass --overwrite"):
        Bm25Index.build((Doc(str(1 // 0), "") for _ in "x"), tmp_path)


@pytest.fixture
def broken(index, tmp_path):
    return shutil.copytree(index.folder, tmp_path / "broken")


def test_folder_without_an_index_is_refused(java, tmp_path):
    with pytest.raises(DataError, match=r"found none \(No such file .*Build the index first"):
        Bm25Index(tmp_path)


@pytest.mark.parametrize("text", ["{", "[]", '{"kind": "multi-vector"}', '{"kind": "bm25"}'])
def test_foreign_index_is_refused(broken, text):
    (broken / "index.json").write_text(text)
    with pytest.raises(DataError, match=r"expected the index.json of a BM25 index, found one of"):
        Bm25Index(broken)


def test_index_without_lucene_files_is_refused(broken):
    for file in broken.glob("segments*"):
        file.unlink()
    with pytest.raises(DataError, match=r"Lucene cannot open this index .*Build it again"):
        Bm25Index(broken)


def test_index_with_missing_documents_is_refused(broken):
    description = json.loads((broken / "index.json").read_text())
    (broken / "index.json").write_text(json.dumps({**description, "docs": 64}))
    with pytest.raises(DataError, match="expected 64 documents, found 63 in Lucene's files"):
        Bm25Index(broken)


def test_failure_of_anserini_is_told(java, tmp_path, monkeypatch):
    jar = tmp_path / "empty.jar"
    monkeypatch.setattr("optical_ir.retrieval.anserini.find_anserini_jar", lambda: jar)
    with pytest.raises(DataError, match=r"Anserini stopped with exit code 1 .*its last line"):
        Bm25Index.build([Doc("1", "x")], tmp_path / "ix")
