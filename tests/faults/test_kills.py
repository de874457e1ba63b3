"""SIGKILL at random moments of real processes: what comes out is what would have come anyway."""

import json
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from optical_ir.collections import demo_folder
from optical_ir.errors import DependencyError
from optical_ir.retrieval.java import find_anserini_jar, find_java
from tests.faults.warm import WarmProgram, kill_moments

DISTILLATION = """max_steps = 24
batch_size = 4
dev_pairs = 8
max_length = 32
save_every = 3
log_every = 2
evaluate_every = 6
"""
EXPERIMENT = """name = "small"
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
max_steps = 6
batch_size = 4
dev_pairs = 4
save_every = 2
[[tasks]]
collection = "tiny"
topics = "sw"
query_lang = "sw"
translations = {{ human = "tiny/topics.en.tsv" }}
"""


class Verb(NamedTuple):
    """A command without its output, and what of that must be the same each time, by name."""

    command: list[object]
    contents: Callable[[Path], dict[str, bytes]]


def _files(*patterns: str) -> Callable[[Path], dict[str, bytes]]:
    def read(output: Path) -> dict[str, bytes]:
        paths = [path for pattern in patterns for path in output.glob(pattern)]
        return {
            str(path.relative_to(output)): path.read_bytes()
            for path in paths
            if ".tmp" not in str(path.relative_to(output))
        }

    return read


def _student(output: Path) -> dict[str, bytes]:
    found = _files("model.safetensors", "*/*.safetensors")(output)
    rows = [json.loads(line) for line in (output / "log.jsonl").read_text().splitlines()]
    untimed = [{key: row[key] for key in row if "seconds" not in key} for row in rows]
    return found | {"log": json.dumps(untimed).encode()}


def _results(output: Path) -> dict[str, bytes]:
    found = _files("runs/*.trec", "qrels/*.txt", "report.*.tsv", "students/*/*.safetensors")(output)
    # Costs are in seconds, which differ.
    reports = _files("report.*.md")(output)
    return found | {name: text.partition(b"## Costs")[0] for name, text in reports.items()}


def _java() -> bool:
    try:
        find_anserini_jar()
        find_java()
    except DependencyError:
        return False
    return True


@pytest.fixture(scope="module")
def inputs(tmp_path_factory, teacher_folder, make_translator_folder) -> Path:
    """Give a folder with what every verb reads."""
    folder = tmp_path_factory.mktemp("inputs")
    (folder / "settings.toml").write_text(DISTILLATION)
    (folder / "small.toml").write_text(EXPERIMENT.format(encoder=teacher_folder))
    tiny = folder / "tiny"
    tiny.mkdir()
    for name in ("topics.sw.tsv", "topics.en.tsv", "qrels.txt", "corpus.jsonl"):
        shutil.copy(demo_folder() / name, tiny / name)
    shutil.copy(demo_folder() / "bitext.sw-en.tsv", folder / "bitext.tsv")
    return folder


@pytest.fixture
def verb(request, inputs, teacher_folder, make_translator_folder) -> Verb:
    """Give the verb of that name."""
    name = request.param
    if name in ("index", "reproduce") and not _java():
        pytest.skip("needs Pyserini and a Java for it")
    tiny = inputs / "tiny"
    if name == "distil":
        given = ("--bitext", inputs / "bitext.tsv", "--query-lang", "sw", "--device", "cpu")
        settings = ("--teacher", teacher_folder, "--config", inputs / "settings.toml")
        return Verb([name, *settings, *given], _student)
    if name == "encode":
        given = ("--collection", tiny, "--encoder", teacher_folder, "--device", "cpu")
        return Verb([name, *given, "--batch-size", "4"], _files("shard-*/*"))
    if name == "index":
        return Verb([name, "--collection", tiny], _files())
    if name == "translate":
        given = ("--query-lang", "sw", "--topics", tiny / "topics.sw.tsv", "--device", "cpu")
        short = ("--num-beams", "2", "--max-new-tokens", "24", "--batch-size", "2")
        model = make_translator_folder("nllb")
        return Verb(
            [name, "--model", model, *given, *short], lambda path: {"topics": path.read_bytes()}
        )
    return Verb([name, inputs / "small.toml", "--data", inputs], _results)


def _contents(program: WarmProgram, verb: Verb, output: Path, inputs: Path) -> dict[str, bytes]:
    """Read what must be the same: files, or, of a Lucene index, what it finds."""
    if verb.command[0] != "index":
        return verb.contents(output)
    run = output.with_name("run.trec")
    topics = inputs / "tiny" / "topics.en.tsv"
    program.check("search", "--index", output, "--topics", topics, "--output", run, "--overwrite")
    return {"run": run.read_bytes()}


def _moments(rng: random.Random, seconds: float, n: int) -> Iterator[float]:
    while True:
        yield from kill_moments(rng, seconds, n)


@pytest.mark.parametrize(
    "verb", ["distil", "encode", "index", "translate", "reproduce"], indirect=True
)
def test_killed_at_any_moment_a_run_goes_on_to_the_same_result(
    program, verb, inputs, tmp_path, rng, amount, record
):
    name, n_kills = verb.command[0], amount(2, 20)
    whole = tmp_path / "whole"
    seconds = program.check(*verb.command, "--output", whole)
    expected = _contents(program, verb, whole, inputs)
    assert expected
    n_late = done = 0
    for moment in _moments(rng, seconds, n_kills):
        output = tmp_path / f"killed-{done + n_late}"
        # Of Anserini's Java, which outlives a kill of its parent alone, every second one does.
        code, _ = program.run(
            [*verb.command, "--output", output], kill_after=moment, group=done % 2 == 0
        )
        if code == 0:
            n_late += 1
            assert n_late <= 3 * n_kills, "most moments were after the end"
            continue
        assert code == -9, program.log.read_text()[-3000:]
        # What has its name is whole: all of an output, or a part of an experiment's.
        if output.exists():
            found = _contents(program, verb, output, inputs)
            assert found.items() <= expected.items()
            if name != "reproduce":
                assert found == expected
        if not output.exists() or name == "reproduce":
            program.check(*verb.command, "--output", output)
        assert _contents(program, verb, output, inputs) == expected
        shutil.rmtree(output) if output.is_dir() else output.unlink()
        done += 1
        if done == n_kills:
            break
    record("kills", name, kills=done, seconds=round(seconds, 1), after_the_end=n_late)
