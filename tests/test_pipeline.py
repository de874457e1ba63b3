"""Experiments end to end on a tiny encoder: results, resumption, refusals."""

import dataclasses
import json
import logging
import re
import shutil
import sys
from pathlib import Path
from typing import Self

import pytest

from optical_ir.cli import main
from optical_ir.collections import load_collection, read_bitext
from optical_ir.errors import ConfigError, DataError, DependencyError
from optical_ir.evaluation import evaluate, verify
from optical_ir.experiment_file import read_experiment
from optical_ir.files import sha256_file
from optical_ir.models import read_description
from optical_ir.pipeline import Pipeline
from optical_ir.psq_lexicons import psq_lexicons
from optical_ir.records import BitextPair, Query, ScoredDoc
from optical_ir.reporting import ReportInputs, write_report
from optical_ir.retrieval.two_stage import search_tokens
from optical_ir.signatures import sign_origin
from optical_ir.systems import run_systems
from optical_ir.training_data import bitext_parts, settings_of_training, switched_parts
from optical_ir.trec import read_qrels, read_run

DOCS = [
    "the cat sees the red bird near the house",
    "a big dog eats under the tree",
    "the small cat and the big dog",
    "old house near the water",
    "a bird sees a red tree",
    "water under the old house",
]
QUERIES = {"q1": "paka ona ndege", "q2": "mbwa kubwa", "q3": "nyumba zee", "q4": "maji chini"}
ENGLISH = {"q1": "cat sees bird", "q2": "big dog", "q3": "old house", "q4": "water under"}
WORDS = list(zip("paka mbwa ndege nyumba maji".split(), "cat dog bird house water".split()))  # noqa: B905
SYSTEMS = ["optical-sw", "zero-shot", "teacher-part", "teacher-human", "bm25", "bm25-part"]
SYSTEMS += ["bm25-human", "optical-sw-fusion-part", "optical-sw-fusion-human"]

TOML = """
name = "small"
measures = ["RR@10", "R@3"]
hits = 4

[teacher]
encoder = "{encoder}"
center_on = "tiny"

[collections.tiny]
licence = "CC0"

[languages.sw]
bitext = "bitext.tsv"

[students.optical]
each = true
max_steps = 3
batch_size = 4
dev_pairs = 4
save_every = 2

[[tasks]]
collection = "tiny"
topics = "sw"
query_lang = "sw"
translations = {{ part = "tiny/part.tsv", human = "tiny/topics.en.tsv" }}
"""


COLLECTION = """[collections.tiny]
name = """


class WordIndex:
    """Stands for BM25 where there is no Java: counts common words."""

    def __init__(self, folder) -> None:
        self.folder = folder
        self.docs = json.loads((folder / "docs.json").read_text())

    @classmethod
    def build(cls, docs, folder) -> Self:
        """Keep the documents as they are."""
        folder.mkdir(parents=True)
        (folder / "docs.json").write_text(json.dumps(list(docs)))
        (folder / "index.json").write_text('{"corpus_sha256": "0"}')
        return cls(folder)

    def search(self, queries, k):
        """Give the documents with a word of the query."""
        run = {}
        for query_id, text in queries:
            counts = {doc: len(set(text.split()) & set(body.split())) for doc, body in self.docs}
            run[query_id] = [ScoredDoc(query_id, doc, n) for doc, n in counts.items() if n][:k]
        return run

    def close(self):
        """Have nothing to close."""


@pytest.fixture(scope="module")
def data(plain_folder, tmp_path_factory):
    """Give the input of the experiment, and its file."""
    folder = tmp_path_factory.mktemp("data")
    tiny = folder / "tiny"
    tiny.mkdir()
    records = (json.dumps({"id": f"d{n}", "contents": text}) for n, text in enumerate(DOCS))
    (tiny / "corpus.jsonl").write_text("".join(f"{record}\n" for record in records))
    for name, queries in (("sw", QUERIES), ("en", ENGLISH)):
        lines = [f"{query_id}\t{text}\n" for query_id, text in queries.items()]
        (tiny / f"topics.{name}.tsv").write_text("".join(lines))
    (tiny / "part.tsv").write_text("q2\tlarge dog\nq3\told home\n")
    (tiny / "qrels.txt").write_text("q1 0 d0 2\nq2 0 d1 2\nq3 0 d3 2\nq3 0 d5 1\nq4 0 d5 2\n")
    pairs = [f"{a} na {b}\t{c} and {d}\n" for a, c in WORDS for b, d in WORDS]
    (folder / "bitext.tsv").write_text("".join(pairs))
    (folder / "small.toml").write_text(TOML.format(encoder=plain_folder))
    return folder


