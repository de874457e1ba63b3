"""The service answers what the library does, refuses what it should, and counts both."""

import re
import threading

import pytest

from optical_ir.matches import explain
from optical_ir.models import encode_queries
from optical_ir.records import Doc, Query
from optical_ir.retrieval.index import MultiVectorIndex
from optical_ir.retrieval.queries import load_for
from optical_ir.retrieval.search import search_index
from optical_ir.serving import Limits
from tests.serving.conftest import PASSAGES, wait_until

QUERY = "mbwa nyekundu ona the dogs?"
TOKEN = "0123456789abcdef"


def search(client, **changes: object):
    return client.post("/search", json={"query": QUERY, "lang": "sw", "k": 10, **changes})


@pytest.mark.parametrize(
    ("lang", "system"), [("sw", "student"), ("ar", "student"), ("ar", "zero-shot")]
)
def test_search_gives_what_search_index_does(client, served, lang, system):
    index = MultiVectorIndex.open(served / "index")
    name = served / (lang if system == "student" else "teacher")
    vectors = encode_queries(load_for(index, str(name)), [QUERY])
    run = search_index(index, [Query("q", QUERY)], vectors, k=10)["q"]
    reply = search(client, lang=lang, system=system).json()
    assert [(hit["doc_id"], hit["score"]) for hit in reply["hits"]] == [row[1:] for row in run]
    assert [hit["rank"] for hit in reply["hits"]] == [1, 2, 3, 4]
    assert all(hit["text"] == PASSAGES[hit["doc_id"]] for hit in reply["hits"])
    assert search(client, lang=lang, system=system, k=2).json()["hits"] == reply["hits"][:2]


def test_explain_gives_what_the_library_does_and_adds_up(client, served):
    index = MultiVectorIndex.open(served / "index")
    docs = [Doc(*pair) for pair in PASSAGES.items()]
    encoders = [load_for(index, str(served / name)) for name in ("sw", "teacher")]
    expected = explain(index, *encoders, QUERY, docs, k=4)
    reply = client.post("/explain", json={"query": QUERY, "lang": "sw", "k": 4}).json()
    found = {hit["doc_id"]: hit["score"] for hit in search(client).json()["hits"]}
    assert [hit["doc_id"] for hit in reply["hits"]] == [one.doc_id for one in expected]
    for hit, one in zip(reply["hits"], expected, strict=True):
        assert hit["score"] == found[hit["doc_id"]]
        total = sum(match["similarity"] for match in hit["matches"])
        assert total == pytest.approx(hit["score"], abs=1e-5)
        for match, own in zip(hit["matches"], one.matches, strict=True):
            assert match["doc_token"] == own.doc_token
            assert match["similarity"] == pytest.approx(own.similarity, abs=1e-5)
            start, end = match["doc_place"]
            assert PASSAGES[hit["doc_id"]][start:end] == match["doc_word"]
            start, end = match["query_place"]
            assert QUERY[start:end] == match["query_word"]


def test_named_documents_are_explained_best_first_and_once(client):
    asked = {"query": QUERY, "lang": "sw", "doc_ids": ["d3", "d1", "d3"]}
    hits = client.post("/explain", json=asked).json()["hits"]
    order = [hit["doc_id"] for hit in search(client).json()["hits"]]
    assert [hit["doc_id"] for hit in hits] == [one for one in order if one in ("d1", "d3")]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"lang": "xx"}, "expected a language of ar, sw"),
        ({"query": ""}, "body query: String should have at least 1 character"),
        ({"query": " \n\t"}, "body query: String should match pattern"),
        ({"query": "x" * 501}, "body query: String should have at most 500 characters"),
        ({"query": "paka " * 65}, "expected a query of at most 64 tokens, found "),
        ({"query": None}, "body query: Input should be a valid string"),
        ({"k": 0}, "body k: Input should be greater than or equal to 1"),
        ({"k": 101}, "body k: Input should be less than or equal to 100"),
        ({"k": True}, "body k: Input should be a valid integer"),
        ({"k": "3"}, "body k: Input should be a valid integer"),
        ({"system": "best"}, "body system: Input should be 'student'"),
        ({"system": "bm25-translation"}, "this service has no BM25 index"),
    ],
)
def test_what_cannot_be_answered_is_422_and_says_why(client, changes, says):
    reply = search(client, **changes)
    assert reply.status_code == 422
    assert reply.json()["reason"] == "invalid"
    assert reply.json()["detail"].startswith(says)


