"""The committed runs, their judgements and the tables that report them agree."""

from pathlib import Path

from optical_ir.evaluation import verify

ROOT = Path(__file__).resolve().parent.parent


def test_the_reported_runs_and_figures_verify():
    done = verify(ROOT / "runs")
    assert done.n_runs == len(list((ROOT / "runs").glob("run.*.trec.gz"))) > 0
    assert done.n_qrels_files == len(list((ROOT / "qrels").glob("qrels.*.txt"))) > 0
    assert done.n_tables >= 2
    assert done.n_figures > 60