def do_without_java(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("optical_ir.pipeline.Bm25Index", WordIndex)
    for name in ("find_java", "find_anserini_jar"):
        patch.setattr(f"optical_ir.pipeline.{name}", lambda: None)


@pytest.fixture
def word_index(monkeypatch):
    do_without_java(monkeypatch)


@pytest.fixture(scope="module")
def finished(data, tmp_path_factory):
    """Give the output of one whole run, to be copied and not changed."""
    output = tmp_path_factory.mktemp("finished") / "out"
    with pytest.MonkeyPatch.context() as patch:
        do_without_java(patch)
        assert reproduce(data / "small.toml", data, output) == 0
    return output


@pytest.fixture
def copied(finished, tmp_path, word_index, monkeypatch):
    """Give a copy of a finished output, which the test may change; curves are not drawn again."""
    monkeypatch.setattr("optical_ir.training.distillation.plot_curves", lambda log, path: None)
    return shutil.copytree(finished, tmp_path / "out")


def reproduce(experiment: Path, data: Path, output: Path, *more: str) -> int:
    """Run `optical-ir reproduce` in this process; give its exit code."""
    logger = logging.getLogger("optical_ir")
    level = logger.level
    command = ["optical-ir", "reproduce", experiment, "--data", data, "--output", output, *more]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", list(map(str, command)))
        with pytest.raises(SystemExit) as ended:
            main()
    logger.setLevel(level)
    return int(ended.value.code or 0)


def contents(folder: Path) -> dict[str, bytes]:
    """Bytes of what must come out the same each time."""
    kept = [*folder.glob("runs/*.trec"), *folder.glob("qrels/*.txt")]
    kept += [*folder.glob("index/*/*.bin"), *folder.glob("report.*.tsv")]
    kept += folder.glob("students/*/model.safetensors")
    found = {
        str(path.relative_to(folder)): path.read_bytes()
        for path in kept
        if path.parent.suffix != ".tmp"
    }
    # Costs are in seconds, which differ.
    reports = {path.name: path.read_bytes() for path in folder.glob("report.*.md")}
    return found | {name: text.partition(b"## Costs")[0] for name, text in reports.items()}


def interrupt(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def times(folder: Path) -> dict[str, int]:
    return {
        str(path.relative_to(folder)): path.stat().st_mtime_ns
        for path in folder.rglob("*")
        if not path.name.startswith("report.") and path != folder
    }


def test_every_system_leaves_a_run_with_its_tag_and_origin(finished):
    runs = {path.name.split(".")[2]: path for path in (finished / "runs").glob("*.trec")}
    assert set(runs) == set(SYSTEMS)
    for system, path in runs.items():
        assert path.name == f"run.tiny-sw.{system}.trec"
        scores: dict[str, float] = {}
        for line in path.read_text().splitlines():
            query_id, _, _, _, score, tag = line.split()
            assert tag == system
            assert float(score) < scores.get(query_id, float("inf"))
            scores[query_id] = float(score)
        origin = json.loads(Path(f"{path}.json").read_text())
        assert origin["settings"]["system"] == system
        assert origin["command"].startswith("optical-ir reproduce")
        assert f"|system:{system}|" in origin["signature"]
        assert ("|lucene:" in origin["signature"]) == system.startswith("bm25")


def times_of_files(folder: Path) -> dict[str, int]:
    return {name: time for name, time in times(folder).items() if (folder / name).is_file()}


def test_a_labelled_experiment_leaves_its_files_beside_the_others(copied, data):
    before = times_of_files(copied)
    assert reproduce(data / "small.toml", data, copied, "--label", "gpu") == 0
    after = times_of_files(copied)
    assert {name: after.get(name) for name in before} == before, "nothing made again"
    new = {name for name in after if name not in before}
    plain = {f"runs/run.tiny-sw.{system}.trec" for system in SYSTEMS} | {"qrels/qrels.tiny-sw.txt"}
    assert new == {
        f"{name.replace('tiny-', 'tiny-gpu-')}{end}" for name in plain for end in ("", ".json")
    }
    for name in plain:
        labelled = copied / name.replace("tiny-", "tiny-gpu-")
        assert labelled.read_bytes() == (copied / name).read_bytes()
    assert (copied / "report.small-gpu.md").exists()


def test_the_output_verifies(finished):
    assert verify(finished / "runs") == (len(SYSTEMS), 1, 0, 0)


def test_provenance_of_a_run_has_its_student_means_and_hashes(finished):
    runs, judged = finished / "runs", finished / "qrels" / "qrels.tiny-sw.txt"
    origins = {
        system: json.loads((runs / f"run.tiny-sw.{system}.trec.json").read_text())
        for system in SYSTEMS
    }
    student = origins["optical-sw"].pop("student")
    assert (student["languages"], student["settings"]["max_steps"]) == (["sw"], 3)
    assert origins["optical-sw"]["seed"] == student["settings"]["seed"] == 42
    path = runs / "run.tiny-sw.optical-sw.trec"
    means = evaluate(read_qrels(judged), read_run(path), measures=["RR@10", "R@3"]).mean()
    assert origins["optical-sw"]["measures"] == means.to_dict()
    assert origins["optical-sw"]["sha256"] == sha256_file(path)
    assert {origin["qrels_sha256"] for origin in origins.values()} == {sha256_file(judged)}
    assert {origin["n_queries"] for origin in origins.values()} == {4}
    assert (origins["zero-shot"]["seed"], origins["zero-shot"]["student"]) == (None, None)
    # By hand: .5 for q2 as below, 1 for q3, and 0 for two queries without a translation.
    assert origins["bm25-part"]["measures"]["RR@10"] == 0.375
    assert origins["bm25"]["measures"] == {"RR@10": 0.0, "R@3": 0.0}


def test_provenance_of_judgements_has_their_source_and_counts(finished, data):
    path = finished / "qrels" / "qrels.tiny-sw.txt"
    assert path.read_bytes() == (data / "tiny" / "qrels.txt").read_bytes()
    origin = json.loads(Path(f"{path}.json").read_text())
    assert origin["settings"] == {"collection": "tiny", "topics": "sw"}
    assert (origin["source"], origin["licence"]) == (None, "CC0")
    assert (origin["n_queries"], origin["n_qrels"]) == (4, 5)
    assert origin["sha256"] == sha256_file(path)


def test_other_judgements_than_those_of_the_output_are_refused(data, copied, capsys):
    path = copied / "qrels" / "qrels.tiny-sw.txt"
    path.write_text(path.read_text().replace("q1 0 d0 2", "q1 0 d0 1"))
    before = times(copied)
    assert reproduce(data / "small.toml", data, copied) == 1
    assert "qrels.tiny-sw.txt holds other judgements than the coll" in capsys.readouterr().err
    assert times(copied) == before


def test_runs_without_the_newer_facts_stay_valid(data, copied):
    for path in copied.glob("runs/*.json"):
        content = json.loads(path.read_text())
        newer = ("seed", "student", "n_queries", "measures", "qrels_sha256", "sha256", "signature")
        for name in newer:
            del content[name]
        path.write_text(json.dumps(content))
    shutil.rmtree(copied / "qrels")
    before = times(copied)
    assert reproduce(data / "small.toml", data, copied) == 0
    assert {name: time for name, time in times(copied).items() if "qrels" not in name} == before
    assert verify(copied / "runs").n_runs == len(SYSTEMS)


def test_fusion_adds_reciprocal_ranks(finished):
    runs = finished / "runs"
    dense, sparse, fused = (
        read_run(runs / f"run.tiny-sw.{system}.trec")
        for system in ("optical-sw", "bm25-part", "optical-sw-fusion-part")
    )
    assert set(fused) == {"q2", "q3"}
    for query_id, rows in fused.items():
        expected: dict[str, float] = {}
        for run in (dense, sparse):
            for rank, row in enumerate(run[query_id], start=1):
                expected[row.doc_id] = expected.get(row.doc_id, 0.0) + 1 / (60 + rank)
        for row in rows:
            assert row.score == pytest.approx(expected[row.doc_id], abs=1e-5)


def test_fusion_by_the_weights_of_the_file(data, copied, word_index):
    file = data / "weighted.toml"
    weighted = '[fusion]\nmethod = "wsum"\nweights = [1.0, 0.0]\n'
    file.write_text(
        (data / "small.toml").read_text().replace("[teacher]", f"{weighted}\n[teacher]")
    )
    for path in (copied / "runs").glob("run.tiny-sw.optical-sw-fusion-*"):
        path.unlink()
    assert reproduce(file, data, copied) == 0
    dense, fused = (
        read_run(copied / "runs" / f"run.tiny-sw.{system}.trec")
        for system in ("optical-sw", "optical-sw-fusion-part")
    )
    for query_id, rows in fused.items():
        n_above = sum(row.score > 0 for row in rows)
        assert n_above >= 2
        assert [row.doc_id for row in rows[:n_above]] == [
            row.doc_id for row in dense[query_id][:n_above]
        ]
    origin = json.loads((copied / "runs/run.tiny-sw.optical-sw-fusion-part.trec.json").read_text())
    assert origin["settings"]["weights"] == [1.0, 0.0]


def test_fusion_of_a_run_that_was_there_before_is_refused(data, copied, tmp_path, capsys):
    changed = shutil.copytree(data, tmp_path / "changed")
    (changed / "tiny" / "part.tsv").write_text("q2\tred bird\nq3\tdoor\n")
    for system in ("teacher", "bm25"):
        (copied / "runs" / f"run.tiny-sw.{system}-part.trec").unlink()
    assert reproduce(changed / "small.toml", changed, copied) == 1
    fused = "run.tiny-sw.optical-sw-fusion-part.trec was made with other settings (runs)"
    assert fused in " ".join(capsys.readouterr().err.split())


def test_bm25_on_another_language_finds_nothing_and_that_is_a_result(finished):
    assert (finished / "runs" / "run.tiny-sw.bm25.trec").read_text() == ""


def test_nothing_unfinished_is_left(finished):
    names = {path.name for path in finished.rglob("*")}
    assert not [name for name in names if re.search(r"\.(tmp|old|lock|part)$", name)]
    assert {path.name for path in finished.iterdir()} == {
        *("teacher", "students", "index", "bm25", "qrels", "runs"),
        *(f"report.small.{kind}" for kind in ("md", "tex", "json", "tsv", "png")),
    }


def test_the_report_has_all_systems_and_a_table_for_the_part(finished):
    text = (finished / "report.small.md").read_text()
    report = json.loads((finished / "report.small.json").read_text())
    whole, part = report["matrices"]
    names = ["optical" if name == "optical-sw" else name for name in SYSTEMS]
    names = [name.replace("optical-sw-fusion", "fusion") for name in names]
    assert (whole["queries"], part["queries"]) == ("all", "teacher-part")
    assert list(whole["means"]) == [name for name in names if "part" not in name]
    assert set(part["means"]) == set(names)
    assert set(part["per_query"]["bm25-part"]["sw"]) == {"q2", "q3"}
    assert "tiny: 4 queries" in text
    assert "tiny, queries of teacher-part: 2 queries" in text
    # By hand: "large dog" finds d1 and d2 by one word each, ties go to the larger id.
    assert part["per_query"]["bm25-part"]["sw"]["q2"]["RR@10"] == 0.5


def test_costs_are_those_of_the_systems_of_this_experiment(data, finished, copied):
    other = copied / "runs" / "run.tiny-sw.stranger.trec.json"
    shutil.copy(copied / "runs" / "run.tiny-sw.bm25.trec.json", other)
    (copied / "report.small.json").unlink()
    assert reproduce(data / "small.toml", data, copied) == 0
    costs = json.loads((copied / "report.small.json").read_text())["costs"]
    assert set(costs) == {name.replace("optical-sw", "optical") for name in SYSTEMS} - {
        "optical-fusion-part",
        "optical-fusion-human",
    } | {"fusion-part", "fusion-human"}
    last = json.loads(
        (copied / "students" / "optical-sw" / "log.jsonl").read_text().splitlines()[-2]
    )
    assert costs["optical"]["training min"] == pytest.approx(last["seconds"] / 60)
    # The part has 2 queries, of the 4 that are judged.
    origin = json.loads((copied / "runs" / "run.tiny-sw.bm25-part.trec.json").read_text())
    assert costs["bm25-part"]["search ms a query"] == pytest.approx(1000 * origin["seconds"] / 2)


def test_a_second_call_computes_nothing_and_reports_the_same(data, copied, monkeypatch, capsys):
    def forbidden(*_: object, **__: object) -> None:
        raise AssertionError("computed again")

    for name in ("load_encoder", "distil", "build_index", "write_run"):
        monkeypatch.setattr(f"optical_ir.pipeline.{name}", forbidden)
    monkeypatch.setattr("optical_ir.systems.search_tokens", forbidden)
    before, report = times(copied), (copied / "report.small.md").read_bytes()
    assert reproduce(data / "small.toml", data, copied) == 0
    assert times(copied) == before
    assert (copied / "report.small.md").read_bytes() == report
    out = capsys.readouterr().out
    assert "optical against zero-shot: " in out
    assert f"Report: {copied}/report.small.md" in out


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ('center_on = "tiny"', 'center_on = "tiny"\nn_docs = 5', r"teacher was made .*\(n_docs\)"),
        ("max_steps = 3", "max_steps = 4", r"students/optical-sw was made .*\(settings\)"),
        ("bitext.tsv", "other.tsv", r"students/optical-sw was made .*\(bitext\)"),
        ("hits = 4", "hits = 5", r"run.tiny-sw.optical-sw.trec was made .*\(hits\)"),
        ("tiny/part.tsv", "tiny/topics.en.tsv", r"part.trec was made .*\(queries, que"),
    ],
)
def test_a_changed_setting_is_named_and_nothing_is_touched(
    data, copied, capsys, tmp_path, old, new, found
):
    (data / "other.tsv").write_text((data / "bitext.tsv").read_text() + "zee\told\n")
    changed = tmp_path / "changed.toml"
    changed.write_text((data / "small.toml").read_text().replace(old, new, 1))
    before = times(copied)
    capsys.readouterr()
    assert reproduce(changed, data, copied) == 1
    assert re.search(found + ".*. Remove it, or choose another --output", capsys.readouterr().err)
    assert times(copied) == before


