"""How much is tried, what the figures of a report are, and the inputs that several tests share.

`OPTICAL_IR_FAULTS=full` tries as much as docs/reliability.md says; without it a small part of that
runs. Figures go to the file named by `OPTICAL_IR_FIGURES`, a JSON object a line.
"""

import json
import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.warm import WarmProgram

FULL = os.environ.get("OPTICAL_IR_FAULTS") == "full"


@pytest.fixture(scope="session")
def amount() -> Callable[[int, int], int]:
    """Give a function that chooses between a small number and that of the full version."""
    return lambda few, full: full if FULL else few


@pytest.fixture(scope="session")
def record() -> Callable[..., None]:
    """Give a function that writes a figure of the report down."""
    path = os.environ.get("OPTICAL_IR_FIGURES")

    def write(part: str, what: str, **figures: object) -> None:
        if path:
            with open(path, "a", encoding="utf-8") as stream:
                stream.write(json.dumps({"part": part, "what": what, **figures}) + "\n")

    return write


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """Give the program as processes that start at once."""
    if not hasattr(os, "fork"):
        pytest.skip("needs a system that forks processes")
    warm = WarmProgram(tmp_path_factory.mktemp("warm") / "log")
    yield warm
    warm.close()


@pytest.fixture
def rng(request) -> random.Random:
    """Give random numbers that are the test's own, the same each time."""
    return random.Random(request.node.name)


@pytest.fixture(scope="session")
def teacher_folder(plain_folder, tmp_path_factory) -> Path:
    """Give a teacher: the tiny encoder with e5's prompts, and its `optical.json`."""
    from optical_ir.models import load_encoder, save_teacher

    folder = tmp_path_factory.mktemp("teacher") / "teacher"
    encoder = load_encoder(
        plain_folder, device="cpu", query_prompt="query: ", document_prompt="passage: "
    )
    save_teacher(encoder, folder, origin={})
    return folder


@pytest.fixture(scope="session")
def adapter_folder(teacher_folder) -> Path:
    """Give a student of adapters beside its teacher."""
    pytest.importorskip("peft", reason="the lora extra is not installed")
    from optical_ir.collections import demo_folder, read_bitext
    from optical_ir.models import load_encoder
    from optical_ir.training import DistillationSettings, distil

    folder = teacher_folder.parent / "adapter"
    settings = DistillationSettings(max_steps=1, batch_size=4, dev_pairs=0, lora_rank=2)
    pairs = read_bitext(demo_folder() / "bitext.sw-en.tsv")
    teacher = load_encoder(teacher_folder, device="cpu")
    distil(teacher, pairs, folder, base=teacher_folder, settings=settings)
    return folder


@pytest.fixture
def cli(capfd):
    """Run the program in this process and give how it ended: code, out, err."""
    import logging
    import sys
    from types import SimpleNamespace

    from optical_ir.cli import main

    def run(*arguments: object) -> SimpleNamespace:
        capfd.readouterr()
        level, before = logging.getLogger("optical_ir").level, dict(os.environ)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", ["optical-ir", *map(str, arguments)])
            with pytest.raises(SystemExit) as ended:
                main()
        logging.getLogger("optical_ir").setLevel(level)
        for name in set(os.environ) - set(before):
            del os.environ[name]
        return SimpleNamespace(code=int(ended.value.code or 0), **capfd.readouterr()._asdict())

    return run
