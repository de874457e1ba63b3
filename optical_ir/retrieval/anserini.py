"""Anserini's own programs, run in a process of theirs."""

import errno
import logging
import subprocess
from pathlib import Path

from optical_ir.errors import DataError
from optical_ir.retrieval.java import find_anserini_jar, find_java

logger = logging.getLogger(__name__)

_FULL_DISK = "No space left on device"


def run_anserini(program: str, output: Path, *arguments: str | Path) -> None:
    """Run a main class of Anserini, for example ``io.anserini.index.IndexCollection``.

    A process of its own, because Anserini ends the JVM on some errors, logs to stdout and cannot
    be interrupted from Python.

    Parameters
    ----------
    output : Path
        What messages call the thing that is being made.

    Raises
    ------
    DataError
        If it stops with an error.
    DependencyError
        If Pyserini or a Java for it is missing.
    OSError
        If the disk is full.
    """
    java = find_java().home / "bin" / "java"
    done = subprocess.run(
        [str(java), "-cp", str(find_anserini_jar()), program, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    logger.debug("%s", done.stdout)
    # It logs what its threads meet, and may end as if nothing had happened.
    if _FULL_DISK in done.stdout:
        raise OSError(errno.ENOSPC, _FULL_DISK)
    if done.returncode:
        lines = done.stdout.strip().splitlines() or ["it said nothing"]
        raise DataError(
            f"{output}: Anserini stopped with exit code {done.returncode} while indexing "
            f"(its last line: {lines[-1].strip()}). Run again with --debug to see its log."
        )
