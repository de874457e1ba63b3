"""Vespa's schema and feed, read back as its documents say, and search over its HTTP interface.

The server here is a stand-in that ranks what the feed holds; Vespa itself is not run.
"""

import json
import struct
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import numpy as np
import pytest
import torch

from optical_ir.engines import export_index, open_store, parse_address, search_exported
from optical_ir.engines.vespa import hex_rows
from optical_ir.errors import ConfigError, DataError
from optical_ir.retrieval.search import search_index


def test_values_are_written_as_the_bits_that_vespa_documents():
    thirds = torch.arange(1, 4)[None] / 9
    assert hex_rows(thirds, is_half=False) == ["3DE38E393E638E393EAAAAAB".lower()]
    assert hex_rows(torch.tensor([[1.0, -2.0]]).bfloat16(), is_half=True) == ["3f80c000"]


@pytest.fixture(scope="module")
def feed(index, tmp_path_factory):
    """Folder of an exported feed."""
    place = tmp_path_factory.mktemp("feeds")
    assert export_index(index, parse_address(f"vespa:{place}/english")).written == 132
    return place / "english"


def decode(row: str, width: int) -> list[float]:
    cells = [row[start : start + width] for start in range(0, len(row), width)]
    return [struct.unpack(">f", bytes.fromhex(cell.ljust(8, "0")))[0] for cell in cells]


def read_feed(folder, width):
    """Give document ids and token vectors as a reader of Vespa's format would."""
    docs = {}
    for line in (folder / "feed.jsonl").read_text("utf-8").splitlines():
        operation = json.loads(line)
        fields = operation["fields"]
        assert operation["put"] == f"id:optical:english::{fields['doc_id']}"
        rows = [decode(row, width) for row in fields["vectors"].values()]
        docs[fields["doc_id"]] = np.array(rows, np.float32)
    return docs


def test_feed_has_the_vectors_of_the_index_bit_for_bit(feed, index):
    width = 4 if index.storage == "bfloat16" else 8
    docs = read_feed(feed, width)
    assert list(docs) == index.doc_ids
    assert np.array_equal(
        np.concatenate(list(docs.values())),
        index.token_vectors(0, len(index.doc_ids)).float().numpy(),
    )
    kind = "bfloat16" if width == 4 else "float"
    assert f"tensor<{kind}>(token{{}}, x[32])" in (feed / "english.sd").read_text()


@pytest.fixture
def server(feed, index):
    """Rank the documents of the feed as the schema's rank profile says; give its address."""
    width = 4 if index.storage == "bfloat16" else 8
    docs = read_feed(feed, width)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            assert asked["yql"] == "select doc_id, space, dim from english where true"
            root = {"errors": [{"message": "too many hits"}]}
            if asked["hits"] <= 400:
                hits = sorted(self.score(asked).items(), key=lambda row: -row[1])[: asked["hits"]]
                root = {"children": [self.hit(*row) for row in hits]}
            content = json.dumps({"root": root}).encode()
            self.send_response(200)
            self.end_headers()
            self.wfile.write(content)

        def score(self, asked):
            if "ranking" not in asked:
                return dict.fromkeys(docs, 0.0)
            assert asked["ranking"] == "maxsim"
            query = np.array(list(asked["input.query(tokens)"].values()), np.float32)
            return {name: float((query @ rows.T).max(1).sum()) for name, rows in docs.items()}

        def hit(self, doc_id, score):
            fields = {"doc_id": doc_id, "space": index.space, "dim": index.dim}
            return {"relevance": score, "fields": fields}

        def log_message(self, *arguments: object):
            pass

    http = HTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=http.serve_forever)
    thread.start()
    yield f"vespa:http://127.0.0.1:{http.server_port}/english"
    http.shutdown()
    thread.join()
    http.server_close()


def test_search_gives_the_run_of_exact_search(server, index, queries, vectors, teacher):
    exact = search_index(index, queries, vectors, k=10)
    run = search_exported(str(teacher), parse_address(server), queries, k=10)
    for query in queries:
        rows, expected = run[query.query_id], exact[query.query_id]
        assert [r.doc_id for r in rows] == [r.doc_id for r in expected]
        assert [r.score for r in rows] == pytest.approx([r.score for r in expected], abs=1e-4)


def test_what_vespa_refuses_is_passed_on(server, queries, teacher):
    with pytest.raises(ConfigError, match=r"Vespa refused .*too many hits"):
        search_exported(str(teacher), parse_address(server), queries, k=401)


def test_an_existing_feed_is_kept_unless_told_otherwise(feed, index):
    address = parse_address(f"vespa:{feed}")
    before = (feed / "feed.jsonl").read_bytes()
    with pytest.raises(ConfigError, match="exists"):
        export_index(index, address)
    export_index(index, address, overwrite=True)
    assert (feed / "feed.jsonl").read_bytes() == before


def test_deleted_documents_are_removed_by_the_feed(index, tmp_path):
    live = np.arange(len(index.doc_ids)) != 3
    index = replace(index, live=live)
    done = export_index(index, parse_address(f"vespa:{tmp_path}/english"))
    assert (done.written, done.removed) == (131, 1)
    lines = (tmp_path / "english" / "feed.jsonl").read_text("utf-8").splitlines()
    assert json.loads(lines[-1]) == {"remove": f"id:optical:english::{index.doc_ids[3]}"}


def test_feeds_and_servers_are_not_confused(index, feed):
    with pytest.raises(ConfigError, match="expected a folder for the feed"):
        export_index(index, parse_address("vespa:http://localhost:1/english"))
    with pytest.raises(ConfigError, match=r"is a folder\. Feed it to a server"):
        with open_store(parse_address(f"vespa:{feed}")):
            pass
    with pytest.raises(ConfigError, match="expected a Vespa server, but none answered"):
        with open_store(parse_address("vespa:http://localhost:1/english")):
            pass


def test_a_schema_without_documents_says_so(server, monkeypatch):
    from optical_ir.engines.vespa import VespaServer

    monkeypatch.setattr(VespaServer, "_ask", lambda self, body: [])
    with pytest.raises(DataError, match=r"found none.*export-index --to vespa:FOLDER/english"):
        with open_store(parse_address(server)):
            pass
