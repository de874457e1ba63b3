"""An origin names command, settings, versions and the exact inputs."""

import hashlib
import json
import platform
import shlex
from datetime import UTC, datetime
from pathlib import Path

import pytest

from optical_ir.provenance import describe_origin, write_origin


def test_settings_and_versions_are_kept():
    origin = describe_origin(settings={"seed": 7, "encoder": "optical-swa"})
    assert origin["settings"] == {"seed": 7, "encoder": "optical-swa"}
    assert origin["inputs"] == {}
    assert origin["versions"]["python"] == platform.python_version()
    assert {"torch", "ranx"} <= set(origin["versions"])


def test_time_is_in_utc():
    created = datetime.fromisoformat(describe_origin(settings={})["created"])
    assert abs((datetime.now(UTC) - created).total_seconds()) < 60


def test_files_are_hashed_and_folders_named(tmp_path):
    file = tmp_path / "topics.tsv"
    file.write_text("q1\tx\n")
    origin = describe_origin(settings={}, inputs={"topics": file, "index": str(tmp_path)})
    assert origin["inputs"] == {
        "topics": {"name": "topics.tsv", "sha256": hashlib.sha256(b"q1\tx\n").hexdigest()},
        "index": {"name": tmp_path.name},
    }


@pytest.mark.parametrize(
    ("argv", "command"),
    [
        (["/usr/bin/optical-ir", "search", "--topics", "my topics.tsv"], "optical-ir search"),
        (["/site/optical_ir/__main__.py", "search", "my topics.tsv"], "python -m optical_ir"),
    ],
)
def test_the_command_can_be_run_again(monkeypatch, argv, command):
    monkeypatch.setattr("sys.argv", argv)
    found = describe_origin(settings={})["command"]
    assert found.startswith(command)
    assert shlex.split(found)[-1] == "my topics.tsv"


def test_an_origin_is_written_beside_its_output(tmp_path):
    output = tmp_path / "run.trec"
    write_origin(output, settings={"index": Path("ix"), "query": "ẹ̀kọ́"})
    text = (tmp_path / "run.trec.json").read_text(encoding="utf-8")
    assert json.loads(text)["settings"] == {"index": "ix", "query": "ẹ̀kọ́"}
    assert "ẹ̀kọ́" in text
    write_origin(output, settings={})
    assert json.loads((tmp_path / "run.trec.json").read_text())["settings"] == {}


def test_facts_of_an_output_are_keys_of_their_own(tmp_path):
    write_origin(tmp_path / "run.trec", settings={"k": 1}, facts={"sha256": "0", "seed": None})
    origin = json.loads((tmp_path / "run.trec.json").read_text())
    assert (origin["settings"], origin["sha256"], origin["seed"]) == ({"k": 1}, "0", None)


def test_without_git_the_commit_is_unknown(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert describe_origin(settings={})["commit"] is None


def test_outside_a_checkout_the_commit_is_unknown(monkeypatch):
    monkeypatch.setattr("optical_ir.provenance.__file__", "/nowhere/optical_ir/provenance.py")
    assert describe_origin(settings={})["commit"] is None
