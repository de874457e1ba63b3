"""The verbs on other engines: an index goes there and its runs are those of search."""

import json

import pytest

from optical_ir.signatures import parse_signature
from optical_ir.stages import index_hash, weights_hash
from optical_ir.trec import read_run


def test_a_run_of_lancedb_is_that_of_search(cli, work, tmp_path):
    pytest.importorskip("lancedb", reason="the lancedb extra is not installed")
    address = f"lancedb:{tmp_path}/stores/english"
    common = ["--encoder", work / "student-sw", "--topics", work / "demo" / "topics.sw.tsv"]
    exporting = ["export-index", "--index", work / "index", "--to", address]
    done = cli(*exporting)
    assert done.out == "132 written, 0 there already, 0 removed\n", done.err
    assert cli(*exporting).out == "0 written, 132 there already, 0 removed\n"
    found, expected = tmp_path / "found.trec", tmp_path / "expected.trec"
    done = cli("search-exported", "--index", address, *common, "--output", found, "--hits", "10")
    assert done.code == 0, done.err
    done = cli("search", "--index", work / "index", *common, "--output", expected, "--hits", "132")
    assert done.code == 0, done.err
    expected_run = read_run(expected)
    for query_id, rows in read_run(found).items():
        scores = {row.doc_id: row.score for row in expected_run[query_id]}
        assert len(rows) == 10
        # LanceDB divides by the norms of the rounded vectors: ties may change places.
        assert [scores[row.doc_id] for row in rows] == pytest.approx(
            [row.score for row in expected_run[query_id][:10]], rel=2e-3
        )
    files = [tmp_path / f"{name}.trec.json" for name in ("found", "expected")]
    origins = [json.loads(file.read_text()) for file in files]
    assert [origin["encoder_sha256"] for origin in origins] == 2 * [weights_hash(common[1])]
    own = index_hash(work / "index")
    assert origins[1]["index_sha256"] == own
    signed = [parse_signature(origin["signature"]) for origin in origins]
    # Signatures tell no paths.
    found_in, expected_in = (signature["index"] for signature in signed)
    assert (found_in, expected_in) == ("lancedb:english", own[:12])
    assert "exists" in cli("search-exported", "--index", address, *common, "--output", found).error


def test_other_addresses_are_refused(cli, work, tmp_path):
    done = cli("export-index", "--index", work / "index", "--to", "faiss:x/y")
    assert "expected ENGINE:PLACE/NAME" in done.error
    topics = work / "demo" / "topics.sw.tsv"
    done = cli(
        *("search-exported", "--index", f"vespa:{tmp_path}/english", "--encoder", "none"),
        *("--topics", topics, "--output", tmp_path / "run.trec"),
    )
    assert "is a folder. Feed it to a server" in done.error
