"""The committed runs are well formed and belong to committed judgements."""

import json
import re
from pathlib import Path

import pytest

from optical_ir.files import iter_lines
from optical_ir.trec import read_qrels, read_run

ROOT = Path(__file__).resolve().parent.parent
RUNS = sorted((ROOT / "runs").glob("run.*.trec.gz"))


def parts(run):
    """Key and system of run.KEY.SYSTEM.trec.gz; the key has a qrels file."""
    name = run.name.removeprefix("run.").removesuffix(".trec.gz")
    key, _, system = name.rpartition(".")
    return key, system


@pytest.mark.parametrize("run", RUNS, ids=lambda run: run.name)
def test_rows_are_ranked_and_belong_to_the_judgements(run):
    key, system = parts(run)
    judged = {qrel.query_id for qrel in read_qrels(ROOT / "qrels" / f"qrels.{key}.txt")}
    assert judged >= set(read_run(run))
    before = None
    for _, line in iter_lines(run):
        query_id, _, _, rank, score, tag = line.split()
        assert tag == system
        if before and before[0] == query_id:
            assert int(rank) == before[1] + 1
            assert float(score) < before[2]
        else:
            assert int(rank) == 1
        before = (query_id, int(rank), float(score))


@pytest.mark.parametrize("run", RUNS, ids=lambda run: run.name)
def test_every_run_says_where_it_comes_from(run):
    origin = json.loads(run.with_suffix(".json").read_text("utf-8"))
    _, system = parts(run)
    assert origin["settings"]["system"] == system
    assert origin["versions"]["optical-ir"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT.*", origin["created"])


def test_every_judged_task_has_runs():
    keys = {
        path.name.removeprefix("qrels.").removesuffix(".txt") for path in (ROOT / "qrels").glob("*")
    }
    assert {parts(run)[0] for run in RUNS} <= keys
    assert RUNS, "runs/ holds the reported runs"
