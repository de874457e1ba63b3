"""Kills at any moment, of a process that builds or adds, leave what goes on to the same bytes."""

import random
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from optical_ir.retrieval.index import MultiVectorIndex

# Runs each line "verb folder storage seconds" in a child, which is killed after so many seconds;
# prints how long it took and whether it was killed. So the imports are paid for once.
SCRIPT = textwrap.dedent("""
    import os, signal, sys, time, zlib
    import numpy as np
    from optical_ir.records import Doc
    from optical_ir.retrieval import index_build, index_edit, shard_writer

    index_build._BLOCK = 5
    shard_writer._SHARD_SHARE = 40000 / index_build.DEFAULT_MEMORY

    class Encoder:
        dim, longest = 16, 50

        def encode_documents(self, texts, *, batch_size=32):
            generators = [np.random.default_rng(zlib.crc32(text.encode())) for text in texts]
            rows = [g.standard_normal((int(g.integers(50)), 16), np.float32) for g in generators]
            return [own / np.linalg.norm(own, axis=1, keepdims=True) for own in rows]

    def docs(first, last):
        for number in range(first, last):
            yield Doc(str(number), f"text {number}")

    def work(verb, folder, storage):
        if verb == "build":
            index_build.write_index(docs(0, 300), Encoder(), folder, space="s", storage=storage)
        else:
            index_edit.add_documents(folder, docs(300, 450), Encoder(), space="s")

    for line in sys.stdin:
        verb, folder, storage, seconds = line.split()
        begun = time.perf_counter()
        child = os.fork()
        if not child:
            work(verb, folder, storage)
            os._exit(0)
        status = None
        while status is None:
            done, found = os.waitpid(child, os.WNOHANG)
            status = found if done else None
            if not done and time.perf_counter() - begun > float(seconds):
                os.kill(child, signal.SIGKILL)
            time.sleep(0.001)
        print(time.perf_counter() - begun, os.waitstatus_to_exitcode(status), flush=True)
""")


@pytest.fixture(scope="module")
def run():
    """Give a function that works in a process of its own: seconds it took, and its exit code."""
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:

        def run(verb, folder, storage, seconds=1000.0):
            process.stdin.write(f"{verb} {folder} {storage} {seconds}\n")
            process.stdin.flush()
            taken, code = process.stdout.readline().split()
            return float(taken), int(code)

        yield run
        process.stdin.close()


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("storage", ["bfloat16", "pq"])
def test_killed_processes_end_with_the_bytes_of_one_that_lived(run, tmp_path, storage):
    if storage == "pq":
        pytest.importorskip("faiss")
    generator = random.Random(storage)
    for verb, n_docs in (("build", 300), ("add", 450)):
        seconds, code = run(verb, tmp_path / "whole", storage)
        assert code == 0
        before = contents(tmp_path / "cut")
        n_kills = 0
        while n_kills < 5:
            _, code = run(verb, tmp_path / "cut", storage, generator.uniform(0, 0.6 * seconds))
            if code == 0:
                break
            n_kills += 1
            if before:
                assert contents(tmp_path / "cut").items() >= before.items()
                assert len(MultiVectorIndex.open(tmp_path / "cut", check=True).doc_ids) == 300
        if code:
            assert run(verb, tmp_path / "cut", storage)[1] == 0
        assert n_kills
        assert contents(tmp_path / "cut") == contents(tmp_path / "whole")
        assert len(MultiVectorIndex.open(tmp_path / "cut", check=True).doc_ids) == n_docs
    assert len(MultiVectorIndex.open(tmp_path / "cut").shards) > 5
