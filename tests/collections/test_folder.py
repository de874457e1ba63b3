"""Prepared folders: strict reading, choice of topics, judgements that belong to them."""

import gzip
import json

import pytest

from optical_ir.collections import iter_corpus, open_folder
from optical_ir.errors import ConfigError, DataError
from optical_ir.records import Doc, Qrel, Query

CORPUS = '{"id": "d1", "contents": "Nairobi.", "title": "x"}\n{"id": "d2", "contents": "Lamu"}\n'


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "trip"
    path.mkdir()
    (path / "corpus.jsonl").write_text(CORPUS)
    (path / "topics.sw.test.tsv").write_text("q1\tmji mkuu\n")
    (path / "qrels.sw.test.txt").write_text("q1 0 d1 1\n")
    return path


def test_a_folder_gives_the_records_of_its_files(folder):
    collection = open_folder(folder)
    assert list(collection.iter_docs()) == [Doc("d1", "Nairobi."), Doc("d2", "Lamu")]
    assert list(collection.iter_queries()) == [Query("q1", "mji mkuu")]
    assert list(collection.iter_qrels()) == [Qrel("q1", "d1", 1)]
    assert collection.name == "trip-sw.test"
    assert (collection.doc_lang, collection.query_lang, collection.n_docs) == (None, None, None)


def test_each_call_reads_anew(folder):
    collection = open_folder(folder)
    assert list(collection.iter_docs()) == list(collection.iter_docs())


def test_a_compressed_corpus_reads_alike(folder):
    plain = list(iter_corpus(folder / "corpus.jsonl"))
    (folder / "corpus.jsonl").unlink()
    (folder / "corpus.jsonl.gz").write_bytes(gzip.compress(CORPUS.encode()))
    assert list(open_folder(folder).iter_docs()) == plain


def test_documents_are_streamed(tmp_path):
    path = tmp_path / "corpus.jsonl"
    path.write_text(CORPUS + "broken\n")
    docs = iter_corpus(path)
    assert [next(docs).doc_id, next(docs).doc_id] == ["d1", "d2"]
    with pytest.raises(DataError, match="line 3"):
        next(docs)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("not json", r"corpus.jsonl, line 2: expected a JSON object .* found 'not json'"),
        ("", r"line 2: expected a JSON object"),
        ("[1]", r"line 2: expected a JSON object with 'id' and 'contents', found list"),
        ('{"id": "d2"}', r"line 2: expected .* 'id' and 'contents', found \['id'\]"),
        ('{"id": 7, "contents": "x"}', "line 2: expected an id that is a string .* found 7"),
        ('{"id": "a b", "contents": "x"}', "line 2: expected an id .* white space, found 'a b'"),
        ('{"id": "d2 ", "contents": "x"}', "line 2: expected an id .* white space, found 'd2 '"),
        ('{"id": "", "contents": "x"}', "line 2: expected an id"),
        ('{"id": "d2", "contents": " "}', "line 2: expected contents .* Leave the document out"),
        ('{"id": "d2", "contents": null}', "line 2: expected contents"),
        ('{"id": "d1", "contents": "x"}', "line 2: document id 'd1' is used twice"),
    ],
)
def test_a_bad_document_is_refused_with_its_line(tmp_path, line, message):
    path = tmp_path / "corpus.jsonl"
    path.write_text('{"id": "d1", "contents": "Nairobi"}\n' + line + "\n")
    with pytest.raises(DataError, match=message):
        list(iter_corpus(path))


def test_several_topics_need_a_choice_only_when_queries_are_read(folder):
    (folder / "topics.so.tsv").write_text("q1\tcaasimad\n")
    collection = open_folder(folder)
    assert len(list(collection.iter_docs())) == 2
    with pytest.raises(ConfigError, match=r"found 2. Choose the topics by name: so, sw.test"):
        collection.iter_queries()
    assert list(open_folder(folder, topics="so").iter_queries()) == [Query("q1", "caasimad")]


def test_plain_topics_are_the_default(folder):
    (folder / "topics.tsv").write_text("q9\tplain\n")
    collection = open_folder(folder)
    assert list(collection.iter_queries()) == [Query("q9", "plain")]
    assert collection.name == "trip"


def test_unknown_topics_are_refused_with_the_names(folder):
    with pytest.raises(ConfigError, match=r"expected topics 'swa', found: sw.test\."):
        open_folder(folder, topics="swa")


