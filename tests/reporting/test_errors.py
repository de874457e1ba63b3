"""Bad input: errors that say what to do, and never half a report."""

import re
from dataclasses import replace

import pytest

from optical_ir.errors import ConfigError, DataError, OpticalError
from optical_ir.records import Qrel, ScoredDoc
from optical_ir.reporting import ReportInputs, write, write_report
from optical_ir.trec import write_qrels, write_run


def base(output) -> ReportInputs:
    return ReportInputs([output], baseline="zero-shot", measures=("RR@10",), n_permutations=50)


def spoil(path, old, new):
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")


def drop_qrels(output):
    (output / "qrels/qrels.toy-sw.txt").unlink()


def ask_others(output):
    qrels = [Qrel(f"x{number}", "d", 1) for number in range(3)]
    known = (output / "qrels/qrels.toy-sw.txt").read_text("utf-8")
    write_qrels(output / "qrels/qrels.toy-sw.txt", qrels, overwrite=True)
    spoil(output / "qrels/qrels.toy-sw.txt", "x0 0", known + "x0 0")
    run = {"x0": [ScoredDoc("x0", "d", 1.0)]}
    write_run(output / "runs/run.toy-sw.bm25.trec", run, tag="bm25", overwrite=True)
    for origin in (output / "runs").glob("*.json"):
        origin.unlink()


def spoil_origin(output):
    spoil(output / "runs/run.toy-sw.bm25.trec.json", "{", "{,")


def change_run(output):
    spoil(output / "runs/run.toy-sw.bm25.trec.json", '"seed"', '"sha256": "0", "seed"')


def spoil_run(output):
    spoil(output / "runs/run.toy-sw.bm25.trec", " Q0 ", " ")


def spoil_log(output):
    spoil(output / "students/optical/log.jsonl", "}", "")


def forget_steps(output):
    spoil(output / "students/optical/log.jsonl", '"step"', '"stop"')


def empty_runs(output):
    for path in (output / "runs").iterdir():
        path.unlink()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (drop_qrels, r"qrels\.toy-sw\.txt, found none.*--qrels"),
        (ask_others, "expected queries that .* answers, such as 'q0', found others.*'x0'"),
        (spoil_origin, "run.toy-sw.bm25.trec.json: expected JSON"),
        (change_run, "sha256: found '0', recomputed"),
        (spoil_run, "line 1: expected 6 fields"),
        (spoil_log, "log.jsonl, line 1: expected JSON"),
        (forget_steps, "line 1: expected an object with the number of a step"),
        (empty_runs, "expected a run, or a folder of runs"),
    ],
)
def test_damaged_files_are_errors_and_nothing_is_written(output, tmp_path, change, said):
    change(output)
    with pytest.raises(OpticalError, match=said):
        write_report(base(output), tmp_path / "r.html")
    assert not [*tmp_path.glob("r.*")]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"systems": ["optical", "colbert"]}, "Expected runs of colbert, found runs of bm25"),
        ({"baseline": "colbert"}, "Expected a run of the baseline 'colbert' for 'toy-mr'"),
        ({"measures": ("nDCG@ten",)}, "Unknown measure 'nDCG@ten'"),
        ({"collections": ["x=demo"]}, "--collection x=demo: expected the collection of a run"),
        ({"topics": ["x=a.tsv"]}, "--topics x=a.tsv: expected the key of a run"),
        ({"translations": ["none.tsv"]}, "none.tsv"),
    ],
)
def test_settings_that_fit_nothing_are_errors(output, tmp_path, more, said):
    with pytest.raises(ConfigError, match=said):
        write_report(replace(base(output), **more), tmp_path / "r.html")
    assert not [*tmp_path.glob("r.*")]


def test_topics_must_have_every_judged_query(output, tmp_path):
    topics = output.parent / "toy/topics.sw.tsv"
    spoil(topics, "q3\t", "q99\t")
    with pytest.raises(DataError, match="no text of 1 of them, such as 'q3'"):
        write_report(replace(base(output), topics=[f"toy-sw={topics}"]), tmp_path / "r.html")


def test_topics_of_several_keys_must_be_told_apart(output, tmp_path):
    topics = str(output.parent / "toy/topics.sw.tsv")
    with pytest.raises(ConfigError, match=re.escape(f"toy-mr={topics}")):
        write_report(replace(base(output), topics=[topics]), tmp_path / "r.html")


def test_a_collection_must_have_the_documents(output, tmp_path):
    spoil(output.parent / "toy/corpus.jsonl", '"d0"', '"e0"')
    given = replace(base(output), collections=[str(output.parent / "toy")])
    with pytest.raises(DataError, match="found no 'd0'"):
        write_report(given, tmp_path / "r.html")


def test_runs_of_another_name_need_their_judgements_named(output, tmp_path):
    run = output.parent / "mine.txt"
    run.write_bytes((output / "runs/run.toy-sw.bm25.trec").read_bytes())
    given = ReportInputs([run], measures=("RR@10",))
    with pytest.raises(ConfigError, match="--qrels"):
        write_report(given, tmp_path / "r.html")
    given = replace(given, qrels=output / "qrels/qrels.toy-sw.txt")
    page, _ = write_report(given, tmp_path / "r.html")
    assert "no provenance beside the run" in page.read_text("utf-8")


@pytest.mark.parametrize("name", ["r", "r.pdf", "r.txt"])
def test_the_output_is_a_page(output, tmp_path, name):
    with pytest.raises(ConfigError, match=r"\.html"):
        write_report(base(output), tmp_path / name)


def test_what_exists_is_kept(output, tmp_path):
    (tmp_path / "r.pdf").write_text("mine")
    with pytest.raises(ConfigError, match="--overwrite"):
        write_report(base(output), tmp_path / "r.html")
    assert (tmp_path / "r.pdf").read_text() == "mine" and not (tmp_path / "r.html").exists()
    write_report(base(output), tmp_path / "r.html", overwrite=True)
    assert (tmp_path / "r.pdf").read_bytes().startswith(b"%PDF")


def test_a_failure_leaves_no_half_report(output, tmp_path, monkeypatch):
    def fail(content):
        raise OSError("disk on fire")

    monkeypatch.setattr(write, "render_pdf", fail)
    with pytest.raises(OSError, match="fire"):
        write_report(base(output), tmp_path / "r.html")
    assert not [*tmp_path.glob("r.*")]
