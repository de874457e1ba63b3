"""Late interaction inside Lucene against exact search, and its BM25 against Anserini's."""

import json
import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from optical_ir.errors import ConfigError, DataError, DependencyError
from optical_ir.models import maxsim_scores
from optical_ir.records import Doc, Query
from optical_ir.retrieval import lucene
from optical_ir.retrieval.bm25 import Bm25Index
from optical_ir.retrieval.index import MultiVectorIndex
from optical_ir.retrieval.java import start_jvm
from optical_ir.retrieval.late_interaction import (
    LateInteractionIndex,
    is_late_interaction_index,
)
from optical_ir.retrieval.lucene import start_lucene
from optical_ir.retrieval.lucene_writer import encode_tokens
from optical_ir.retrieval.search import search_index
from optical_ir.trec import rank_docs

pytestmark = pytest.mark.java

DIM = 24
N_DOCS = 60
WITHOUT_TOKENS = {"d00", "d23", "d59"}
WORDS = (
    "river rivers flooding market's trade nurse nursing the mountain schools \u20ac \U0001f600"
).split()
SAME = "an identical sentence about lighthouses"
LUCENE_10 = "org.apache.lucene.search.LateInteractionRescorer"


def unit_rows(generator, lengths, dim=DIM):
    rows = (generator.normal(size=(n, dim)).astype(np.float32) for n in lengths)
    return [r / np.linalg.norm(r, axis=1, keepdims=True) for r in rows]


def make_docs():
    """Three documents share their text, and one with token vectors has no word."""
    generator = np.random.default_rng(7)
    docs = [Doc(f"d{n:02d}", " ".join(generator.choice(WORDS, size=20))) for n in range(N_DOCS)]
    for n in (9, 31, 44):
        docs[n] = Doc(docs[n].doc_id, SAME)
    docs[50] = Doc("d50", "...")
    return docs


def make_vectors(dtype=torch.bfloat16, dim=DIM):
    """Token vectors of those documents; d10 and d11 have the same."""
    generator = np.random.default_rng(1)
    ids = [doc.doc_id for doc in make_docs()]
    lengths = [0 if i in WITHOUT_TOKENS else int(generator.integers(1, 9)) for i in ids]
    rows = unit_rows(generator, lengths, dim)
    rows[11] = rows[10]
    offsets = np.cumsum([0, *map(len, rows)], dtype=np.int64)
    embeddings = torch.from_numpy(np.concatenate(rows)).to(dtype)
    return MultiVectorIndex.from_tensor(Path("ix"), embeddings, offsets, ids, "space-of-teacher")


def stored(vectors):
    """Document vectors as they are stored, after rounding."""
    rows = vectors.token_vectors(0, len(vectors.doc_ids)).float().numpy()
    return [rows[a:b] for a, b in zip(vectors.offsets, vectors.offsets[1:], strict=False)]


@pytest.fixture(scope="session")
def java():
    try:
        start_jvm()
    except DependencyError as err:
        pytest.skip(str(err))


@pytest.fixture(scope="session")
def late(java):
    try:
        start_lucene()
    except DependencyError as err:
        pytest.skip(str(err))


