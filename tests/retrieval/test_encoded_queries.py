"""Pre-encoded queries: three files that agree, and ids that survive."""

import json

import numpy as np
import pandas as pd
import pytest

from optical_ir.errors import ConfigError, DataError
from optical_ir.records import Query
from optical_ir.retrieval.encoded_queries import write_encoded_queries
from optical_ir.trec import read_topics

QUERIES = [Query("q1", "paka  ona"), Query("10", "mbwa"), Query("10a", "मांजर \U0001f408")]
VECTORS = np.float32([[0.6, 0.8], [1, 0], [-0.1, 0.3]])


def test_files_hold_the_same_queries_and_vectors(tmp_path):
    write_encoded_queries(QUERIES, VECTORS, tmp_path / "encoded")
    topics = read_topics(tmp_path / "encoded" / "topics.tsv")
    assert topics == [Query("q1", "paka ona"), *QUERIES[1:]]
    frame = pd.read_pickle(tmp_path / "encoded" / "embedding.pkl")
    assert frame["id"].tolist() == [query.query_id for query in topics]
    assert frame["text"].tolist() == [query.text for query in topics]
    assert np.array_equal(np.stack(frame["embedding"]), VECTORS)
    lines = (tmp_path / "encoded" / "vectors.tsv").read_text().splitlines()
    for line, query, vector in zip(lines, topics, VECTORS, strict=True):
        query_id, numbers = line.split("\t")
        assert query_id == query.query_id
        assert np.array_equal(np.float32(json.loads(numbers)), vector)


@pytest.mark.parametrize(
    ("query_id", "becomes"), [("001", "1"), ("+5", "5"), ("-07", "-7"), ("\u0663", "3")]
)
def test_ids_that_pyserini_changes_are_refused(tmp_path, query_id, becomes):
    with pytest.raises(DataError, match=rf"becomes '{becomes}'\. Rename them"):
        write_encoded_queries([Query(query_id, "x")], VECTORS[:1], tmp_path / "encoded")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("query_id", ["0", "10", "-3", "1_0", "0x1", "007a", "q01"])
def test_ids_that_survive_are_taken(tmp_path, query_id):
    write_encoded_queries([Query(query_id, "x")], VECTORS[:1], tmp_path / "encoded")


@pytest.mark.parametrize("name", ["beir-sw", "my.bpr"])
def test_path_that_pyserini_misreads_is_refused(tmp_path, name):
    with pytest.raises(ConfigError, match="which Pyserini takes for another format"):
        write_encoded_queries(QUERIES, VECTORS, tmp_path / name)


def test_query_with_nothing_to_encode_is_told(tmp_path):
    with pytest.raises(DataError, match="1 queries have nothing to encode, as '10'"):
        write_encoded_queries(QUERIES, VECTORS * np.float32([[1], [0], [1]]), tmp_path / "encoded")
