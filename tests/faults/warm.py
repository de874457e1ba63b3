"""Real processes of the program that start in milliseconds, and can be killed at any moment.

`python -m tests.faults.warm` imports what the verbs need and then forks a process a command, read
as JSON lines from stdin. No thread and no JVM runs before a fork.
"""

import json
import os
import random
import select
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).resolve().parents[2]


class WarmProgram:
    """The program `optical-ir`, waiting to be forked.

    Parameters
    ----------
    log : Path
        Takes what all commands write.
    """

    def __init__(self, log: Path) -> None:
        self.log = log
        known = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
        paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
        self._server = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.warm", str(log)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**known, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
        )
        assert self._answer()["ready"]

    def _answer(self) -> dict[str, Any]:
        line = self._stream(self._server.stdout).readline()
        assert line, f"the warm program ended; see {self.log}"
        answer: dict[str, Any] = json.loads(line)
        return answer

    @staticmethod
    def _stream(stream: IO[str] | None) -> IO[str]:
        assert stream is not None
        return stream

    def run(
        self, arguments: Sequence[object], *, kill_after: float | None = None, group: bool = True
    ) -> tuple[int, float]:
        """Run a command to its end, or until it is killed after some seconds.

        Parameters
        ----------
        group : bool
            Whether what the command started, such as Anserini's Java, is killed with it.

        Returns
        -------
        exit code, minus the signal that ended it; seconds it ran
        """
        requests = self._stream(self._server.stdin)
        requests.write(json.dumps([str(argument) for argument in arguments]) + "\n")
        requests.flush()
        pid, start = self._answer()["pid"], time.monotonic()
        answers = self._stream(self._server.stdout)
        limit = 300 if kill_after is None else kill_after
        if not select.select([answers], [], [], limit)[0]:
            # It is not waited for before its end is read, so the id is no other process's.
            (os.killpg if group else os.kill)(pid, signal.SIGKILL)
            assert kill_after is not None, f"{arguments} took more than {limit} s"
        return self._answer()["code"], time.monotonic() - start

    def check(self, *arguments: object) -> float:
        """Run a command that must succeed; give its seconds."""
        code, seconds = self.run(arguments)
        assert code == 0, f"{arguments} ended with {code}:\n{self.log.read_text()[-3000:]}"
        return seconds

    def close(self) -> None:
        """End the waiting process."""
        self._stream(self._server.stdin).close()
        self._server.wait(timeout=30)
        self._stream(self._server.stdout).close()


def kill_moments(rng: random.Random, seconds: float, n: int) -> list[float]:
    """Moments spread over a run: one at random in each of `n` parts of its length, shuffled."""
    moments = [(part + rng.random()) / n * seconds for part in range(n)]
    rng.shuffle(moments)
    return moments


def _serve(log: Path) -> None:
    import matplotlib.backends.backend_agg  # noqa: F401
    import ranx  # noqa: F401
    import torch
    from transformers import AutoModelForSeq2SeqLM  # noqa: F401

    import optical_ir.summary
    import optical_ir.training
    import optical_ir.translation  # noqa: F401
    from optical_ir.cli import main
    from optical_ir.retrieval import index_build

    torch.set_num_threads(1)
    # So that a small collection is many blocks.
    index_build._BLOCK = 16
    answers = os.fdopen(os.dup(1), "w")
    print(json.dumps({"ready": True}), file=answers, flush=True)
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            os.setpgid(0, 0)
            with log.open("a") as stream:
                os.dup2(stream.fileno(), 1)
                os.dup2(stream.fileno(), 2)
            sys.argv = ["optical-ir", *json.loads(line)]
            code: object = 1
            try:
                main()
            except SystemExit as end:
                code = end.code or 0
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code if isinstance(code, int) else 1)
        print(json.dumps({"pid": pid}), file=answers, flush=True)
        _, status = os.waitpid(pid, 0)
        code = os.waitstatus_to_exitcode(status)
        print(json.dumps({"code": code}), file=answers, flush=True)


if __name__ == "__main__":
    _serve(Path(sys.argv[1]))
