"""The program run in this process, and the output of each stage for others to start from."""

import logging
import os
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from optical_ir.cli import main

DISTILLATION = "max_steps = 3\nbatch_size = 4\ndev_pairs = 4\nmax_length = 32\nsave_every = 2\n"


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The error message, which is the last line and the only one of its kind."""
        assert self.code == 1, self.err
        assert "Traceback" not in self.err
        assert self.err.count("Error: ") == 1
        return self.err.splitlines()[-1].removeprefix("Error: ")


def run_main(*arguments: object) -> int:
    """Run the program in this process; give its exit code."""
    logger, before = logging.getLogger("optical_ir"), dict(os.environ)
    level = logger.level
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["optical-ir", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
    logger.setLevel(level)
    for name in set(os.environ) - set(before):
        del os.environ[name]
    return int(ended.value.code or 0)


@pytest.fixture
def cli(capsys):
    """Run the program and give what it wrote."""

    def run(*arguments: object) -> Ended:
        capsys.readouterr()
        return Ended(run_main(*arguments), *capsys.readouterr())

    return run


@pytest.fixture(scope="session")
def bitext():
    from optical_ir.collections.load import demo_folder

    return demo_folder() / "bitext.sw-en.tsv"


@pytest.fixture(scope="session")
def work(plain_folder, bitext, tmp_path_factory):
    """Give a folder in which each stage has run once: demo, teacher, student, index."""
    folder = tmp_path_factory.mktemp("work")
    (folder / "settings.toml").write_text(DISTILLATION)
    demo, teacher = folder / "demo", folder / "teacher"
    stages = (
        ("prepare", "demo", "--topics", "sw", "--output", demo),
        (
            *("build-teacher", "--encoder", plain_folder, "--collection", demo),
            *("--n-docs", "20", "--output", teacher),
        ),
        (
            *("distil", "--teacher", teacher, "--bitext", bitext, "--query-lang", "swa"),
            *("--config", folder / "settings.toml", "--output", folder / "student-sw"),
        ),
        ("encode", "--collection", demo, "--encoder", teacher, "--output", folder / "index"),
    )
    for stage in stages:
        assert run_main(*stage) == 0, stage
    return folder


@pytest.fixture
def judged(tmp_path):
    """Give two runs and their judgements, small enough to count by hand."""
    (tmp_path / "qrels").write_text("q1 0 a 1\nq2 0 b 1\n")
    (tmp_path / "run.demo.good.trec").write_text("q1 Q0 a 1 2 x\nq2 Q0 b 1 2 x\n")
    (tmp_path / "run.demo.bad.trec").write_text("q1 Q0 b 1 2 x\nq2 Q0 a 1 2 x\n")
    return [tmp_path / name for name in ("qrels", "run.demo.good.trec", "run.demo.bad.trec")]


@pytest.fixture
def needed(work):
    """Arguments of a verb that would succeed, given its output."""

    def arguments(verb: str, output: Path) -> list[object]:
        topics = work / "demo" / "topics.sw.tsv"
        return {
            "prepare": ["prepare", work / "demo", "--output", output],
            "build-teacher": ["build-teacher", "--encoder", work / "teacher", "--output", output],
            "train-teacher": [
                *("train-teacher", "--collection", work / "demo", "--negatives", "none"),
                *("--encoder", work / "teacher", "--output", output),
            ],
            "distil": [
                *("distil", "--teacher", work / "teacher", "--query-lang", "sw"),
                *("--bitext", topics, "--output", output, "--config", work / "settings.toml"),
            ],
            "encode": [
                *("encode", "--collection", work / "demo"),
                *("--encoder", work / "teacher", "--output", output),
            ],
            "search": [
                *("search", "--index", work / "index", "--topics", topics),
                *("--encoder", work / "teacher", "--output", output),
            ],
        }[verb]

    return arguments
