"""One training by several processes, as `torchrun` and `accelerate launch` start them.

Each process takes its part of every batch; the first one alone writes.
"""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState

from optical_ir.errors import ConfigError
from optical_ir.files import write_folder


def is_first_process() -> bool:
    """Whether this process is the one that writes."""
    return int(os.environ.get("RANK", "0")) == 0


def count_processes() -> int:
    """Count the processes that train together."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def check_batch_size(batch_size: int) -> None:
    """Refuse batches that cannot be shared out evenly with a `ConfigError`."""
    if batch_size % count_processes():
        raise ConfigError(
            f"batch_size: expected a multiple of the {count_processes()} processes, found "
            f"{batch_size}. Start fewer, or give another."
        )


@contextmanager
def training_folder(
    output: Path | str, identity: dict[str, Any], *, overwrite: bool, device: torch.device
) -> Iterator[Path]:
    """Folder for what a training makes, with its checkpoints if it was killed before.

    See `write_folder`, with `resume`. All processes get the same folder and leave when it has its
    name.

    Parameters
    ----------
    identity : dict
        What decides the result: an unfinished training of another identity is refused.
    device : torch.device
        Where this process trains.
    """
    output = Path(output)
    if is_first_process():
        with write_folder(output, overwrite=overwrite, resume=True) as part:
            _claim(part, identity)
            _wait_for_all(device)
            yield part
            (part / "claim.json").unlink()
            shutil.rmtree(part / "checkpoints", ignore_errors=True)
    else:
        _wait_for_all(device)
        yield output.with_name(output.name + ".tmp")
    _wait_for_all(device)


def _claim(part: Path, identity: dict[str, Any]) -> None:
    """Write down what is being made here, or check that an earlier attempt made the same."""
    path = part / "claim.json"
    text = json.dumps(identity, sort_keys=True)
    if not path.exists():
        # Renamed, so that no kill leaves half a claim, which would count as another one.
        beside = part / "claim.json.part"
        beside.write_text(text)
        beside.replace(path)
    elif path.read_text() != text:
        raise ConfigError(
            f"{part}: an unfinished run with other settings or data is here. "
            "Remove the folder to start anew, or run with the same settings to finish it."
        )


def _wait_for_all(device: torch.device) -> None:
    if count_processes() > 1:
        PartialState(cpu=device.type == "cpu").wait_for_everyone()