@pytest.mark.parametrize(
    ("doc_id", "says"),
    [("d9", "there is no document 'd9'"), ("d5", "document 'd5' has no words")],
)
def test_documents_that_cannot_be_explained_are_422(client, doc_id, says):
    asked = {"query": QUERY, "lang": "sw", "doc_ids": ["d1", doc_id]}
    reply = client.post("/explain", json=asked)
    assert reply.status_code == 422
    assert reply.json()["detail"].startswith(says)


def test_half_a_character_is_422(client):
    body = b'{"query": "\\ud800 paka", "lang": "sw"}'
    for path in ("/search", "/explain"):
        reply = client.post(path, content=body, headers={"content-type": "application/json"})
        assert reply.status_code == 422


HOSTILE = [
    "\x00\x01\x1b[31mpaka\x7f",
    "<s> </s> <mask> [CLS] [SEP] paka",
    "\u202epaka\u202c \u2066mbwa\u2069",
    "👩‍👩‍👧‍👦 paka 🏴‍☠️",
    "p\u0301a\u0301k\u0301a" + "\u0301" * 100,
    "<script>alert(1)</script>",
    "{{ 7 * 7 }} {% for x in y %}",
    "'; DROP TABLE docs; --",
    "\ufeffpaka\u2028mbwa",
    "?!",
]


