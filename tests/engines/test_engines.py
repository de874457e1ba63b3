"""An index in other engines: the ranking of exact search, no duplicates, and updates."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from optical_ir.engines import (
    export_index,
    exporting,
    open_store,
    parse_address,
    search_exported,
    search_store,
)
from optical_ir.engines import lancedb as lancedb_module
from optical_ir.engines.blocks import iter_blocks
from optical_ir.errors import ConfigError, DataError
from optical_ir.records import Query
from optical_ir.retrieval.index import MultiVectorIndex
from optical_ir.retrieval.search import search_index

DIM = 8


@pytest.fixture(scope="session", params=["qdrant", "lancedb"])
def engine(request):
    client = {"qdrant": "qdrant_client", "lancedb": "lancedb"}[request.param]
    pytest.importorskip(client, reason=f"the {request.param} extra is not installed")
    return request.param


@pytest.fixture
def address(engine, tmp_path):
    return parse_address(f"{engine}:{tmp_path}/docs")


def make_index(names, *, seed=0, dtype=torch.float32, space="s", dim=DIM):
    """Documents of 1 to 4 random tokens; the vectors of a name are the same in each index."""
    vectors = []
    for name in names:
        generator = np.random.default_rng([seed, *map(ord, name)])
        rows = generator.normal(size=(1 + ord(name[-1]) % 4, dim)).astype(np.float32)
        vectors.append(rows / np.linalg.norm(rows, axis=1, keepdims=True))
    offsets = np.cumsum([0, *map(len, vectors)], dtype=np.int64)
    embeddings = torch.from_numpy(np.concatenate(vectors)).to(dtype)
    return MultiVectorIndex.from_tensor(Path("ix"), embeddings, offsets, list(names), space)


def delete(index, names):
    return replace(index, live=np.array([name not in names for name in index.doc_ids]))


def stored(address):
    """Give what a collection answers to one query, and the hashes it has, by document."""
    query = np.eye(DIM, dtype=np.float32)[:2]
    with open_store(address) as store:
        rows = search_store(store, [Query("q", "")], [query], k=100)["q"]
        assert len({row.doc_id for row in rows}) == len(rows)
        assert set(store.digests()) == {row.doc_id for row in rows}
        return {row.doc_id: row.score for row in rows}


def searched(index):
    query = np.eye(DIM, dtype=np.float32)[:2]
    rows = search_index(index, [Query("q", "")], [query], k=100)["q"]
    return {row.doc_id: row.score for row in rows}


@pytest.fixture(scope="module")
def exported(engine, index, tmp_path_factory):
    address = parse_address(f"{engine}:{tmp_path_factory.mktemp('stores')}/demo")
    done = export_index(index, address)
    assert done == (len(index.doc_ids), 0, 0)
    return address


def test_engines_rank_as_exact_search(exported, index, queries, vectors, teacher):
    exact = search_index(index, queries, vectors, k=len(index.doc_ids))
    run = search_exported(str(teacher), exported, queries, k=10)
    assert list(run) == [query.query_id for query in queries]
    # LanceDB divides by the norms, which rounding to bfloat16 moves away from 1.
    tolerance = 1e-5 if index.storage == "float32" else 2e-3
    for query, own in zip(queries, vectors, strict=True):
        rows, expected = run[query.query_id], exact[query.query_id][:10]
        scores = {row.doc_id: row.score for row in exact[query.query_id]}
        assert len(rows) == len(expected) == 10
        assert [r.score for r in rows] == pytest.approx(
            [r.score for r in expected], abs=tolerance * len(own)
        )
        # Documents as good as those expected: the same, but for ties within the tolerance.
        assert [scores[r.doc_id] for r in rows] == pytest.approx(
            [r.score for r in expected], abs=2 * tolerance * len(own)
        )
        if index.storage == "float32":
            assert [r.doc_id for r in rows] == [r.doc_id for r in expected]


def test_exporting_again_writes_nothing(exported, index):
    assert export_index(index, exported) == (0, len(index.doc_ids), 0)


def test_export_goes_on_where_it_was_killed(address, monkeypatch):
    names = list("abcdefghij")
    index = make_index(names)
    monkeypatch.setattr(exporting, "iter_blocks", partial(iter_blocks, n_values=6 * DIM))
    monkeypatch.setattr(lancedb_module, "_BUFFER_VALUES", 1)

    def killed_after(rows, total):
        assert total == len(names)
        for row in rows:
            if row == 6:
                raise KeyboardInterrupt
            yield row

    with pytest.raises(KeyboardInterrupt):
        export_index(index, address, progress=killed_after)
    first = set(stored(address))
    assert first and first < set(names)
    done = export_index(index, address)
    assert done == (len(names) - len(first), len(first), 0)
    assert stored(address) == pytest.approx(searched(index), abs=1e-5)


def test_changed_new_and_deleted_documents_are_brought_up_to_date(address):
    export_index(make_index(["a1", "b2", "it's", "d4"]), address)
    changed = make_index(["a1", "e5", "it's", "d4", "f6"])
    changed.token_vectors(0, 1).mul_(-1)  # in place: it is a view
    index = delete(changed, ["it's", "f6"])
    assert export_index(index, address) == (2, 1, 1)
    expected = searched(index)
    found = stored(address)
    assert "b2" in found
    assert found == pytest.approx(expected | {"b2": found["b2"]}, abs=1e-5)
    assert export_index(index, address, prune=True) == (0, 3, 1)
    assert stored(address) == pytest.approx(expected, abs=1e-5)


def test_documents_without_tokens_are_left_out(address):
    index = make_index(["a1", "b2", "c3"])
    vectors = index.token_vectors(0, 3)
    offsets = np.cumsum([0, 2, 0, len(vectors) - 2], dtype=np.int64)
    index = MultiVectorIndex.from_tensor(Path("ix"), vectors, offsets, index.doc_ids, "s")
    assert export_index(index, address) == (2, 0, 0)
    assert set(stored(address)) == {"a1", "c3"}


def test_queries_without_tokens_find_nothing(address):
    export_index(make_index(["a1", "b2"]), address)
    nothing = np.zeros((0, DIM), np.float32)
    with open_store(address) as store:
        assert search_store(store, [Query("q", "")], [nothing]) == {"q": []}


def test_vectors_of_another_teacher_are_refused(address, teacher):
    export_index(make_index(["a1"]), address)
    with pytest.raises(ConfigError, match=r"space 's', the index has dim 8 and space 'other'"):
        export_index(make_index(["a1"], space="other"), address)
    with pytest.raises(ConfigError, match=r"dim 8 and space 's', the index has dim 4"):
        export_index(make_index(["a1"], dim=4), address)
    with pytest.raises(ConfigError, match=r"gives embeddings of dim 32, index .*docs has 8"):
        search_exported(str(teacher), address, [Query("q", "cat")])


def test_what_is_not_there_is_not_made_by_searching(address, tmp_path):
    with pytest.raises(DataError, match=r"found none.*optical-ir export-index --to"):
        search_exported("none", address._replace(place=f"{tmp_path}/nowhere"), [])
    assert not (tmp_path / "nowhere").exists()
    with pytest.raises(DataError, match="found none"), open_store(address):
        pass


def test_collections_that_others_made_are_refused(engine, address):
    if engine == "qdrant":
        from qdrant_client import QdrantClient, models

        client = QdrantClient(path=address.place)
        params = models.VectorParams(size=DIM, distance=models.Distance.DOT)
        client.create_collection(address.name, vectors_config=params)
        client.close()
    else:
        import lancedb

        lancedb.connect(address.place).create_table(address.name, [{"text": "a"}])
    with pytest.raises(ConfigError, match=r"is no (collection|table)"):
        export_index(make_index(["a1"]), address)


def test_half_precision_is_stored_where_it_loses_nothing(engine, address):
    index = make_index(["a1", "b2"], dtype=torch.bfloat16)
    export_index(index, address)
    if engine == "qdrant":
        from qdrant_client import QdrantClient

        client = QdrantClient(path=address.place)
        assert client.get_collection("docs").config.params.vectors.datatype == "float16"
        client.close()
    else:
        import lancedb

        table = lancedb.connect(address.place).open_table("docs")
        found = {row["doc_id"]: row["vectors"] for row in table.to_arrow().to_pylist()}
        assert str(table.schema.field("vectors").type.value_type.value_type) == "halffloat"
        np.testing.assert_allclose(found["a1"], index.token_vectors(0, 1).float(), atol=1e-7)
