"""Every stage from the command line, on a tiny encoder."""

import json
from itertools import pairwise
from pathlib import Path

import pytest

from optical_ir.collections import load_collection
from optical_ir.errors import DependencyError
from optical_ir.files import sha256_file
from optical_ir.provenance import write_origin
from optical_ir.retrieval.java import start_jvm
from optical_ir.trec import read_qrels, read_run


def check_run(path: Path, *, tag: str, queries: int, hits: int) -> None:
    """Rows in TREC's form: true tag, ranks from 1, strictly decreasing scores, provenance."""
    rows = [line.split() for line in path.read_text().splitlines()]
    assert {row[5] for row in rows} == {tag}
    by_query: dict[str, list[list[str]]] = {}
    for row in rows:
        by_query.setdefault(row[0], []).append(row)
    assert len(by_query) == queries
    for own in by_query.values():
        assert len(own) == hits == len({row[2] for row in own})
        assert [int(row[3]) for row in own] == list(range(1, hits + 1))
        scores = [float(row[4]) for row in own]
        assert all(later < earlier for earlier, later in pairwise(scores))
    origin = json.loads(Path(f"{path}.json").read_text())
    assert origin["command"].startswith("optical-ir search")
    assert origin["settings"]["tag"] == tag
    assert len(origin["inputs"]["topics"]["sha256"]) == 64


def test_prepared_demo_loads(work):
    collection = load_collection(work / "demo", topics="sw")
    assert len(list(collection.iter_docs())) == collection.n_docs
    queries = {query.query_id for query in collection.iter_queries()}
    assert {qrel.query_id for qrel in collection.iter_qrels()} == queries
    assert (collection.doc_lang, collection.query_lang) == ("en", "sw")


def test_student_says_where_it_comes_from(work, bitext):
    origin = json.loads((work / "student-sw" / "optical.json").read_text())["origin"]
    assert origin["settings"]["query_lang"] == "sw"
    assert origin["settings"]["max_steps"] == 3
    assert origin["inputs"]["bitext"]["sha256"] == sha256_file(bitext)


@pytest.mark.parametrize("encoder", ["teacher", "student-sw"])
def test_search_writes_a_run_with_its_provenance(cli, work, tmp_path, encoder):
    run = tmp_path / "runs" / f"run.demo-sw.{encoder}.trec"
    done = cli(
        *("search", "--index", work / "index", "--topics", work / "demo" / "topics.sw.tsv"),
        *("--encoder", work / encoder, "--hits", "7", "--output", run),
    )
    assert (done.code, done.out) == (0, "")
    check_run(run, tag=encoder, queries=48, hits=7)


def test_search_with_a_trailing_slash_and_the_same_seed_gives_the_same_bytes(cli, work, tmp_path):
    runs = [tmp_path / name for name in ("a.trec", "b.trec")]
    for run, encoder in zip(runs, (f"{work}/student-sw", f"{work}/student-sw/"), strict=True):
        arguments = ("--topics", work / "demo" / "topics.sw.tsv", "--hits", "3", "--output", run)
        assert cli("search", "--index", work / "index", "--encoder", encoder, *arguments).code == 0
    assert runs[0].read_bytes() == runs[1].read_bytes()


@pytest.mark.java
def test_bm25_from_index_to_run(cli, work, tmp_path):
    try:
        start_jvm()
    except DependencyError as err:
        pytest.skip(str(err))
    index, run = tmp_path / "bm25", tmp_path / "run.demo-en.bm25.trec"
    topics = tmp_path / "topics.tsv"
    topics.write_text("q1\tstorms strip plants on hillsides\nq2\tcompost heap of green waste\n")
    assert cli("index", "--collection", work / "demo", "--output", index).code == 0
    done = cli("search", "--index", index, "--topics", topics, "--hits", "3", "--output", run)
    assert (done.code, done.out) == (0, "")
    check_run(run, tag="bm25", queries=2, hits=3)
    assert [rows[0].doc_id for rows in read_run(run).values()] == ["d1", "d3"]
    index_before = sha256_file(index / "index.json")
    refused = cli("index", "--collection", work / "demo", "--output", index)
    assert "exists" in refused.error
    assert sha256_file(index / "index.json") == index_before