@pytest.mark.parametrize("query", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_text_is_text(client, query):
    found = search(client, query=query)
    assert found.status_code == 200
    asked = {"query": query, "lang": "sw", "k": 2}
    explained = client.post("/explain", json=asked)
    assert explained.status_code in (200, 422)
    if explained.status_code == 422:
        assert not found.json()["hits"]
        assert explained.json()["detail"] == "expected a query with words, found none"
    assert search(client).json()["hits"], "it still answers"


def test_special_pieces_in_a_text_are_no_special_tokens(client):
    asked = {"query": "[CLS] paka", "lang": "sw", "k": 1}
    matches = client.post("/explain", json=asked).json()["hits"][0]["matches"]
    assert matches[-1]["query_word"] == "paka"


def test_large_bodies_are_413_however_they_come(client):
    for content in (b" " * (1 << 20), (b" " * 1024 for _ in range(1024))):
        reply = client.post("/search", content=content)
        assert reply.status_code == 413
        assert reply.json()["reason"] == "body"
    assert client.post("/search", content=b" " * 16_384).status_code == 422


def test_who_asks_too_often_is_429_until_the_time_it_is_told(make_client):
    client = make_client(Limits(rate=0.5, burst=3))
    replies = [search(client, k=1) for _ in range(5)]
    assert [reply.status_code for reply in replies] == [200, 200, 200, 429, 429]
    assert replies[-1].headers["retry-after"] == "2"
    assert client.get("/health").status_code == 200, "asked as often as one likes"


def test_without_the_token_nothing_but_health_is_told(make_client):
    client = make_client(token=TOKEN, host="0.0.0.0")
    for path in ("/", "/metrics", "/openapi.json", "/static/page.css", "/nothing"):
        assert client.get(path).status_code == 401, path
    refused = search(client)
    assert refused.status_code == 401
    assert refused.headers["www-authenticate"].startswith("Basic ")
    assert client.post("/search", content=b"x" * 100_000).status_code == 401, "before the body"
    assert client.get("/health").json() == {"status": "ready"}
    client.headers["authorization"] = f"Bearer {TOKEN}"
    assert search(client).status_code == 200
    client.headers["host"] = "search.example.org"
    assert search(client).status_code == 200
    assert client.get("/", auth=("me", TOKEN), headers={"authorization": ""}).status_code == 200


def test_on_the_loopback_other_names_are_refused(client):
    for host in ("evil.example", "localhost.evil.example", "127.0.0.1.evil.example", ""):
        assert client.get("/health", headers={"host": host}).status_code == 421, host
    for host in ("localhost:8000", "127.0.0.1:1", "[::1]:8000", "LOCALHOST"):
        assert client.get("/health", headers={"host": host}).status_code == 200, host


def test_another_address_of_the_loopback_is_a_name_too(make_client):
    client = make_client(host="127.8.8.8")
    assert client.get("/health", headers={"host": "127.8.8.8:80"}).status_code == 200
    assert client.get("/health", headers={"host": "127.8.8.9"}).status_code == 421


def test_beyond_the_queue_is_503_and_the_rest_is_answered(make_client, systems, monkeypatch):
    client = make_client(Limits(rate=0, workers=1, queue=2))
    go, answer = threading.Event(), systems.search

    def wait(*asked: object, **settings: object):
        assert go.wait(30)
        return answer(*asked, **settings)

    monkeypatch.setattr(systems, "search", wait)
    codes = []
    threads = [
        threading.Thread(target=lambda: codes.append(search(client).status_code)) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    wait_until(lambda: "optical_ir_at_work 3.0" in client.get("/metrics").text)
    refused = search(client)
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    assert refused.json()["reason"] == "queue"
    go.set()
    for thread in threads:
        thread.join()
    assert codes == [200] * 3


def test_what_takes_too_long_is_503(make_client, systems, monkeypatch):
    go = threading.Event()
    client = make_client(Limits(rate=0, timeout=0.1))
    with monkeypatch.context() as patch:
        patch.setattr(systems, "search", lambda *_, **__: go.wait(30))
        reply = search(client)
    go.set()
    assert (reply.status_code, reply.json()["reason"]) == (503, "timeout")


def test_an_error_of_ours_is_500_and_tells_nothing(make_client, systems, monkeypatch):
    def fail(*_: object, **__: object):
        raise RuntimeError("/secret/path")

    client = make_client()
    client._transport.raise_server_exceptions = False
    monkeypatch.setattr(systems, "search", fail)
    reply = search(client)
    assert reply.status_code == 500
    assert "secret" not in reply.text


def test_metrics_count_what_was_asked(client):
    for _ in range(3):
        search(client)
    search(client, k=0)
    for path in ("/a", "/b", "/static/../../x", "/static/none"):
        client.get(path)
    text = client.get("/metrics").text

    def value(name):
        return float(re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)[1])

    assert value('optical_ir_requests_total{path="/search",status="200"}') == 3
    assert value('optical_ir_requests_total{path="/search",status="422"}') == 1
    assert value('optical_ir_rejected_total{reason="invalid"}') == 1
    assert value('optical_ir_request_seconds_count{path="/search"}') == 4
    assert value('optical_ir_requests_total{path="/static",status="404"}') >= 1
    assert 'path="/a"' not in text
    assert value('optical_ir_requests_total{path="other",status="404"}') >= 2
    assert value("optical_ir_in_flight") == 1
    assert value("optical_ir_at_work") == 0
    assert value("optical_ir_ready") == 1
    assert value("process_resident_memory_bytes") > 1e6


def test_every_answer_forbids_what_the_page_does_not_need(client):
    for reply in (client.get("/"), search(client), client.get("/nothing"), search(client, k=0)):
        policy = reply.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert reply.headers["referrer-policy"] == "no-referrer"
        assert reply.headers["cache-control"] == "no-store"