@pytest.mark.parametrize(
    ("stage", "removed"),
    [
        ("optical_ir.pipeline.center_encoder", ["teacher"]),
        ("optical_ir.models.folder.write_description", ["teacher"]),
        ("optical_ir.training.distillation.write_description", ["students"]),
        ("optical_ir.retrieval.index_build.encode_documents", ["index", "runs"]),
        ("optical_ir.systems.search_tokens", ["runs"]),
        ("optical_ir.pipeline.write_origin", ["runs", "bm25"]),
        ("optical_ir.pipeline.write_origin", ["qrels"]),
        ("optical_ir.pipeline.write_run", ["runs"]),
        ("optical_ir.pipeline.describe_run", ["runs"]),
        ("optical_ir.pipeline.write_qrels", ["qrels"]),
        ("optical_ir.pipeline.describe_qrels", ["qrels"]),
        ("optical_ir.trec._check_rows", ["runs"]),
        ("optical_ir.pipeline.Bm25Index.build", ["runs", "bm25"]),
    ],
)
def test_a_killed_stage_leaves_nothing_half_and_the_next_call_completes(
    data, finished, copied, monkeypatch, stage, removed
):
    for name in removed:
        shutil.rmtree(copied / name)
    (copied / "report.small.md").unlink()
    with monkeypatch.context() as patch:
        patch.setattr(stage, interrupt)
        assert reproduce(data / "small.toml", data, copied) == 130
    assert not (copied / "report.small.md").exists()
    whole = contents(finished)
    for name, content in contents(copied).items():
        assert content == whole[name]
    assert not [path for path in copied.rglob("*.tmp") if path.is_file()]
    assert reproduce(data / "small.toml", data, copied) == 0
    assert contents(copied) == whole
    assert verify(copied / "runs").n_runs == len(SYSTEMS)
    assert not list(copied.rglob("*.part"))