def test_evaluate_prints_what_can_be_counted_by_hand(cli, judged):
    done = cli("evaluate", *judged, "-m", "P@1", "-m", "RR", "--format", "tsv")
    assert done.code == 0
    rows = [line.split("\t") for line in done.out.splitlines()]
    assert rows[0] == ["system", "measure", "n_queries", "mean"]
    assert rows[1:] == [
        ["demo.good", "P@1", "2", "1.0"],
        ["demo.good", "RR", "2", "1.0"],
        ["demo.bad", "P@1", "2", "0.0"],
        ["demo.bad", "RR", "2", "0.0"],
    ]


@pytest.mark.parametrize("verb", ["evaluate", "compare"])
@pytest.mark.parametrize("format", ["text", "markdown", "latex", "json", "tsv"])
def test_every_format_has_both_systems_in_the_order_given(cli, judged, verb, format):
    done = cli(verb, *judged, "-m", "P@1", "--format", format)
    assert done.code == 0
    assert 0 <= done.out.index("demo.good") < done.out.index("demo.bad")
    if format == "json":
        assert json.loads(done.out)["means"]["demo.good"]["P@1"] == 1.0


def test_runs_of_the_same_file_name_are_told_apart_by_path(cli, judged, tmp_path):
    other = tmp_path / "other" / judged[1].name
    other.parent.mkdir()
    other.write_text(judged[2].read_text())
    done = cli("evaluate", judged[0], judged[1], other, "-m", "P@1", "--format", "json")
    assert list(json.loads(done.out)["means"]) == [str(judged[1]), str(other)]


def test_a_run_given_twice_is_refused(cli, judged):
    assert "twice" in cli("compare", judged[0], judged[1], judged[1]).error


@pytest.fixture
def reported(tmp_path):
    """Give a folder with one run and its judgements, each with provenance."""
    for name, text in (
        ("qrels/qrels.demo-sw.txt", "q1 0 a 1\nq2 0 b 1\n"),
        ("runs/run.demo-sw.bm25.trec", "q1 Q0 a 1 2.0 bm25\nq2 Q0 a 1 2.0 bm25\n"),
    ):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(text)
        write_origin(tmp_path / name, settings={"system": "bm25"})
    return tmp_path


def test_verify_counts_what_it_checked(cli, reported):
    table = "| system | demo-sw |\n|---|---|\n| bm25 | 0.5000 |\n"
    (reported / "README.md").write_text(f"<!-- runs: RR -->\n{table}")
    done = cli("verify", reported / "runs")
    assert (done.code, done.err) == (0, "")
    assert done.out == "Verified runs: 1, judgement files: 1, tables: 1, figures: 1.\n"
    (reported / "README.md").rename(reported / "wrong.md").write_text(
        f"<!-- runs: P@1 / RR -->\n{table.replace('0.5000', '0.5000 / 0.7500')}"
    )
    done = cli("verify", reported / "runs", "--tables", reported / "wrong.md")
    assert done.error == (
        f"{reported}/wrong.md, line 4: 'bm25' under 'demo-sw': RR: found 0.7500, recomputed 0.5000 "
        f"from {reported}/runs/run.demo-sw.bm25.trec. Correct the figure, or restore the run."
    )


def test_verify_says_that_no_table_is_marked(cli, reported):
    qrels = (reported / "qrels").rename(reported / "judged")
    done = cli("verify", reported / "runs", "--qrels", qrels)
    assert done.out.splitlines() == [
        "Verified runs: 1, judgement files: 1, tables: 0, figures: 0.",
        "No table is marked <!-- runs: MEASURE / MEASURE -->, so no figure was checked.",
    ]
    assert "expected a folder of runs" in cli("verify", reported / "judged").error


def test_qrels_can_come_from_the_prepared_folder(cli, work, needed, tmp_path):
    """A judged run over the demo gives a value for every query."""
    run = tmp_path / "run.demo.teacher.trec"
    assert cli(*needed("search", run)).code == 0
    qrels = work / "demo" / "qrels.sw.txt"
    done = cli("evaluate", qrels, run, "--format", "json", "--per-query")
    values = json.loads(done.out)["per_query"]["demo.teacher"]
    assert set(values) == {qrel.query_id for qrel in read_qrels(qrels)}
    assert set(values["q1"]) == {"nDCG@10", "AP", "RR@10", "R@100"}
