"""One name leads to a folder, the demo or an ir_datasets id."""

import json

import pytest

from optical_ir.collections import load_collection
from optical_ir.errors import ConfigError


def make_folder(path):
    path.mkdir(parents=True)
    (path / "corpus.jsonl").write_text(json.dumps({"id": "d1", "contents": "x"}) + "\n")
    (path / "topics.sw.tsv").write_text("q1\tmto\n")


def test_an_existing_folder_wins_over_an_id(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_folder(tmp_path / "mmarco" / "de")
    assert load_collection("mmarco/de").name == "de-sw"
    assert load_collection(tmp_path / "mmarco" / "de", topics="sw").name == "de-sw"


def test_other_names_are_ids_and_topics_their_query_field():
    assert load_collection("wikiclir/sw", topics="title").doc_lang == "sw"


def test_a_mistyped_path_is_refused_with_what_is_possible():
    with pytest.raises(ConfigError, match="an existing folder, the word 'demo' or an ir_datasets"):
        load_collection("../data/afriqa-typo")


def test_the_word_demo_is_the_packaged_collection(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_folder(tmp_path / "demo")
    demo = load_collection("demo", topics="sw")
    assert (demo.name, demo.doc_lang, demo.query_lang) == ("demo-sw", "en", "sw")
    assert len(list(load_collection("./demo").iter_docs())) == 1
    doc_ids = {doc.doc_id for doc in demo.iter_docs()}
    assert {qrel.doc_id for qrel in demo.iter_qrels()} <= doc_ids