def test_a_student_goes_on_from_its_checkpoint(data, finished, copied, monkeypatch, caplog):
    shutil.rmtree(copied / "students")
    with monkeypatch.context() as patch:
        patch.setattr("optical_ir.training.distillation.plot_curves", interrupt)
        assert reproduce(data / "small.toml", data, copied) == 130
    assert (copied / "students" / "optical-sw.tmp" / "checkpoints").exists()
    with caplog.at_level("INFO", "optical_ir"):
        assert reproduce(data / "small.toml", data, copied) == 0
    assert "Resuming from checkpoint-3" in caplog.text
    assert contents(copied) == contents(finished)


def test_a_report_of_the_output_has_all_its_runs_and_texts(data, finished, tmp_path):
    given = {"topics": [str(data / "tiny/topics.sw.tsv")], "collections": [f"tiny={data / 'tiny'}"]}
    inputs = ReportInputs([finished], baseline="zero-shot", n_permutations=50, **given)
    page = write_report(inputs, tmp_path / "r.html")[0].read_text("utf-8")
    for path in finished.glob("runs/*.trec"):
        assert path.name in page and sha256_file(path) in page
    assert "What training cost" in page and QUERIES["q1"] in page


@pytest.fixture
def changed(data, tmp_path, word_index):
    """Give a pipeline of the experiment with a text in its file replaced."""

    def change(old="", new=""):
        file = tmp_path / "changed.toml"
        file.write_text((data / "small.toml").read_text().replace(old, new, 1))
        return Pipeline(read_experiment(file), data, tmp_path / "out")

    return change


@pytest.mark.parametrize(
    ("old", "new", "error", "message"),
    [
        ("bitext.tsv", "none.tsv", DataError, "none.tsv: expected"),
        ("tiny/part.tsv", "none.tsv", DataError, "none.tsv: expected a file, found none"),
        ('topics = "sw"', 'topics = "so"', ConfigError, "expected topics 'so', found: en, sw"),
        ("[collections.tiny]", COLLECTION + '"tony"', ConfigError, "/tony: there is no such fold"),
    ],
)
def test_missing_input_is_met_before_any_work(changed, tmp_path, old, new, error, message):
    with pytest.raises(error, match=message):
        run_systems(changed(old, new))
    assert not (tmp_path / "out").exists()


def test_missing_judgements_are_met_before_any_work(data, changed, tmp_path):
    other = shutil.copytree(data / "tiny", data / "unjudged")
    (other / "qrels.txt").unlink()
    with pytest.raises(ConfigError, match="expected judgements for topics 'sw'"):
        run_systems(changed("[collections.tiny]", COLLECTION + '"unjudged"'))
    assert not (tmp_path / "out").exists()