@pytest.mark.parametrize(
    ("topics", "present", "chosen"),
    [
        ("a.b.c", ["a.b.c", "a.b", "a", ""], "a.b.c"),
        ("a.b.c", ["a.b", "a", "b.c", "c", ""], "a.b"),
        ("a.b.c", ["a", "b.c", ""], "a"),
        ("a.b.c", ["b.c", "c", ""], "b.c"),
        ("en.human.dev", ["dev", ""], "dev"),
        ("a.b.c", ["", "b"], ""),
    ],
)
def test_topics_find_their_qrels(folder, topics, present, chosen):
    (folder / "qrels.sw.test.txt").unlink()
    (folder / f"topics.{topics}.tsv").write_text("q1\tx\n")
    for name in present:
        file = f"qrels.{name}.txt" if name else "qrels.txt"
        (folder / file).write_text(f"q1 0 {name or 'plain'} 1\n")
    qrels = list(open_folder(folder, topics=topics).iter_qrels())
    assert qrels == [Qrel("q1", chosen or "plain", 1)]


def test_missing_qrels_matter_only_when_they_are_read(folder):
    (folder / "qrels.sw.test.txt").unlink()
    collection = open_folder(folder)
    assert len(list(collection.iter_queries())) == 1
    with pytest.raises(
        ConfigError, match=r"qrels.sw.test.txt, qrels.sw.txt, qrels.test.txt, qrels.txt"
    ):
        collection.iter_qrels()


def test_a_folder_without_its_parts_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="expected a prepared folder, found none"):
        open_folder(tmp_path / "none")
    with pytest.raises(ConfigError, match=r"corpus.jsonl or corpus.jsonl.gz .* optical-ir prepare"):
        open_folder(tmp_path)
    (tmp_path / "corpus.jsonl").write_text(CORPUS)
    with pytest.raises(ConfigError, match=r"expected one topics.<name>.tsv, found 0"):
        open_folder(tmp_path).iter_queries()


def test_languages_come_from_the_origin_and_only_for_its_topics(folder):
    noted = {"topics": "sw.test", "doc_lang": "en", "query_lang": "sw", "n_docs": 2}
    (folder / "origin.json").write_text(json.dumps({"collection": noted}))
    (folder / "topics.so.tsv").write_text("q1\tcaasimad\n")
    described = open_folder(folder, topics="sw.test")
    assert (described.doc_lang, described.query_lang, described.n_docs) == ("en", "sw", 2)
    assert open_folder(folder, topics="so").query_lang is None


@pytest.mark.parametrize("text", ["{", "[]", '{"collection": 3}'])
def test_a_foreign_origin_is_refused(folder, text):
    (folder / "origin.json").write_text(text)
    with pytest.raises(DataError, match=r"origin.json: expected the JSON that prepare writes"):
        open_folder(folder)


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "topics", "n_docs"),
    [
        ("afriqa", "swa.test.en.human", 15202),
        ("xquad", "en.human.dev", 9887),
        ("flores-ict", "som", 10167),
        ("train-en", None, 9655),
    ],
)
def test_real_folders_load_and_their_judgements_fit(data_dir, name, topics, n_docs):
    collection = open_folder(data_dir / name, topics=topics)
    doc_ids = {doc.doc_id for doc in collection.iter_docs()}
    query_ids = {query.query_id for query in collection.iter_queries()}
    qrels = list(collection.iter_qrels())
    assert len(doc_ids) == n_docs
    assert {qrel.doc_id for qrel in qrels} <= doc_ids
    judged = {qrel.query_id for qrel in qrels} & query_ids
    assert len(judged) > 0.99 * len(query_ids)


@pytest.mark.data
@pytest.mark.parametrize("name", ["afriqa", "xquad", "flores-ict", "train-en"])
def test_all_real_topics_read_and_find_qrels(data_dir, name):
    files = sorted((data_dir / name).glob("topics*.tsv"))
    for file in files:
        topics = file.name.removeprefix("topics").removesuffix(".tsv").removeprefix(".") or None
        collection = open_folder(data_dir / name, topics=topics)
        query_ids = {query.query_id for query in collection.iter_queries()}
        judged = {qrel.query_id for qrel in collection.iter_qrels()} & query_ids
        assert len(judged) > 0.99 * len(query_ids), file
