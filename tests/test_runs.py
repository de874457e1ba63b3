"""The committed runs are well formed and belong to committed judgements."""

import json
import re
from pathlib import Path

import pytest

from optical_ir.evaluation import evaluate
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


def readme_tables():
    """Yield (key, system, n_queries, nDCG@10, R@100) of each filled cell of the results tables."""
    section = (ROOT / "README.md").read_text("utf-8").partition("## Results")[2]
    keys, counts = [], []
    for line in section.partition("\n## ")[0].splitlines():
        cells = [cell.strip().strip("`") for cell in line.strip("|").split("|")]
        if cells[0] == "system":
            keys = cells[1:]
        elif cells[0] == "queries":
            counts = list(map(int, cells[1:]))
        elif keys and re.match(r"[a-z0-9-]+$", cells[0]) and "/" in line:
            for key, count, cell in zip(keys, counts, cells[1:], strict=True):
                if cell:
                    yield (key, cells[0], count, *re.findall(r"\d\.\d{4}", cell))


def run_of(key, system):
    name = "optical-*" if system == "optical" else system
    (found,) = (ROOT / "runs").glob(f"run.{key}.{name}.trec.gz")
    return found


@pytest.mark.parametrize(
    ("key", "system", "n_queries", "ndcg", "recall"), list(readme_tables()), ids=str
)
def test_figures_of_the_readme_come_from_the_runs(key, system, n_queries, ndcg, recall):
    qrels = read_qrels(ROOT / "qrels" / f"qrels.{key}.txt")
    query_ids = {qrel.query_id for qrel in qrels}
    if n_queries < len(query_ids):  # those that the machine translation covers
        query_ids = set(read_run(run_of(key, "teacher-nllb600m")))
    assert len(query_ids) == n_queries
    run = {qid: rows for qid, rows in read_run(run_of(key, system)).items() if qid in query_ids}
    kept = [qrel for qrel in qrels if qrel.query_id in query_ids]
    means = evaluate(kept, run, measures=("nDCG@10", "R@100")).mean()
    assert f"{means['nDCG@10']:.4f}" == ndcg
    assert f"{means['R@100']:.4f}" == recall


def test_the_readme_has_results():
    assert len(list(readme_tables())) > 30