def test_translations_of_other_queries_are_refused(data, changed, tmp_path):
    (data / "alien.tsv").write_text("x1\tcat\n")
    with pytest.raises(DataError, match=r"alien.tsv: expected translations of the queries of top"):
        run_systems(changed("tiny/part.tsv", "alien.tsv"))
    assert not (tmp_path / "out").exists()


def test_the_prefix_of_two_files_is_no_bitext_here(data, changed):
    for language, text in (("sw", "paka\n"), ("en", "cat\n")):
        (data / f"moses.{language}").write_text(text)
    with pytest.raises(ConfigError, match="expected a file, found the prefix of two"):
        run_systems(changed("bitext.tsv", "moses"))


def test_missing_java_is_met_before_any_work(changed, tmp_path, monkeypatch):
    def missing() -> None:
        raise DependencyError("no Java")

    monkeypatch.setattr("optical_ir.pipeline.find_java", missing)
    with pytest.raises(DependencyError, match="no Java"):
        run_systems(changed())
    assert not (tmp_path / "out").exists()


def test_demo_is_the_packaged_collection_even_beside_a_folder_of_that_name(changed, data):
    pipeline = changed("[collections.tiny]", COLLECTION + '"demo"')
    (data / "demo").mkdir(exist_ok=True)
    packaged = load_collection("demo", topics="sw")
    assert list(pipeline.collection("tiny", "sw").iter_docs()) == list(packaged.iter_docs())


def test_a_lucene_index_of_another_collection_is_refused(changed, tmp_path):
    pipeline = changed()
    (tmp_path / "out" / "bm25" / "tiny").mkdir(parents=True)
    with pytest.raises(ConfigError, match=r"bm25/tiny was made with other settings \(collection\)"):
        pipeline.bm25("tiny")


@pytest.mark.java
def test_bm25_of_the_pipeline_is_lucene(data, finished, tmp_path):
    from optical_ir.retrieval.java import start_jvm

    try:
        start_jvm()
    except DependencyError as err:
        pytest.skip(str(err))
    output = shutil.copytree(finished, tmp_path / "out")
    shutil.rmtree(output / "bm25")
    (output / "bm25").mkdir()
    for path in [*(output / "runs").glob("*.bm25*"), *(output / "runs").glob("*-fusion-*")]:
        path.unlink()
    assert reproduce(data / "small.toml", data, output) == 0
    run = read_run(output / "runs" / "run.tiny-sw.bm25-human.trec")
    assert [rows[0].doc_id for rows in run.values()] == ["d0", "d2", "d3", "d5"]
    # No query word is in the documents: an empty file, and no error the second time.
    assert (output / "runs" / "run.tiny-sw.bm25.trec").read_text() == ""
    before = times(output)
    assert reproduce(data / "small.toml", data, output) == 0
    assert times(output) == before


FORMS = ["plain", "mean", "muvera-2x1x4"]


@pytest.fixture
def one_vector(data, copied, tmp_path):
    """Give the copy after a run of the same experiment with forms of one vector a text."""
    experiment = tmp_path / "forms.toml"
    experiment.write_text(f"one_vector = {json.dumps(FORMS)}\n{(data / 'small.toml').read_text()}")
    before = times(copied)
    assert reproduce(experiment, data, copied) == 0
    assert times(copied).items() >= before.items() - {("runs", before["runs"])} - {
        ("index", before["index"])
    }
    return copied, experiment


def test_forms_of_one_vector_leave_runs_beside_the_others(data, one_vector):
    output, experiment = one_vector
    expected = {f"optical-sw-{form}" for form in FORMS} | {"optical-sw-muvera-2x1x4-maxsim"}
    expected |= {"zero-shot-plain", "zero-shot-mean"}
    found = {path.name.split(".")[2] for path in (output / "runs").glob("*.trec")}
    assert found - set(SYSTEMS) == expected
    report = json.loads((output / "report.small.json").read_text())
    (matrix,) = report["one_vector"]
    assert set(matrix["means"]) == {name.replace("-sw", "") for name in expected}
    assert matrix["contrasts"] == []
    section = (output / "report.small.md").read_text().partition("one vector a text")[2]
    assert "Holm" not in section
    assert verify(output / "runs").n_runs == len(found)
    before = times(output)
    assert reproduce(experiment, data, output) == 0
    assert times(output) == before


def test_index_of_plain_vectors_is_not_taken_for_one_of_tokens(one_vector):
    output, _ = one_vector
    with pytest.raises(ConfigError, match="belong to different teachers"):
        search_tokens(str(output / "teacher"), output / "index" / "tiny-plain", [])


def test_candidates_of_a_form_are_ranked_by_maxsim(one_vector):
    runs = one_vector[0] / "runs"
    candidates = read_run(runs / "run.tiny-sw.optical-sw-muvera-2x1x4.trec")
    ranked = read_run(runs / "run.tiny-sw.optical-sw-muvera-2x1x4-maxsim.trec")
    exact = read_run(runs / "run.tiny-sw.optical-sw.trec")
    for query_id, rows in ranked.items():
        assert {row.doc_id for row in rows} == {row.doc_id for row in candidates[query_id]}
        scores = {row.doc_id: row.score for row in exact[query_id]}
        for row in rows:
            assert row.score == pytest.approx(scores.get(row.doc_id, row.score), abs=1e-5)
    assert any(row.doc_id in {r.doc_id for r in exact["q1"]} for row in ranked["q1"])