@pytest.fixture(scope="module", params=[torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
def vectors(request):
    return make_vectors(request.param)


@pytest.fixture(scope="module")
def index(late, vectors, tmp_path_factory):
    """Documents come in another order than their vectors."""
    folder = tmp_path_factory.mktemp("late") / "ix"
    with LateInteractionIndex.build(reversed(make_docs()), vectors, folder) as index:
        yield index


@pytest.fixture(scope="module")
def bm25(java, tmp_path_factory):
    with Bm25Index.build(make_docs(), tmp_path_factory.mktemp("bm25") / "ix") as index:
        yield index


@pytest.fixture(scope="module")
def query_vectors():
    """Make queries of 0 to 8 tokens."""
    return unit_rows(np.random.default_rng(2), [5, 1, 8, 0, 3])


@pytest.fixture(scope="module")
def queries(query_vectors):
    texts = ["flooded rivers", "lighthouse", "the market \u20ac of nurses", "river", "xylophone"]
    return [Query(f"q{n}", text) for n, text in enumerate(texts)]


def test_run_is_that_of_exact_search(index, vectors, queries, query_vectors):
    run = index.search(queries, query_vectors)
    exact = search_index(vectors, queries, query_vectors)
    assert list(run) == list(exact)
    for query_id, rows in run.items():
        assert [row[:2] for row in rows] == [row[:2] for row in exact[query_id]]
        assert len(rows) == (0 if query_id == "q3" else N_DOCS - len(WITHOUT_TOKENS))


def test_scores_are_maxsim(index, vectors, queries, query_vectors):
    run = index.search(queries, query_vectors)
    scores = maxsim_scores(query_vectors, stored(vectors))
    negative = False
    for query, row in zip(queries, scores, strict=True):
        expected = dict(zip(vectors.doc_ids, row, strict=True))
        for _, doc_id, score in run[query.query_id]:
            assert score == pytest.approx(expected[doc_id], abs=1e-5)
            negative = negative or score < 0
    assert negative


def test_equal_scores_rank_as_trec_eval_ranks_them(index, queries, query_vectors):
    for rows in index.search(queries, query_vectors).values():
        assert rows == rank_docs(rows)
        found = [row.doc_id for row in rows if row.doc_id in ("d10", "d11")]
        assert found in (["d11", "d10"], [])


def test_only_the_first_rows_are_kept(index, queries, query_vectors):
    run = index.search(queries, query_vectors, k=3)
    every = index.search(queries, query_vectors)
    assert run == {query_id: rows[:3] for query_id, rows in every.items()}


def test_vector_stage_finds_the_nearest_pooled_vectors(index, vectors, queries, query_vectors):
    run = index.search(queries, query_vectors, depth=7)
    rows = [(i, r) for i, r in zip(vectors.doc_ids, stored(vectors), strict=True) if len(r)]
    pooled = np.stack([r.mean(axis=0) for _, r in rows])
    pooled /= np.linalg.norm(pooled, axis=1, keepdims=True)
    for query, own in zip(queries, query_vectors, strict=True):
        if len(own):
            nearest = np.argsort(-pooled @ own.mean(axis=0))[:7]
            found = {row.doc_id for row in run[query.query_id]}
            # The copies d10 and d11 are equally near.
            assert {i.replace("d11", "d10") for i in found} == {
                rows[n][0].replace("d11", "d10") for n in nearest
            }


@pytest.mark.parametrize("depth", [1, 2, 10, 1000])
def test_bm25_stage_finds_what_bm25_finds(index, bm25, queries, query_vectors, depth):
    run = index.search(queries, query_vectors, first_stage="bm25", depth=depth)
    ranked = bm25.search(queries)
    for query, own in zip(queries, query_vectors, strict=True):
        words = [row.doc_id for row in ranked[query.query_id] if row.doc_id not in WITHOUT_TOKENS]
        expected = set(words[:depth]) if len(own) else set()
        assert {row.doc_id for row in run[query.query_id]} == expected
    assert {row.doc_id for row in run["q1"]} <= {"d09", "d31", "d44"}


def test_bm25_stage_orders_by_maxsim(index, queries, query_vectors):
    every = index.search(queries, query_vectors)
    run = index.search(queries, query_vectors, first_stage="bm25")
    for query_id, rows in run.items():
        found = {row.doc_id for row in rows}
        assert rows == [row for row in every[query_id] if row.doc_id in found]


def test_parameters_of_bm25_reach_the_first_stage(index, bm25, queries, query_vectors):
    found = []
    for k1, b in ((0.9, 0.4), (0.0, 0.0)):
        run = index.search(queries, query_vectors, first_stage="bm25", depth=5, k1=k1, b=b)
        ranked = bm25.search(queries, k1=k1, b=b)["q2"]
        words = [row.doc_id for row in ranked if row.doc_id not in WITHOUT_TOKENS]
        found.append({row.doc_id for row in run["q2"]})
        assert found[-1] == set(words[:5])
    assert found[0] != found[1]


def test_bm25_stage_takes_other_texts(index, queries, query_vectors):
    others = [Query(query.query_id, "lighthouse") for query in reversed(queries)]
    others.append(Query("of another set", "river"))
    run = index.search(queries, query_vectors, first_stage="bm25", first_stage_queries=others)
    assert list(run) == ["q0", "q1", "q2", "q3", "q4"]
    for query_id, rows in run.items():
        expected = set() if query_id == "q3" else {"d09", "d31", "d44"}
        assert {row.doc_id for row in rows} == expected


def test_stock_bm25_ranks_the_folder_as_an_index_of_anserini(index, bm25, queries):
    """Those without token vectors, too."""
    from jnius import autoclass

    searcher = autoclass("io.anserini.search.SimpleSearcher")(str(index.folder))
    found = set()
    for query in queries:
        hits = {hit.docid: hit.score for hit in searcher.search(query.text, 1000)}
        rows = bm25.search([query])[query.query_id]
        assert hits == pytest.approx({row.doc_id: row.score for row in rows}, abs=1e-6)
        found.update(hits)
    searcher.close()
    assert found >= WITHOUT_TOKENS


def test_token_vectors_are_encoded_as_lucene_does(late):
    field = lucene.lucene("document.LateInteractionField")
    (rows,) = unit_rows(np.random.default_rng(3), [5])
    encoded = field.encode(rows.tolist())
    assert (encoded.offset, encoded.length) == (0, len(encode_tokens(rows)))
    assert bytes(byte % 256 for byte in encoded.bytes) == encode_tokens(rows)


def test_folder_says_what_it_is(index):
    description = json.loads((index.folder / "index.json").read_text())
    assert description.pop("lucene").startswith("10.")
    assert description.pop("pyserini")
    assert description == {
        "kind": "late-interaction",
        "dim": DIM,
        "space": "space-of-teacher",
        "docs": N_DOCS,
        "docs_without_tokens": 3,
        "tokens": int(make_vectors().offsets[-1]),
    }
    assert is_late_interaction_index(index.folder)
    assert (index.n_docs, index.dim, index.space) == (N_DOCS, DIM, "space-of-teacher")


def test_index_is_one_segment(index):
    assert index._searcher.getIndexReader().leaves().size() == 1


def test_many_flushes_give_the_same_run(late, queries, query_vectors, tmp_path, monkeypatch):
    """With a buffer that takes a document or two, segments are merged."""
    monkeypatch.setattr("optical_ir.retrieval.lucene_writer._BUFFER_MB", 0.01)
    vectors = make_vectors()
    with LateInteractionIndex.build(make_docs(), vectors, tmp_path / "ix") as index:
        run = index.search(queries, query_vectors)
        assert index._searcher.getIndexReader().leaves().size() == 1
    exact = search_index(vectors, queries, query_vectors)
    for query_id, rows in run.items():
        assert [row[:2] for row in rows] == [row[:2] for row in exact[query_id]]


def test_documents_without_token_vectors_are_counted(late, tmp_path, caplog):
    with caplog.at_level(logging.WARNING, "optical_ir"):
        LateInteractionIndex.build(make_docs(), make_vectors(), tmp_path / "ix").close()
    assert "3 of 60 documents have no token vectors and cannot be re-scored" in caplog.text


def test_existing_output_is_refused_and_overwritten_on_demand(late, tmp_path):
    folder = tmp_path / "ix"
    folder.mkdir()
    with pytest.raises(ConfigError, match=r"exists\. Choose another output or pass --overwrite"):
        LateInteractionIndex.build((Doc(str(1 // 0), "") for _ in "x"), make_vectors(), folder)
    with LateInteractionIndex.build(make_docs(), make_vectors(), folder, overwrite=True) as index:
        assert index.n_docs == N_DOCS


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda docs: docs[1:], "found 1 more, 'd00' among them. Name the collection"),
        (lambda docs: [], "found 60 more, 'd00' among them"),
        (lambda docs: [*docs, Doc("d60", "x")], "vectors of document 'd60', found none. Encode"),
        (lambda docs: [*docs, docs[3]], "'d03' is used twice"),
    ],
)
def test_other_documents_are_refused_and_leave_nothing_behind(late, tmp_path, change, message):
    with pytest.raises(DataError, match=message):
        LateInteractionIndex.build(change(make_docs()), make_vectors(), tmp_path / "ix")
    assert not list(tmp_path.iterdir())


def test_failure_of_lucene_is_told_and_leaves_nothing_behind(late, tmp_path):
    vectors = make_vectors(torch.float32)
    vectors.token_vectors(0, len(vectors.doc_ids))[5, 3] = torch.nan
    with pytest.raises(DataError, match=r"Lucene cannot write this index \(.*non-finite value"):
        LateInteractionIndex.build(make_docs(), vectors, tmp_path / "ix")
    assert not list(tmp_path.iterdir())


def test_an_interruption_leaves_nothing_behind(late, tmp_path):
    def interrupted():
        yield make_docs()[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        LateInteractionIndex.build(interrupted(), make_vectors(), tmp_path / "ix")
    assert not list(tmp_path.iterdir())


def test_widest_vectors_of_lucene_are_taken(late, tmp_path):
    vectors = make_vectors(dim=1024)
    (query,) = unit_rows(np.random.default_rng(4), [3], 1024)
    with LateInteractionIndex.build(make_docs(), vectors, tmp_path / "ix") as index:
        rows = index.search([Query("q", "")], [query])["q"]
    exact = search_index(vectors, [Query("q", "")], [query])["q"]
    assert [row.doc_id for row in rows] == [row.doc_id for row in exact]


def test_wider_vectors_are_refused(late, tmp_path):
    message = r"ix has embeddings of dim 1025, Lucene takes 1024 at most\. Project the teacher"
    with pytest.raises(ConfigError, match=message):
        LateInteractionIndex.build(make_docs(), make_vectors(dim=1025), tmp_path / "ix")
    assert not list(tmp_path.iterdir())


def test_query_vectors_of_other_width_or_number_are_refused(index, queries, query_vectors):
    narrow = np.ones((1, DIM - 1), np.float32)
    with pytest.raises(ConfigError, match=r"of dim 23, index .*ix has 24\. Encode the collection"):
        index.search([Query("q", "")], [narrow])
    with pytest.raises(ValueError, match="embeddings of 5 queries, got 4"):
        index.search(queries, query_vectors[1:])


def test_depths_must_be_positive(index):
    for depths in ({"depth": 0}, {"k": 0}):
        with pytest.raises(ValueError, match="must be positive"):
            index.search([], [], **depths)


def test_unknown_first_stage_is_refused_without_queries(index):
    with pytest.raises(ConfigError, match="expected vector or bm25, found 'bm52'"):
        index.search([], [], first_stage="bm52")


def test_texts_of_the_vector_stage_are_refused(index, queries, query_vectors):
    with pytest.raises(ConfigError, match=r"found 'vector', which takes none\. Leave the texts"):
        index.search(queries, query_vectors, first_stage_queries=queries)


def test_query_without_first_stage_text_is_named(index, queries, query_vectors):
    with pytest.raises(DataError, match="first-stage text for query 'q4', found none among 4"):
        index.search(queries, query_vectors, first_stage="bm25", first_stage_queries=queries[:4])


@pytest.fixture
def broken(index, tmp_path):
    return shutil.copytree(index.folder, tmp_path / "broken")


def test_other_folders_are_refused(bm25, tmp_path):
    for folder in (bm25.folder, tmp_path, tmp_path / "none"):
        assert not is_late_interaction_index(folder)
        with pytest.raises(DataError, match=r"expected a late-interaction index .*Make one with"):
            LateInteractionIndex(folder)


@pytest.mark.parametrize("text", ["{", "[]", '{"kind": "bm25"}', "\udcff"])
def test_other_descriptions_are_refused(broken, text):
    (broken / "index.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(DataError, match="expected a late-interaction index"):
        LateInteractionIndex(broken)


def test_incomplete_description_is_refused(broken):
    (broken / "index.json").write_text('{"kind": "late-interaction", "dim": 24}')
    with pytest.raises(DataError, match=r"expected dim, docs and space .*found \['dim', 'kind'\]"):
        LateInteractionIndex(broken)


def test_missing_documents_are_told(broken):
    description = json.loads((broken / "index.json").read_text())
    (broken / "index.json").write_text(json.dumps({**description, "docs": 61}))
    with pytest.raises(DataError, match="expected 61 documents, found 60 in Lucene's files"):
        LateInteractionIndex(broken)


def test_missing_files_of_lucene_are_told(broken):
    for file in broken.glob("segments*"):
        file.unlink()
    with pytest.raises(DataError, match=r"Lucene cannot open this index .*Build it again"):
        LateInteractionIndex(broken)


def test_neither_other_index_opens_it(tmp_path):
    (tmp_path / "index.json").write_text('{"kind": "late-interaction"}')
    with pytest.raises(DataError, match="is a late-interaction index, expected a multi-vector"):
        MultiVectorIndex.open(tmp_path)
    with pytest.raises(DataError, match="of a BM25 index, found one of"):
        Bm25Index(tmp_path)


@pytest.fixture
def old_lucene(java, monkeypatch):
    """Lucene without late interaction: that of Pyserini 1, or as if it were."""
    from jnius import JavaException, autoclass

    try:
        autoclass(LUCENE_10)
    except JavaException:
        return
    monkeypatch.setattr(lucene, "_RESCORER", "search.NoSuchRescorer")


NEEDED = (
    r"needs the Lucene of Pyserini 2\.4\.0 or newer, found Lucene \d+\.\d+\.\d+, which has no "
    r"(LateInteraction|NoSuch)Rescorer\. Use Python 3\.12 .*run: pip install 'pyserini>=2\.4'"
)


def test_old_lucene_cannot_build_and_reads_no_document(old_lucene, tmp_path):
    docs = (Doc(str(1 // 0), "") for _ in "x")
    with pytest.raises(DependencyError, match=NEEDED):
        LateInteractionIndex.build(docs, make_vectors(), tmp_path / "ix")
    assert not list(tmp_path.iterdir())


def test_old_lucene_cannot_open(old_lucene, tmp_path):
    description = {"kind": "late-interaction", "dim": 2, "docs": 1, "space": "s"}
    (tmp_path / "index.json").write_text(json.dumps(description))
    with pytest.raises(DependencyError, match=NEEDED):
        LateInteractionIndex(tmp_path)
