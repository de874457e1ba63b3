"""Texts come back as they went in, from a file that is complete or not there."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optical_ir.errors import ConfigError, DataError
from optical_ir.records import Doc
from optical_ir.serving.passages import PassageStore

ids = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1)
texts = st.text(st.characters(codec="utf-8"))


@given(st.dictionaries(ids, texts, min_size=1, max_size=20))
def test_texts_come_back_as_they_went_in(docs):
    store = PassageStore.build(Doc(*pair) for pair in docs.items())
    try:
        assert store.texts(list(docs)) == docs
        assert store.texts(["no such"]) == {}
        store.check(list(docs))
    finally:
        store.close()
    assert not store.path.exists()


def test_more_documents_than_a_statement_may_name_are_checked(tmp_path):
    docs = [Doc(f"d{number}", "x") for number in range(2500)]
    store = PassageStore.build(iter(docs), tmp_path / "passages")
    store.check([doc.doc_id for doc in docs])
    with pytest.raises(DataError, match=r"all 2501 documents of the index, found none of 'e'"):
        store.check([*(doc.doc_id for doc in docs), "e"])
    store.close()
    again = PassageStore(tmp_path / "passages")
    assert again.texts(["d7"]) == {"d7": "x"}
    again.close()


def test_a_failed_build_leaves_nothing(tmp_path):
    def docs():
        yield Doc("d1", "x")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        PassageStore.build(docs(), tmp_path / "passages")
    with pytest.raises(DataError, match="each used once"):
        PassageStore.build([Doc("d1", "x"), Doc("d1", "y")], tmp_path / "passages")
    assert list(tmp_path.iterdir()) == []


def test_other_files_are_refused_and_kept(tmp_path):
    with pytest.raises(DataError, match="expected a file of passages, found none"):
        PassageStore(tmp_path / "gone")
    (tmp_path / "notes").write_text("not a database, but long enough to look at" * 10)
    with pytest.raises(DataError, match="expected a file of passages, found something else"):
        PassageStore(tmp_path / "notes")
    with pytest.raises(ConfigError, match="exists"):
        PassageStore.build([Doc("d1", "x")], tmp_path / "notes")