def test_unknown_form_is_refused_before_any_work(data, tmp_path, capsys):
    experiment = tmp_path / "forms.toml"
    experiment.write_text(f'one_vector = ["muvra"]\n{(data / "small.toml").read_text()}')
    assert reproduce(experiment, data, tmp_path / "out") == 1
    assert "expected muvera-REPETITIONSxBITSxPROJECTION" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_teacher_is_trained_after_centring(data, tmp_path):
    judged = tmp_path / "judged"
    shutil.copytree(data / "tiny", judged)
    (judged / "topics.sw.tsv").unlink()
    training = "max_steps = 2\nbatch_size = 2\ndev_queries = 1\nn_negatives = 0\n"
    text = (data / "small.toml").read_text()
    plan = f'center_on = "judged"\ntrain_on = "judged"\n\n[teacher.training]\n{training}'
    (tmp_path / "trained.toml").write_text(text.replace('center_on = "tiny"', plan))
    experiment = read_experiment(tmp_path / "trained.toml")
    folder = Pipeline(experiment, tmp_path, tmp_path / "out").teacher
    assert folder == tmp_path / "out" / "teacher"
    untrained = read_description(tmp_path / "out" / "teacher-untrained")
    trained = read_description(folder)
    assert trained["role"] == untrained["role"] == "teacher"
    assert trained["space"] != untrained["space"]
    before = sha256_file(folder / "model.safetensors")
    again = Pipeline(experiment, tmp_path, tmp_path / "out").teacher
    assert sha256_file(again / "model.safetensors") == before


SWITCHED = """
[students.switched]
each = true
switch_on = "english"
loss = "transport"
score_weight = 0
max_steps = 3
batch_size = 4
dev_pairs = 4
"""


@pytest.fixture
def with_lexicon(data, copied, tmp_path):
    """Give a copy of the output and an experiment with a lexicon and code-switched training."""
    english = data / "english"
    if not english.exists():
        english.mkdir()
        shutil.copy(data / "tiny" / "corpus.jsonl", english)
        queries = {f"e{n}": text for n, text in enumerate([*ENGLISH.values(), *DOCS])}
        (english / "topics.tsv").write_text("".join(f"{q}\t{t}\n" for q, t in queries.items()))
        (english / "qrels.txt").write_text("".join(f"{q} 0 d{q[1]} 1\n" for q in list(queries)[:6]))
        (data / "dict.tsv").write_text("".join(f"{a}\t{b}\n" for a, b in WORDS))
    experiment = tmp_path / "switched.toml"
    text = (data / "small.toml").read_text()
    text = text.replace('bitext = "bitext.tsv"', 'bitext = "bitext.tsv"\nlexicon = "dict.tsv"')
    experiment.write_text(text.replace("[[tasks]]", f"{SWITCHED}\n[[tasks]]"))
    return copied, experiment


def test_a_lexicon_makes_a_rival_of_code_switching_and_one_of_dictionary_queries(
    data, with_lexicon
):
    output, experiment = with_lexicon
    assert reproduce(experiment, data, output) == 0
    systems = {path.name.split(".")[2] for path in (output / "runs").glob("*.trec")}
    assert systems - set(SYSTEMS) == {
        *("switched-sw", "bm25-dictionary", "optical-sw-fusion-dictionary"),
    }
    description = json.loads((output / "students" / "switched-sw" / "optical.json").read_text())
    assert description["loss"] == "ContrastiveLoss"
    settings = description["origin"]["settings"]
    assert (settings["switch_on"], list(settings["lexicons"])) == ("english", ["dict.tsv"])
    # "paka ona ndege" becomes "cat ona bird": d0 and d2 have two and one of these words.
    run = read_run(output / "runs" / "run.tiny-sw.bm25-dictionary.trec")
    assert run["q1"][0].doc_id == "d0"
    assert verify(output / "runs").n_runs == len(SYSTEMS) + 3


def test_translation_probabilities_make_a_rival_of_structured_queries(data, changed, monkeypatch):
    asked = {}

    def search_psq(index, queries, lexicon, *, k):
        asked.update(lexicon.probabilities("ona"))
        return index.search([Query(q, "cat sees") for q, _ in queries], k=k)

    monkeypatch.setattr("optical_ir.systems.search_psq", search_psq)
    (data / "psq.tsv").write_text("paka\tcat\t0.9\nona\tsee\t0.5\nona\teat\t0.2\n")
    pipeline = changed('bitext = "bitext.tsv"', 'bitext = "bitext.tsv"\npsq_lexicon = "psq.tsv"')
    (runs,) = run_systems(pipeline).values()
    assert list(runs).index("bm25-psq") == list(runs).index("bm25") + 1
    assert asked == {"see": 0.5, "eat": 0.2}
    assert runs["bm25-psq"].run["q2"]
    assert len(runs["bm25-psq"].origin["settings"]["psq_lexicon"]) == 64
    assert set(runs["fusion-psq"].run) == set(runs["bm25-psq"].run)
    (data / "psq.tsv").write_text("paka\tcat\n")
    with pytest.raises(DataError, match=r"psq.tsv, line 1: expected 3 tab-separated columns"):
        run_systems(pipeline)


def test_an_aligner_learns_from_the_bitext_what_structured_queries_need(data, changed, monkeypatch):
    asked = []

    def search_psq(index, queries, lexicon, *, k):
        asked.append({word: lexicon.probabilities(word) for word, _ in WORDS})
        return index.search(queries, k=k)

    monkeypatch.setattr("optical_ir.systems.search_psq", search_psq)
    pipeline = changed("hits = 4", 'hits = 4\npsq_aligner = "ot"')
    (runs,) = run_systems(pipeline).values()
    file = pipeline.output / "lexicons" / "sw.tsv"
    english = {translation for _, translation in WORDS} | {"and"}
    (learned,) = asked
    for probabilities in learned.values():
        assert probabilities
        assert set(probabilities) <= english
    assert runs["bm25-psq"].origin["settings"]["psq_lexicon"] == sha256_file(file)
    settings = json.loads(Path(f"{file}.json").read_text())["settings"]
    assert settings["teacher"] == pipeline.space
    assert settings["bitext"] == {"bitext.tsv": sha256_file(data / "bitext.tsv")}
    assert settings["pruning"] == {"cumulative": 0.95, "n": 10, "min_probability": 0.01}
    before = times(pipeline.output)
    run_systems(pipeline)
    assert times(pipeline.output) == before


def test_a_missing_aligner_is_met_before_any_work(changed, monkeypatch):
    monkeypatch.setitem(sys.modules, "eflomal", None)
    pipeline = changed("hits = 4", 'hits = 4\npsq_aligner = "eflomal"')
    with pytest.raises(DependencyError, match="Run: pip install eflomal"):
        run_systems(pipeline)
    assert not pipeline.output.exists()


