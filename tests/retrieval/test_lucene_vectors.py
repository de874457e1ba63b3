"""Lucene indexes of pyserini.encode's vectors: what is refused before Lucene sees it."""

import json

import pytest

from optical_ir.errors import ConfigError, DataError
from optical_ir.retrieval.lucene_vectors import build_vector_index, count_documents

pytestmark = pytest.mark.java


def write_vectors(folder, *records: object):
    folder.mkdir()
    lines = (record if isinstance(record, str) else json.dumps(record) for record in records)
    (folder / "embeddings.jsonl").write_text("".join(f"{line}\n" for line in lines))
    return folder


def record(doc_id, *vector: object):
    return {"id": doc_id, "contents": "text", "vector": vector}


@pytest.mark.parametrize("hnsw", [True, False])
def test_all_vectors_are_indexed(java, tmp_path, hnsw):
    vectors = write_vectors(tmp_path / "v", record("a", 1, 0), record("b", 0.6, 0.8))
    assert build_vector_index(vectors, tmp_path / "ix", hnsw=hnsw) == 2
    assert count_documents(tmp_path / "ix") == 2
    description = json.loads((tmp_path / "ix" / "index.json").read_text())
    assert (description["kind"], description["docs"], description["dim"]) == (
        "hnsw" if hnsw else "flat",
        *(2, 2),
    )
    assert not (tmp_path / "ix" / "corpus").exists()


def test_zero_vectors_are_counted_and_left_out(java, tmp_path, caplog):
    vectors = write_vectors(tmp_path / "v", record("a", 1, 0), record("b", 0, 0))
    assert build_vector_index(vectors, tmp_path / "ix") == 1
    assert "1 of 2 documents have a zero vector" in caplog.text


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ([record("a", 3, 4)], r"line 1: expected a vector of length 1, found 5\.0000.*--l2-norm"),
        ([record("a", 1, 0), record("b", 1)], "line 2: expected 2 values, found 1"),
        ([record("a", 1, 0), record("a", 0, 1)], "line 2: document id 'a' is used twice"),
        ([{"docid": "a", "vector": [1]}], r"line 1: expected \{\"id\".*KeyError: 'id'"),
        (["{"], "line 1: expected .*JSONDecodeError"),
        ([record("a", "x")], "line 1: expected .*could not convert string to float"),
        ([record("a", float("nan"))], "line 1: expected a vector of length 1, found nan"),
        ([record("a", 0)], "expected vectors, found none among 1 documents"),
    ],
)
def test_bad_vectors_are_refused_with_their_line(java, tmp_path, records, message):
    vectors = write_vectors(tmp_path / "v", *records)
    with pytest.raises(DataError, match=message):
        build_vector_index(vectors, tmp_path / "ix")
    assert [path.name for path in tmp_path.iterdir()] == ["v"]


def test_folder_without_vectors_names_the_command(java, tmp_path):
    with pytest.raises(DataError, match=r"python -m encoders pyserini\.encode"):
        build_vector_index(tmp_path, tmp_path / "ix")


def test_existing_index_is_kept(java, tmp_path):
    vectors = write_vectors(tmp_path / "v", record("a", 1, 0))
    build_vector_index(vectors, tmp_path / "ix")
    with pytest.raises(ConfigError, match="exists"):
        build_vector_index(vectors, tmp_path / "ix")
