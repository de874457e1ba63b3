"""Disks that are full, cannot be written or go away: one line, and nothing old is lost."""

import errno
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from optical_ir.collections import demo_folder, read_bitext
from optical_ir.errors import ConfigError, DataError, OpticalError
from optical_ir.files import iter_lines, write_file, write_folder
from optical_ir.models import load_encoder, read_description, save_teacher
from optical_ir.records import Doc
from optical_ir.retrieval.index import build_index
from optical_ir.training import DistillationSettings, distil

SETTINGS = DistillationSettings(
    max_steps=6, batch_size=4, dev_pairs=4, max_length=32, save_every=2, log_every=1
)
DOCS = [Doc(f"d{number}", "the cat sees the red bird near the house") for number in range(400)]


class Disk:
    """A small file system of its own."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def leave(self, n_bytes: int) -> None:
        """Fill it up to so many bytes."""
        filler = self.path / "filler"
        filler.unlink(missing_ok=True)
        free = shutil.disk_usage(self.path).free
        filler.write_bytes(bytes(max(0, free - n_bytes)))

    def free(self) -> None:
        """Empty it again."""
        (self.path / "filler").unlink()

    def remount(self, mode: str) -> None:
        """Make it read-only (`ro`) or not (`rw`)."""
        subprocess.run(["mount", "-o", f"remount,{mode}", self.path], check=True)


@pytest.fixture
def disk(tmp_path) -> Iterator[Disk]:
    """Give a tmpfs of 8 MB; skips where it may not be mounted."""
    path = tmp_path / "disk"
    path.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(path)]
    if shutil.which("mount") is None or os.geteuid() != 0:
        pytest.skip("only root may mount a small file system")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"a small file system cannot be mounted here ({done.stderr.strip()})")
    yield Disk(path)
    subprocess.run(["umount", "-l", path], check=True)


FULL_DISK = "no space left on the device. Free some and run the same command again"


def _snapshot(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_full_disk_at_any_size_ends_a_distillation_in_one_line_and_it_goes_on(
    disk, teacher_folder, rng, amount, record
):
    """Torch, safetensors and matplotlib write here, each with an error of its own."""
    teacher = load_encoder(teacher_folder, device="cpu")
    pairs = read_bitext(demo_folder() / "bitext.sw-en.tsv")[:60]
    whole, output = disk.path.parent / "whole", disk.path / "student"
    distil(teacher, pairs, whole, settings=SETTINGS)
    n_bytes = sum(path.stat().st_size for path in whole.rglob("*") if path.is_file())
    n_tries = amount(4, 20)
    n_full = 0
    for number in range(n_tries):
        disk.leave(int((number + rng.random()) / n_tries * 2.5 * n_bytes))
        try:
            distil(load_encoder(teacher_folder, device="cpu"), pairs, output, settings=SETTINGS)
        except ConfigError as err:
            n_full += 1
            assert FULL_DISK in str(err)
            assert not output.exists()
        disk.free()
        if not output.exists():
            distil(load_encoder(teacher_folder, device="cpu"), pairs, output, settings=SETTINGS)
        weights = "model.safetensors"
        assert (output / weights).read_bytes() == (whole / weights).read_bytes()
        shutil.rmtree(output)
    assert n_full
    record("storage", "full disk, distil", tries=n_tries, full=n_full)


def test_a_full_disk_at_any_size_ends_encoding_in_one_line_and_it_goes_on(
    disk, teacher_folder, rng, amount, record, monkeypatch
):
    monkeypatch.setattr("optical_ir.retrieval.index_build._BLOCK", 16)
    teacher = load_encoder(teacher_folder, device="cpu")
    whole = disk.path.parent / "whole"
    build_index(DOCS, teacher, whole, space="s")
    n_bytes = sum(len(content) for content in _snapshot(whole).values())
    n_tries = amount(3, 20)
    n_full = 0
    for number in range(n_tries):
        output = disk.path / f"index-{number}"
        disk.leave(int((number + rng.random()) / n_tries * 1.2 * n_bytes))
        try:
            build_index(DOCS, teacher, output, space="s")
        except ConfigError as err:
            n_full += 1
            assert FULL_DISK in str(err)
            assert not output.exists()
        disk.free()
        if not output.exists():
            build_index(DOCS, teacher, output, space="s")
        found, expected = _snapshot(output), _snapshot(whole)
        assert {**found, "index.json": b""} == {**expected, "index.json": b""}
        shutil.rmtree(output)
    assert n_full
    record("storage", "full disk, encode", tries=n_tries, full=n_full)


def test_a_full_disk_keeps_the_old_teacher(disk, teacher_folder):
    output = disk.path / "teacher"
    shutil.copytree(teacher_folder, output)
    before = _snapshot(output)
    teacher = load_encoder(teacher_folder, device="cpu")
    disk.leave(20_000)
    with pytest.raises(ConfigError, match=FULL_DISK):
        save_teacher(teacher, output, origin={}, overwrite=True)
    assert _snapshot(output) == before
    assert not output.with_name("teacher.tmp").exists()


@pytest.mark.java
def test_a_full_disk_ends_a_bm25_index_in_one_line(java, disk):
    from optical_ir.retrieval.bm25 import Bm25Index

    output = disk.path / "bm25"
    docs = [Doc(f"d{n}", " ".join(f"w{n * 7 + m}" for m in range(80))) for n in range(600)]
    with Bm25Index.build(docs, disk.path.parent / "whole") as index:
        assert index.n_docs == 600
    for left in (5_000, 300_000, 420_000):
        disk.leave(left)
        try:
            Bm25Index.build(docs, output).close()
        except OpticalError as err:
            assert FULL_DISK in str(err)
            assert not output.exists()
        else:
            shutil.rmtree(output)
        disk.free()
    Bm25Index.build(docs, output).close()


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_limit_on_the_size_of_files_ends_in_one_line(kind, tmp_path):
    """What `ulimit -f` and quotas do, in a process of its own: the limit holds for all of it."""
    script = f"""