def test_a_lexicon_of_another_aligner_is_refused_before_any_work(changed, monkeypatch):
    counted = []

    def count(pairs):
        counted.append(pairs)
        return {"paka": {"cat": 1.0}}

    monkeypatch.setattr("optical_ir.systems.search_psq", lambda index, queries, _, k: {})
    monkeypatch.setattr("optical_ir.psq_lexicons.count_by_eflomal", count)
    pipeline = changed("hits = 4", 'hits = 4\npsq_aligner = "eflomal"')
    run_systems(pipeline)
    (pairs,) = counted
    assert len(pairs) == len(set(pairs)) == len(WORDS) ** 2
    assert (pipeline.output / "lexicons" / "sw.tsv").read_text() == "paka\tcat\t1\n"
    before = times(pipeline.output)
    other = changed("hits = 4", 'hits = 4\npsq_aligner = "ot"')
    with pytest.raises(ConfigError, match=r"sw.tsv was made with other settings \(aligner, "):
        run_systems(other)
    assert times(pipeline.output) == before


def test_an_aligner_learns_from_the_dictionary_too_where_it_is_told_so(
    data, changed, monkeypatch, tmp_path
):
    counted = []

    def count(pairs):
        counted.append(pairs)
        return {"paka": {"cat": 1.0}}

    monkeypatch.setattr("optical_ir.psq_lexicons.count_by_eflomal", count)
    (data / "words.tsv").write_text("jua\tsun\nJua\tSun\nmvua kubwa\tdownpour\n")
    pipeline = changed('bitext = "bitext.tsv"', 'bitext = "bitext.tsv"\nlexicon = "words.tsv"')
    bitext = dataclasses.replace(pipeline.experiment, psq_aligner="eflomal")
    both = dataclasses.replace(bitext, psq_dictionary=True)
    folder, teacher = tmp_path / "lexicons", lambda: pipeline.teacher
    (path,) = psq_lexicons(both, data, folder, teacher).values()
    psq_lexicons(bitext, data, tmp_path / "others", teacher)
    with_entries, without = counted
    entries = [BitextPair("jua", "sun"), BitextPair("mvua kubwa", "downpour")]
    assert with_entries == without + entries
    settings = json.loads(Path(f"{path}.json").read_text())["settings"]
    assert settings["dictionary"] == sha256_file(data / "words.tsv")
    with pytest.raises(ConfigError, match=r"sw\.tsv was made with other settings \(dictionary\)"):
        psq_lexicons(bitext, data, folder, teacher)


@pytest.fixture
def glossed(data, changed, monkeypatch):
    """Give a pipeline whose student reads glosses, and a list of what its searches are asked."""
    (data / "psq.tsv").write_text("paka\tcat\t0.9\nkubwa\tbig\t0.6\n")
    asked = []

    def search(encoder, folder, queries, *, k, lexicon):
        words = dict(lexicon.probabilities("paka")) if lexicon is not None else None
        asked.append((Path(encoder).name, queries[0].text, words))
        return search_tokens(encoder, folder, queries, k=k, lexicon=lexicon)

    monkeypatch.setattr("optical_ir.systems.search_tokens", search)
    monkeypatch.setattr("optical_ir.systems.search_psq", lambda index, queries, _, k: {})
    old = 'bitext = "bitext.tsv"\n\n[students.optical]\n'
    new = 'bitext = "bitext.tsv"\npsq_lexicon = "psq.tsv"\n\n[students.optical]\ngloss = true\n'
    return changed(old, new), asked


def test_a_student_with_glosses_reads_them_in_training_and_in_search(data, glossed):
    pipeline, asked = glossed
    (runs,) = run_systems(pipeline).values()
    own, lexicon = "paka ona ndege", {"cat": 0.9}
    assert asked[:3] == [
        ("optical-sw", own, lexicon),
        ("teacher", own, None),
        ("teacher", own, lexicon),
    ]
    assert {(name, words) for name, _, words in asked[3:]} == {("teacher", None)}
    assert list(runs)[:3] == ["optical", "zero-shot", "zero-shot-glossed"]
    student = pipeline.output / "students" / "optical-sw"
    settings = read_description(student)["origin"]["settings"]
    sha256 = sha256_file(data / "psq.tsv")
    assert settings["gloss"] == {"sw": sha256}
    assert settings["settings"]["max_length"] == 128
    assert {name for name, run in runs.items() if "word_forms" in run.origin["settings"]} == {
        "optical",
        "zero-shot-glossed",
    }
    glosses = {name: run.origin["settings"].get("psq_lexicon") for name, run in runs.items()}
    assert glosses == dict.fromkeys(runs) | dict.fromkeys(
        ["optical", "zero-shot-glossed", "bm25-psq"], sha256
    )
    assert sha256.startswith(sign_origin(runs["optical"].origin)["lexicon"])
    experiment = pipeline.experiment
    ((_, plan),) = experiment.students_of("optical", experiment.tasks[0])
    (part,) = bitext_parts(experiment, data, plan, pipeline.psq_lexicons)
    pairs = {pair.source: pair.target for pair in part.pairs}
    assert pairs["paka na mbwa cat na mbwa"] == "cat and dog"
    assert pairs["maji na mbwa"] == "water and dog"


def test_words_that_a_lexicon_lacks_are_guessed_unless_the_experiment_says_no(data, glossed):
    pipeline, _ = glossed
    (data / "psq.tsv").write_text("ndegea\tbird\t0.8\nndegee\tbird\t0.8\n")
    experiment = pipeline.experiment
    ((_, plan),) = experiment.students_of("optical", experiment.tasks[0])
    found = {}
    for word_forms in (True, False):
        other = dataclasses.replace(experiment, word_forms=word_forms)
        (part,) = bitext_parts(other, data, plan, pipeline.psq_lexicons)
        found[word_forms] = {pair.source for pair in part.pairs}
        settings = settings_of_training(other, data, plan, pipeline.psq_lexicons)
        assert settings.get("word_forms", False) == word_forms
    assert "ndege na maji bird na maji" in found[True]
    assert "ndege na maji" in found[False]


