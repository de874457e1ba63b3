"""The verb fuse: what it writes, with which provenance, and what it refuses."""

import json

import pytest

from optical_ir.trec import read_run


@pytest.fixture
def dev(tmp_path):
    """Give judgements and two runs of dev queries, of which the second run is right."""
    (tmp_path / "dev.qrels").write_text("q8 0 a 1\nq9 0 b 1\n")
    (tmp_path / "dev.one").write_text("q8 Q0 b 1 2 x\nq8 Q0 a 2 1 x\nq9 Q0 a 1 2 x\n")
    (tmp_path / "dev.two").write_text("q8 Q0 a 1 2 y\nq8 Q0 b 2 1 y\nq9 Q0 b 1 2 y\n")
    return [tmp_path / f"dev.{name}" for name in ("qrels", "one", "two")]


def fused(output):
    run = {query: [row.doc_id for row in rows] for query, rows in read_run(output).items()}
    return run, json.loads(output.with_name(output.name + ".json").read_text())


def test_reciprocal_ranks_are_the_default(cli, judged, tmp_path):
    output = tmp_path / "fused.trec"
    done = cli("fuse", *judged[1:], "--output", output, "--rrf-k", 20, "--hits", 1)
    assert (done.code, done.out) == (0, "")
    run, origin = fused(output)
    assert run == {"q1": ["b"], "q2": ["b"]}
    settings = origin["settings"]
    assert (settings["method"], settings["rrf_k"], settings["tag"]) == ("rrf", 20, "rrf")
    assert origin["inputs"]["run 1"]["name"] == "run.demo.good.trec"
    assert set(origin["inputs"]) == {"run 1", "run 2"}
    assert "exists" in cli("fuse", *judged[1:], "--output", output).error


def test_weights_are_tuned_on_dev_and_written_down(cli, dev, tmp_path):
    (tmp_path / "one").write_text("q1 Q0 c 1 2 x\nq1 Q0 d 2 1 x\n")
    (tmp_path / "two").write_text("q1 Q0 d 1 2 y\nq1 Q0 c 2 1 y\nq2 Q0 e 1 1 y\n")
    qrels, *tune_runs = dev
    done = cli(
        *("fuse", tmp_path / "one", tmp_path / "two", "--method", "wsum", "--tag", "both"),
        *("--tune-qrels", qrels, "--tune-run", tune_runs[0], "--tune-run", tune_runs[1]),
        *("--output", tmp_path / "fused"),
    )
    assert done.code == 0, done.err
    run, origin = fused(tmp_path / "fused")
    assert run == {"q1": ["d", "c"], "q2": ["e"]}
    assert origin["settings"]["weights"][1] > 0.5
    assert sum(origin["settings"]["weights"]) == pytest.approx(1)
    assert set(origin["inputs"]) == {"run 1", "run 2", "tune_run 1", "tune_run 2", "tune_qrels"}


def test_what_cannot_be_is_refused(cli, judged, dev, tmp_path):
    runs, (qrels, *tune_runs) = judged[1:], dev
    tuning = [*("--tune-qrels", qrels), *(f"--tune-run={path}" for path in tune_runs)]
    wsum = ("fuse", *runs, "--output", tmp_path / "x", "--method", "wsum")
    assert "a --tune-run for each of 2 runs" in cli(*wsum, *tuning[:-1]).error
    assert "a --tune-run for each of 2 runs" in cli(*wsum, "--tune-qrels", qrels).error
    assert "expected --weight or --tune-qrels" in cli(*wsum, *tuning, "--weight", 1).error
    assert "as many weights as runs" in cli(*wsum, "--weight", 1).error
    same = (*tuning[:-1], "--tune-run", runs[1])
    assert "tuning on other queries" in cli(*wsum, *same).error
    assert "two runs or more" in cli("fuse", runs[0], "--output", tmp_path / "x").error
    assert "expected one of rrf, wsum" in cli(*wsum[:-1], "combsum").error
    assert not (tmp_path / "x").exists()
