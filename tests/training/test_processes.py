"""Several processes train what one would."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from optical_ir.errors import ConfigError
from optical_ir.training import DistillationSettings, distil
from optical_ir.training.monitor import read_log

COMMAND = ["-m", "optical_ir", "distil", "--query-lang", "sw", "--batch-size", "4"]
COMMAND += ["--max-steps", "4", "--dev-pairs", "8", "--score-weight", "0"]


@pytest.fixture
def run(plain_folder, bitext, tmp_path):
    """Give a function that distils with the command line, by a number of processes."""
    (tmp_path / "bitext.tsv").write_text("".join(f"{a}\t{b}\n" for a, b in bitext))

    def distil_by(n_processes: int) -> Path:
        output = tmp_path / f"by-{n_processes}"
        launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node"]
        start = [*launcher, str(n_processes)] if n_processes > 1 else []
        files = ["--teacher", plain_folder, "--bitext", tmp_path / "bitext.tsv"]
        subprocess.run(
            [sys.executable, *start, *COMMAND, *files, "--output", output],
            check=True,
            timeout=300,
            env={**os.environ, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"},
        )
        return output

    return distil_by


@pytest.mark.slow
def test_two_processes_take_the_steps_of_one(run):
    one, two = run(1), run(2)
    assert sorted(path.name for path in one.iterdir()) == sorted(
        path.name for path in two.iterdir()
    )
    weights = [load_file(folder / "model.safetensors") for folder in (one, two)]
    assert weights[0].keys() == weights[1].keys()
    # A key's bias has no effect, so its gradient is rounding error, which Adam scales up.
    for name in (name for name in weights[0] if not name.endswith("key.bias")):
        torch.testing.assert_close(weights[1][name], weights[0][name], atol=1e-6, rtol=1e-4)
    steps = [[row["step"] for row in read_log(folder / "log.jsonl")] for folder in (one, two)]
    assert steps[0] == steps[1]
    assert not list(two.parent.glob("by-2.*"))


def test_batches_that_cannot_be_shared_out_are_refused(teacher, bitext, tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "3")
    monkeypatch.setattr("optical_ir.training.processes._wait_for_all", lambda device: None)
    settings = DistillationSettings(batch_size=4, max_steps=1, dev_pairs=8)
    with pytest.raises(ConfigError, match="batch_size: expected a multiple of the 3 processes"):
        distil(teacher, bitext, tmp_path / "student", settings=settings)