import resource, signal
from optical_ir.files import write_file, write_folder
from optical_ir.errors import OpticalError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    if {kind!r} == "file":
        with write_file("out") as stream:
            stream.write("x" * 5000)
    else:
        with write_folder("out") as part:
            (part / "a").write_text("x" * 5000)
except OpticalError as err:
    print(err)
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "out: cannot be written (File too large)" in done.stdout
    assert list(tmp_path.iterdir()) == [] or kind == "folder"
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("existing", [False, True])
def test_a_read_only_disk_is_told_before_any_work(disk, existing):
    output = disk.path / "out"
    if existing:
        output.write_text("old")
    disk.remount("ro")
    with pytest.raises(ConfigError, match=r"is not writable\. Choose another output"):
        with write_file(output, overwrite=True):
            raise AssertionError("work was done")
    with pytest.raises(ConfigError, match=r"is not writable|is a file, expected a folder"):
        with write_folder(output, overwrite=True):
            raise AssertionError("work was done")
    with pytest.raises(ConfigError, match=r"cannot make this folder \(Read-only file system"):
        with write_file(disk.path / "new" / "out"):
            raise AssertionError("work was done")
    disk.remount("rw")
    assert not existing or output.read_text() == "old"


@pytest.mark.parametrize("number", [errno.EROFS, errno.EFBIG])
def test_a_disk_that_fails_later_ends_in_one_line(tmp_path, number):
    output = tmp_path / "out"
    output.mkdir()
    with pytest.raises(ConfigError, match=rf"cannot be written \({os.strerror(number)}\)"):
        with write_folder(output, overwrite=True):
            raise OSError(number, os.strerror(number))
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_a_file_that_shrinks_while_it_is_read_is_no_whole_file(tmp_path, suffix):
    """A plain file that loses its end reads like a shorter one, or ends within a line."""
    path = tmp_path / f"topics.tsv{suffix}"
    with write_file(path) as stream:
        stream.writelines(
            f"q{number}\tquery {random.Random(number).random()}\n" for number in range(20_000)
        )
    rows = []
    with pytest.raises(DataError, match="cannot be read") if suffix else _nothing():
        for number, line in iter_lines(path):
            rows.append(line)
            if number == 1:
                os.truncate(path, path.stat().st_size // 2)
    assert 0 < len(rows) < 20_000


class _nothing:
    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...


def test_a_disk_pulled_out_while_it_is_read_is_one_line(disk):
    path = disk.path / "topics.tsv"
    path.write_text("".join(f"q{n}\tquery\n" for n in range(100)))
    stream = iter_lines(path)
    next(stream)
    subprocess.run(["umount", "-l", disk.path], check=True)
    # What is open stays readable; what is opened anew is not there.
    assert len(list(stream)) == 99
    with pytest.raises(DataError, match="expected a file, found none"):
        next(iter_lines(path))
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", disk.path], check=True)


def test_an_index_that_shrinks_while_it_is_searched_harms_no_output(teacher_folder, tmp_path):
    """The system ends a process that reads beyond a mapped file; the run is not there, or whole."""
    teacher = load_encoder(teacher_folder, device="cpu")
    folder = tmp_path / "index"
    build_index(DOCS, teacher, folder, space=read_description(teacher_folder)["space"])
    (tmp_path / "topics.tsv").write_text("q1\tpaka ona\n")
    script = f"""
import os, sys
from optical_ir.retrieval import search
found = search.search_index
def shrink(index, *given, **more):
    os.truncate({str(folder / "shard-00000" / "vectors.bin")!r}, 0)
    return found(index, *given, **more)
search.search_index = shrink
sys.argv = ["optical-ir", "search", "--index", {str(folder)!r},
            "--encoder", {str(teacher_folder)!r}, "--topics", "topics.tsv",
            "--output", "run.trec", "--device", "cpu", "--overwrite"]
from optical_ir.cli import main
main()
"""
    (tmp_path / "run.trec").write_text("old")
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (-signal.SIGBUS, 1), done.stderr
    assert (tmp_path / "run.trec").read_text() == "old"


def test_clocks_that_go_backwards_change_nothing(teacher_folder, tmp_path, monkeypatch):
    """Of the calendar only; durations are taken from clocks that no one sets."""
    teacher = load_encoder(teacher_folder, device="cpu")
    pairs = read_bitext(demo_folder() / "bitext.sw-en.tsv")[:40]
    distil(teacher, pairs, tmp_path / "whole", settings=SETTINGS)
    now = [4e9]

    def backwards() -> float:
        now[0] -= 3600
        return now[0]

    monkeypatch.setattr(time, "time", backwards)
    teacher = load_encoder(teacher_folder, device="cpu")
    distil(teacher, pairs, tmp_path / "jumped", settings=SETTINGS)
    build_index(DOCS, teacher, tmp_path / "index", space="s")
    monkeypatch.undo()
    build_index(DOCS, teacher, tmp_path / "index-2", space="s")
    for one, other, name in (
        ("whole", "jumped", "model.safetensors"),
        ("index", "index-2", "shard-00000/vectors.bin"),
    ):
        assert (tmp_path / one / name).read_bytes() == (tmp_path / other / name).read_bytes()
    from optical_ir.training import read_log

    seconds = [
        row["seconds"] for row in read_log(tmp_path / "jumped" / "log.jsonl") if "seconds" in row
    ]
    assert seconds == sorted(seconds)
    assert min(seconds) >= 0


def test_two_processes_that_make_one_output_do_not_mix(tmp_path):
    entered, may_end = threading.Event(), threading.Event()

    def make() -> None:
        with write_folder(tmp_path / "out") as part:
            (part / "a").write_text("first")
            entered.set()
            may_end.wait(20)

    thread = threading.Thread(target=make)
    thread.start()
    assert entered.wait(20)
    with pytest.raises(ConfigError, match="another process is making it"):
        with write_folder(tmp_path / "out"):
            raise AssertionError("work was done")
    may_end.set()
    thread.join()
    assert (tmp_path / "out" / "a").read_text() == "first"
