"""Real kills of a process that builds or adds, at any moment, leave what goes on to the same bytes."""

import random
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from optical_ir.retrieval.index import MultiVectorIndex

SCRIPT = textwrap.dedent("""
    import sys, zlib
    import numpy as np
    from optical_ir.records import Doc
    from optical_ir.retrieval import index_build, index_edit, shard_writer

    index_build._BLOCK = 5
    shard_writer._SHARD_SHARE = 20000 / index_build.DEFAULT_MEMORY

    class Encoder:
        dim, longest = 16, 50

        def encode_documents(self, texts, *, batch_size=32):
            generators = [np.random.default_rng(zlib.crc32(text.encode())) for text in texts]
            rows = [g.standard_normal((int(g.integers(50)), 16), np.float32) for g in generators]
            return [own / np.linalg.norm(own, axis=1, keepdims=True) for own in rows]

    def docs(first, last):
        for number in range(first, last):
            yield Doc(str(number), f"text {number}")

    verb, folder, storage = sys.argv[1:]
    print("ready", flush=True)
    if verb == "build":
        index_build.write_index(docs(0, 600), Encoder(), folder, space="s", storage=storage)
    else:
        index_edit.add_documents(folder, docs(600, 900), Encoder(), space="s")
    print("done", flush=True)
""")


def start(verb: str, folder: Path, storage: str) -> subprocess.Popen[str]:
    """Start a process that gets to its work; wait until it does."""
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, verb, str(folder), storage],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    return process


def finish(verb: str, folder: Path, storage: str) -> float:
    """Let a process end by itself; give its seconds."""
    process, begun = start(verb, folder, storage), time.perf_counter()
    assert process.stdout
    assert process.stdout.read() == "done\n"
    assert process.wait() == 0
    process.stdout.close()
    return time.perf_counter() - begun


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("storage", ["bfloat16", "pq"])
def test_killed_processes_end_with_the_bytes_of_one_that_lived(tmp_path, storage):
    if storage == "pq":
        pytest.importorskip("faiss")
    generator = random.Random(storage)
    seconds = {verb: finish(verb, tmp_path / "whole", storage) for verb in ("build", "add")}
    for verb in ("build", "add"):
        before = contents(tmp_path / "cut") if verb == "add" else None
        for _ in range(3):
            process = start(verb, tmp_path / "cut", storage)
            time.sleep(generator.uniform(0, 0.8 * seconds[verb]))
            process.send_signal(signal.SIGKILL)
            process.communicate()
            if process.returncode == 0:
                break
            if before:
                assert MultiVectorIndex.open(tmp_path / "cut", check=True).live.sum() == 600
                assert contents(tmp_path / "cut").items() >= before.items()
        else:
            finish(verb, tmp_path / "cut", storage)
    assert contents(tmp_path / "cut") == contents(tmp_path / "whole")
    assert len(MultiVectorIndex.open(tmp_path / "cut", check=True).shards) > 10
