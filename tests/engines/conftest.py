"""The demo collection as an index of a tiny encoder, and its queries."""

import pytest

from optical_ir.collections import load_collection
from optical_ir.models import read_description, save_teacher
from optical_ir.retrieval.index import build_index
from optical_ir.retrieval.queries import encode_for


@pytest.fixture(scope="session")
def demo():
    return load_collection("demo", topics="fr")


@pytest.fixture(scope="session")
def teacher(tiny_encoder, tmp_path_factory):
    """Folder of an encoder that writes into the space of `index`."""
    folder = tmp_path_factory.mktemp("engines") / "teacher"
    save_teacher(tiny_encoder, folder, origin={})
    return folder


@pytest.fixture(scope="session")
def space(teacher):
    return read_description(teacher)["space"]


@pytest.fixture(scope="session", params=["bfloat16", "float32"])
def index(request, demo, space, tiny_encoder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("engines") / "index"
    return build_index(demo.iter_docs(), tiny_encoder, folder, space=space, storage=request.param)


@pytest.fixture(scope="session")
def queries(demo):
    return list(demo.iter_queries())[:12]


@pytest.fixture(scope="session")
def vectors(index, queries, teacher):
    """Token embeddings of the queries as a search would encode them on this machine."""
    return encode_for(index, str(teacher), queries)