def test_a_student_of_other_glosses_is_refused_and_nothing_is_done_twice(data, glossed):
    pipeline, asked = glossed
    run_systems(pipeline)
    before, n_asked = times(pipeline.output), len(asked)
    run_systems(pipeline)
    assert (times(pipeline.output), len(asked)) == (before, n_asked)
    (data / "psq.tsv").write_text("paka\tcat\t0.8\n")
    with pytest.raises(ConfigError, match=r"optical-sw was made with other settings \(gloss\)"):
        run_systems(pipeline)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("gloss = true", "gloss: expected a psq_lexicon of sw, or a psq_aligner"),
        ('gloss = true\nswitch_on = "english"', "expected gloss or switch_on, found both"),
    ],
)
def test_glosses_need_translation_probabilities_and_bitext(changed, line, message):
    lexicon = 'bitext = "bitext.tsv"\nlexicon = "dict.tsv"'
    with pytest.raises(ConfigError, match=message):
        changed(
            'bitext = "bitext.tsv"\n\n[students.optical]',
            f"{lexicon}\n\n[students.optical]\n{line}",
        )


def test_switched_rows_are_as_many_as_the_steps_need_and_of_both_languages(data, with_lexicon):
    _, file = with_lexicon
    experiment = read_experiment(file)
    (task,) = experiment.tasks
    ((_, student),) = experiment.students_of("switched", task)
    (part,) = switched_parts(experiment, data, student, load_collection(data / "english"))
    assert len(part.pairs) >= 3 * 4
    assert {pair.target for pair in part.pairs} <= set(DOCS)
    words = {word for pair in part.pairs for word in pair.source.split()}
    foreign = {a for a, _ in WORDS}
    assert words & foreign
    assert words - foreign


def test_code_switching_without_a_lexicon_is_refused(data, tmp_path):
    file = tmp_path / "bad.toml"
    text = (data / "small.toml").read_text()
    file.write_text(text.replace("[[tasks]]", f"{SWITCHED}\n[[tasks]]"))
    with pytest.raises(ConfigError, match="expected a lexicon for students"):
        read_experiment(file)


def test_fewer_pairs_are_among_more(data, changed):
    kept = []
    for number in (5, 12):
        experiment = changed("each = true", f"each = true\nmax_pairs = {number}").experiment
        ((_, student),) = experiment.students_of("optical", experiment.tasks[0])
        (part,) = bitext_parts(experiment, data, student, {})
        kept.append(set(part.pairs))
        assert len(part.pairs) == number
    assert kept[0] < kept[1]


def test_a_student_of_noisy_bitext_gets_the_english_of_other_pairs(data, changed):
    parts = []
    for line in ("", "misaligned = 0.5"):
        experiment = changed("each = true", f"each = true\n{line}").experiment
        ((_, student),) = experiment.students_of("optical", experiment.tasks[0])
        parts += bitext_parts(experiment, data, student, {})
    clean, noisy = (part.pairs for part in parts)
    assert [pair.source for pair in clean] == [pair.source for pair in noisy]
    n_other = sum(ours != theirs for ours, theirs in zip(clean, noisy, strict=True))
    # Some pairs share their English, and may get what they had.
    assert 0.4 * len(clean) < n_other <= 0.5 * len(clean) + 1


def test_bitext_is_cut_to_what_is_like_queries_and_its_sources_are_balanced(data, changed):
    pairs = read_bitext(data / "bitext.tsv")
    lines = (f"{a}\t{b}\t{'odd' if n % 2 else 'even'}\n" for n, (a, b) in enumerate(pairs))
    (data / "sourced.tsv").write_text("".join(lines))
    old = 'bitext = "bitext.tsv"\n\n[students.optical]\neach = true\nmax_steps = 3\nbatch_size = 4'
    new = old.replace("bitext.tsv", "sourced.tsv").replace(
        "max_steps = 3\nbatch_size = 4", "batch_size = 1"
    )
    new += "\nscore_weight = 0"
    chosen = 'like = "tiny/topics.en.tsv"\nlike_share = 0.9\nsource_exponent = 0'
    experiment = changed(old, f"{new}\n{chosen}").experiment
    ((_, student),) = experiment.students_of("optical", experiment.tasks[0])
    parts = bitext_parts(experiment, data, student, {})
    assert {part.name: part.share for part in parts} == {
        "sourced.tsv, odd": 0.5,
        "sourced.tsv, even": 0.5,
    }
    assert sum(len(part.pairs) for part in parts) == 23


def test_what_chooses_bitext_decides_what_a_student_becomes(data, changed):
    found = []
    lines = ["", "max_pairs = 5", "misaligned = 0.5", "source_exponent = 0.3"]
    lines += ['like = "tiny/topics.en.tsv"', 'like = "tiny/topics.en.tsv"\nlike_share = 0.8']
    for line in lines:
        experiment = changed("each = true", f"each = true\n{line}").experiment
        ((_, student),) = experiment.students_of("optical", experiment.tasks[0])
        found.append(json.dumps(settings_of_training(experiment, data, student, {})))
    assert len(set(found)) == len(lines)


def test_half_of_the_queries_has_its_own_judgements_and_translations(changed):
    pipeline = changed()
    whole, halves = pipeline.experiment.tasks[0], []
    for name in ("tuning", "held-out"):
        task = dataclasses.replace(whole, half=name)
        ids = {query.query_id for query in pipeline.queries(task)}
        assert {qrel.query_id for qrel in pipeline.qrels(task)} == ids
        assert {query.query_id for query in pipeline.translations(task, "human")} == ids
        halves.append(ids)
    assert sorted([*halves[0], *halves[1]]) == list(QUERIES)
    assert all(halves)
