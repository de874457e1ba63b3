"""Signatures can be read back, say what the provenance says, and tell runs apart."""

import gzip
import json
from collections import defaultdict
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optical_ir.errors import DataError
from optical_ir.provenance import write_origin
from optical_ir.signatures import (
    KEYS,
    check_signature,
    format_signature,
    parse_signature,
    read_signature,
    sign_origin,
)

RUNS = Path(__file__).resolve().parents[1] / "runs"
ORIGIN = {
    "settings": {
        "index": "/somewhere/lucene",
        "topics": "/somewhere/topics.sw.en.tsv",
        "encoder": None,
        "tag": "bm25",
        "hits": 1000,
        "k1": 0.9,
        "b": 0.4,
    },
    "inputs": {"topics": {"name": "topics.sw.en.tsv", "sha256": "ab" * 32}},
    "versions": {"optical-ir": "0.1.0", "ranx": "0.3.21"},
    "index_sha256": "cd" * 32,
    "sha256": "ef" * 32,
    "translator": {"name": "/models/marian-sw", "model": "01" * 32, "num_beams": 4},
    "engine": {"anserini": "1.6.0", "lucene": "10.2.0"},
}
LINE = (
    "topics:topics.sw.en.tsv|queries:abababababab|system:bm25|run:efefefefefef|"
    "index:cdcdcdcdcdcd|translation:marian-sw@010101010101|beams:4|bm25:0.9,0.4|hits:1000|"
    "anserini:1.6.0|lucene:10.2.0|version:0.1.0"
)

signatures = st.dictionaries(st.sampled_from(list(KEYS)), st.text(min_size=1)).map(
    lambda found: {key: found[key] for key in KEYS if key in found}
)


@settings(deadline=None)
@given(signatures.filter(bool), st.booleans())
def test_what_is_formatted_is_read_back(signature, short):
    line = format_signature(signature, short=short)
    assert parse_signature(line) == signature
    assert list(parse_signature(line)) == list(signature)
    assert len(line.splitlines()) == 1 and len(line.split()) == 1


def test_how_an_index_was_searched_is_signed():
    settings = {"index": "lancedb:/somewhere/store/passages", "approximate": True}
    inputs = {"doc_ids": {"name": "ids.txt", "sha256": "12" * 32}}
    signature = sign_origin({"settings": settings | {"candidates": 600}, "inputs": inputs})
    assert format_signature(signature) == (
        "index:lancedb:passages|stage:approximate|candidates:600|among:121212121212"
    )


def test_short_and_long_keys_are_all_different():
    assert len({*KEYS, *KEYS.values()}) == 2 * len(KEYS)


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("", "''"),
        ("seed", "'seed'"),
        ("seed:", "'seed:'"),
        ("seed:1|sd:1", "'sd:1'"),
        ("colour:red", "'colour:red'"),
        ("seed:1||hits:2", "''"),
    ],
)
def test_other_lines_are_refused(line, found):
    with pytest.raises(DataError, match=f"as key:value between bars, found {found}"):
        parse_signature(line)


def test_a_signature_says_what_the_provenance_says():
    assert format_signature(sign_origin(ORIGIN)) == LINE
    fused = {"settings": {"method": "wsum", "norm": "min-max", "weights": [0.7, 0.3]}}
    assert sign_origin(fused) == {"fusion": "wsum,min-max,0.7,0.3"}
    assert sign_origin({"settings": {"method": "rrf", "rrf_k": 60}}) == {"fusion": "rrf,60"}
    assert sign_origin({}) == {}


def test_reported_runs_with_one_signature_are_one_run():
    texts = defaultdict(set)
    for path in sorted(RUNS.glob("*.trec.json")):
        origin = json.loads(path.read_text("utf-8"))
        signature = sign_origin(origin)
        assert {"collection", "topics", "queries", "system", "hits", "version"} <= set(signature)
        assert parse_signature(format_signature(signature, short=True)) == signature
        check_signature(origin, path)
        del signature["run"]
        texts[format_signature(signature)].add(origin["sha256"])
    assert texts and all(len(hashes) == 1 for hashes in texts.values())


@pytest.fixture
def run(tmp_path):
    path = tmp_path / "run.trec"
    path.write_text("q1 Q0 d1 1 1.0 bm25\n")
    return path


def test_the_provenance_of_a_run_has_its_signature(run):
    write_origin(run, settings=ORIGIN["settings"], is_run=True)
    path = run.with_name("run.trec.json")
    origin = json.loads(path.read_text("utf-8"))
    check_signature(origin, path)
    stored = parse_signature(origin["signature"])
    assert stored == {key: value for key, value in read_signature(run).items() if key != "run"}
    origin["settings"]["hits"] = 10
    with pytest.raises(DataError, match=r"signature: found hits:1000, expected '10' by the rest"):
        check_signature(origin, path)


def test_a_packed_run_keeps_its_signature(run):
    write_origin(run, settings={"tag": "bm25"}, is_run=True)
    expected = read_signature(run)
    packed = run.with_name("run.trec.gz")
    packed.write_bytes(gzip.compress(run.read_bytes()))
    assert read_signature(packed) == expected
    write_origin(packed, settings={"tag": "packed"}, is_run=True)
    assert read_signature(packed)["system"] == "packed"


def test_a_run_of_another_engine_is_known_by_its_hash(run):
    assert list(read_signature(run)) == ["run"]


def test_the_provenance_of_another_run_is_refused(run):
    write_origin(run, settings={}, facts={"sha256": "0" * 64}, is_run=True)
    with pytest.raises(DataError, match=r"expected the provenance of run.trec, SHA-256"):
        read_signature(run)
    for text in ("{", "[]"):
        run.with_name("run.trec.json").write_text(text)
        with pytest.raises(DataError, match="expected"):
            read_signature(run)
