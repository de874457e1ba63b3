"""Compressing an index and searching it in two stages, from the command line."""

import json
import shutil

import pytest

from optical_ir.retrieval.index import MultiVectorIndex
from optical_ir.trec import read_run


@pytest.fixture(scope="module")
def compressed(work, tmp_path_factory):
    """Give an index with token codes."""
    from tests.cli.conftest import run_main

    index = tmp_path_factory.mktemp("compressed") / "index"
    shutil.copytree(work / "index", index)
    assert run_main("compress", "--index", index, "--code-bytes", 8, "--threads", 1) == 0
    return index


def search(cli, work, index, output, *options: object):
    topics = work / "demo" / "topics.sw.tsv"
    given = ("--index", index, "--topics", topics, "--encoder", work / "student-sw")
    return cli("search", *given, "--output", output, *options)


def test_candidates_of_all_documents_write_the_run_of_exact_search(cli, work, compressed, tmp_path):
    for name, options in (("exact", ()), ("two", ("--candidates", 1000, "--threads", 1))):
        assert search(cli, work, compressed, tmp_path / name, *options).code == 0
    assert (tmp_path / "exact").read_text() == (tmp_path / "two").read_text()


def test_candidates_bound_the_documents_found(cli, work, compressed, tmp_path):
    done = search(cli, work, compressed, tmp_path / "run", "--candidates", 20)
    assert (done.code, done.out) == (0, "")
    assert {len(rows) for rows in read_run(tmp_path / "run").values()} == {20}
    assert json.loads((tmp_path / "run.json").read_text())["settings"]["candidates"] == 20


@pytest.mark.parametrize("options", [(), ("--candidates", 10)], ids=["exact", "two-stage"])
def test_only_allowed_documents_are_found(cli, work, compressed, tmp_path, options):
    allowed = MultiVectorIndex.open(compressed).doc_ids[3:40:2]
    (tmp_path / "ids").write_text("".join(f"{doc_id}\n" for doc_id in allowed))
    found = ("--doc-ids", tmp_path / "ids", *options)
    assert search(cli, work, compressed, tmp_path / "run", *found).code == 0
    run = read_run(tmp_path / "run")
    assert all(len(rows) == (10 if options else len(allowed)) for rows in run.values())
    assert {row.doc_id for rows in run.values() for row in rows} <= set(allowed)
    origin = json.loads((tmp_path / "run.json").read_text())
    assert "sha256" in origin["inputs"]["doc_ids"]


def test_unknown_document_ids_are_refused(cli, work, compressed, tmp_path):
    (tmp_path / "ids").write_text("nowhere\n")
    done = search(cli, work, compressed, tmp_path / "run", "--doc-ids", tmp_path / "ids")
    assert "are not in index" in done.error


def test_an_index_without_codes_names_the_verb(cli, work, tmp_path):
    done = search(cli, work, work / "index", tmp_path / "run", "--candidates", 10)
    assert f"optical-ir compress --index {work / 'index'}" in done.error


def test_codes_are_not_replaced_unasked(cli, compressed):
    assert "--overwrite" in cli("compress", "--index", compressed).error


def test_other_indexes_have_no_candidates(cli, work, tmp_path):
    done = cli(
        *("search", "--index", tmp_path, "--topics", work / "demo" / "topics.sw.tsv"),
        *("--output", tmp_path / "run", "--candidates", 10),
    )
    assert "expected a multi-vector index for --candidates or --doc-ids" in done.error


def test_verify_index_checks_the_codes_too(cli, compressed, tmp_path):
    index = tmp_path / "index"
    shutil.copytree(compressed, index)
    assert cli("verify-index", "--index", index).code == 0
    path = index / "ann" / "entry_codes.bin"
    raw = path.read_bytes()
    path.write_bytes(raw[:-1] + bytes([raw[-1] ^ 1]))
    assert "entry_codes.bin" in cli("verify-index", "--index", index).error
