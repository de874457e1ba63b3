"""A small service: two students of a tiny teacher, an index, and passages with markup in them."""

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from optical_ir.serving import Limits, Service, Sources, create_app
from optical_ir.serving.systems import Systems

PASSAGES = {
    "d1": "the red dog sees a cat.",
    "d2": "a big bird eats near the old house",
    "d3": "old water, under the small tree!",
    "d4": "<script>alert('cat')</script> & the \"dog\"",
    "d5": "?!",
}
HOST = "http://localhost"


@pytest.fixture(scope="session")
def served(plain_folder, make_checkpoint, tiny_encoder, tmp_path_factory) -> Path:
    """Give a folder with teacher, a student of each language, index and collection."""
    from optical_ir.collections import load_collection
    from optical_ir.models import embedding_space, load_encoder, save_teacher
    from optical_ir.models.folder import write_description
    from optical_ir.retrieval.index import build_index

    folder = tmp_path_factory.mktemp("served")
    rows = (json.dumps({"id": key, "contents": text}) for key, text in PASSAGES.items())
    (folder / "english").mkdir()
    (folder / "english" / "corpus.jsonl").write_text("\n".join(rows) + "\n", "utf-8")
    save_teacher(tiny_encoder, folder / "teacher", origin={})
    teacher = load_encoder(folder / "teacher")
    space = embedding_space(folder / "teacher", teacher)
    for number, lang in enumerate(("sw", "ar"), start=1):
        student = load_encoder(
            make_checkpoint(folder / f"plain-{lang}", seed=number),
            query_prompt="query: ",
            document_prompt="passage: ",
        )
        student.save_pretrained(str(folder / lang), create_model_card=False)
        write_description(folder / lang, {"role": "student", "space": space})
    settings = {"collection": str(folder / "english"), "encoder": str(folder / "teacher")}
    docs = load_collection(folder / "english").iter_docs()
    origin = {"settings": settings}
    build_index(docs, teacher, folder / "index", space=space, origin=origin)
    return folder


@pytest.fixture(scope="session")
def sources(served) -> Sources:
    """Give what the service is made of: no BM25."""
    encoders = {lang: str(served / lang) for lang in ("sw", "ar")}
    return Sources(index=served / "index", encoders=encoders)


@pytest.fixture(scope="session")
def systems(sources) -> Systems:
    """Give the loaded systems, shared by all tests that change nothing."""
    from optical_ir.serving.loading import load_systems

    return load_systems(sources)


@pytest.fixture
def make_client(sources, systems, monkeypatch):
    """Make clients of applications over the shared systems, ready when they are handed out."""
    from fastapi.testclient import TestClient

    # Loading is tested where a process serves; these share what is loaded.
    monkeypatch.setattr("optical_ir.serving.service.load_systems", lambda *_, **__: systems)
    monkeypatch.setattr(Systems, "close", lambda self: None)
    opened = []

    def make(limits: Limits | None = None, *, token: str | None = None, host: str = "127.0.0.1"):
        service = Service(sources, limits or Limits(rate=0))
        client = TestClient(create_app(service, host=host, token=token), base_url=HOST)
        client.__enter__()
        opened.append(client)
        wait_until(lambda: client.get("/health").status_code == 200)
        return client

    yield make
    for client in opened:
        client.__exit__(None, None, None)


@pytest.fixture
def client(make_client):
    """Give a client that may ask as often as it likes."""
    return make_client()


def wait_until(claim: Callable[[], bool], seconds: float = 60) -> None:
    """Wait for something to become true."""
    end = time.monotonic() + seconds
    while not claim():
        assert time.monotonic() < end, "timed out"
        time.sleep(0.02)


@pytest.fixture
def live(sources, systems, monkeypatch):
    """Serve the shared systems on a real port, from a thread; give the address."""
    import socket
    import threading

    import uvicorn

    monkeypatch.setattr("optical_ir.serving.service.load_systems", lambda *_, **__: systems)
    monkeypatch.setattr(Systems, "close", lambda self: None)
    app = create_app(Service(sources, Limits(rate=0)))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        settings = {"log_config": None, "http": "h11", "ws": "none", "proxy_headers": False}
        server = uvicorn.Server(uvicorn.Config(app, **settings))
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        wait_until(lambda: server.started)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        server.should_exit = True
        thread.join()
