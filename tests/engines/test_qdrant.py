"""Qdrant's own troubles: a folder in use, no server, requests to a server."""

import numpy as np
import pytest

from optical_ir.engines import open_store, parse_address
from optical_ir.engines.stores import Layout
from optical_ir.errors import ConfigError

pytest.importorskip("qdrant_client", reason="the qdrant extra is not installed")


def test_a_server_that_does_not_answer_is_named():
    address = parse_address("qdrant:http://localhost:1/docs")
    with pytest.raises(ConfigError, match="localhost:1: expected a Qdrant server, but"):
        with open_store(address):
            pass


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_folder_in_use_is_named(tmp_path):
    address = parse_address(f"qdrant:{tmp_path}/docs")
    with open_store(address, Layout(4, "s")):
        with pytest.raises(ConfigError, match="in use by another process"):
            with open_store(address):
                pass


@pytest.mark.parametrize("exact", [True, False])
def test_servers_are_told_whether_to_search_exactly(exact):
    from types import SimpleNamespace

    from qdrant_client import models

    from optical_ir.engines.qdrant import QdrantStore

    asked = {}

    class Client:
        def get_collection(self, name):
            vectors = SimpleNamespace(multivector_config=True, size=4)
            params = SimpleNamespace(vectors=vectors)
            return SimpleNamespace(config=SimpleNamespace(params=params, metadata={"space": "s"}))

        def query_points(self, name, *, query, limit, search_params, with_payload):
            asked.update(limit=limit, search_params=search_params)
            return SimpleNamespace(points=[])

    store = QdrantStore(Client(), parse_address("qdrant:http://localhost:6333/docs"))
    assert (store.dim, store.space) == (4, "s")
    assert store.search(np.eye(4, dtype=np.float32), k=3, exact=exact) == []
    assert asked["search_params"] == models.SearchParams(exact=exact)
    assert asked["limit"] == 3
