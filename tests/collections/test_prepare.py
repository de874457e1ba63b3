"""What `prepare` writes loads back equal, and what it cannot write is refused."""

import dataclasses
import json
import logging

import pytest

from optical_ir.collections import Collection, open_folder, prepare
from optical_ir.errors import ConfigError, DataError
from optical_ir.records import Doc, Qrel, Query

DOCS = [Doc("d1", " Nairobi\nis\ta capital. "), Doc("d2", "Lamu \u2028 \u00e9")]
QUERIES = [Query("q1", "mji mkuu"), Query("q2", "kisiwa")]
QRELS = [Qrel("q1", "d1", 2), Qrel("q2", "d2", 0)]


def make(docs=DOCS, queries=QUERIES, qrels=QRELS):
    return Collection(
        name="toy",
        doc_lang="en",
        query_lang="sw",
        n_docs=len(docs),
        iter_docs=lambda: iter(docs),
        iter_queries=lambda: iter(queries),
        iter_qrels=lambda: iter(qrels),
    )


def records(collection):
    return (
        list(collection.iter_docs()),
        list(collection.iter_queries()),
        list(collection.iter_qrels()),
    )


def test_a_prepared_collection_loads_back_equal(tmp_path):
    prepare(make(), tmp_path / "toy", topics_name="sw")
    loaded = open_folder(tmp_path / "toy")
    assert records(loaded) == (DOCS, QUERIES, QRELS)
    assert (loaded.doc_lang, loaded.query_lang, loaded.n_docs) == ("en", "sw", 2)


def test_a_folder_holds_the_four_files_and_its_origin(tmp_path):
    prepare(make(), tmp_path / "toy", topics_name="sw.test")
    names = {path.name for path in (tmp_path / "toy").iterdir()}
    assert names == {"corpus.jsonl", "topics.sw.test.tsv", "qrels.sw.test.txt", "origin.json"}
    origin = json.loads((tmp_path / "toy" / "origin.json").read_text())
    assert origin["collection"]["n_queries"] == 2
    assert origin["settings"]["collection"] == "toy"


def test_existing_output_is_kept_unless_overwritten(tmp_path):
    prepare(make(), tmp_path / "toy", topics_name="sw")
    with pytest.raises(ConfigError, match="--overwrite"):
        prepare(make(), tmp_path / "toy", topics_name="sw")
    prepare(make(docs=DOCS[:1]), tmp_path / "toy", topics_name="sw", overwrite=True)
    assert list(open_folder(tmp_path / "toy").iter_docs()) == DOCS[:1]


def test_progress_sees_every_document_and_the_total(tmp_path):
    seen = []

    def progress(docs, total):
        seen.append(total)
        for doc in docs:
            seen.append(doc.doc_id)
            yield doc

    prepare(make(), tmp_path / "toy", topics_name="sw", progress=progress)
    assert seen == [2, "d1", "d2"]


def test_judgements_on_unknown_ids_are_kept_and_counted(tmp_path, caplog):
    qrels = [*QRELS, Qrel("q1", "gone", 1), Qrel("q8", "d1", 1), Qrel("q9", "d1", 1)]
    prepare(make(qrels=qrels), tmp_path / "toy", topics_name="sw")
    assert list(open_folder(tmp_path / "toy").iter_qrels()) == qrels
    assert "1 of 5 judgements are on documents that are not there" in caplog.text
    assert "2 of 5 judgements are on queries that are not there" in caplog.text


def test_a_sound_collection_logs_nothing(tmp_path, caplog):
    prepare(make(), tmp_path / "toy", topics_name="sw")
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_of_repeated_judgements_the_higher_one_stays(tmp_path, caplog):
    qrels = [Qrel("q1", "d1", 1), Qrel("q1", "d1", 2), Qrel("q1", "d1", 1)]
    prepare(make(qrels=qrels), tmp_path / "toy", topics_name="sw")
    assert list(open_folder(tmp_path / "toy").iter_qrels()) == [Qrel("q1", "d1", 2)]
    assert "2 judgements are given twice" in caplog.text


def test_empty_texts_are_left_out_and_counted(tmp_path, caplog):
    docs, queries = [*DOCS, Doc("d3", " \n")], [*QUERIES, Query("q3", "")]
    prepare(make(docs=docs, queries=queries), tmp_path / "toy", topics_name="sw")
    assert records(open_folder(tmp_path / "toy")) == (DOCS, QUERIES, QRELS)
    assert "left out 1 documents without text" in caplog.text
    assert "left out 1 queries without text" in caplog.text


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"docs": [*DOCS, Doc("d1", "x")]}, "toy: document id 'd1' is used twice"),
        ({"docs": [Doc("d 1", "x")]}, "toy: document id 'd 1': expected an id without white"),
        ({"queries": [*QUERIES, Query("q1", "x")]}, "toy: query id 'q1' is used twice"),
        ({"queries": [Query("q\t1", "x")]}, "toy: query id .* without white space"),
        ({"docs": [Doc("d1", " ")]}, "toy: expected documents with text, found none"),
        ({"queries": []}, "toy: expected queries with text, found none"),
        ({"qrels": []}, "toy: expected judgements, found none"),
    ],
)
def test_a_collection_no_tool_could_read_is_refused_and_leaves_nothing(tmp_path, parts, message):
    with pytest.raises(DataError, match=message):
        prepare(make(**parts), tmp_path / "toy", topics_name="sw")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["", "a/b", "a b", "..\\a"])
def test_a_topics_name_must_fit_a_file_name(tmp_path, name):
    with pytest.raises(ConfigError, match="expected a topics name without blanks and slashes"):
        prepare(make(), tmp_path / "toy", topics_name=name)


def test_a_collection_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        make().name = "other"
