"""Progress on stderr and quiet libraries; only what the CLI starts shows anything."""

import logging
import os
import warnings
from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.logging import RichHandler
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

_T = TypeVar("_T")

STDERR = Console(stderr=True, highlight=False, emoji=False)


def make_progress() -> Progress:
    """Progress bars on stderr: description, bar, count, time gone and time left."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=STDERR,
    )


def track(
    items: Iterable[_T], description: str, total: int | None, *, progress: Progress | None
) -> Iterator[_T]:
    """Pass `items` on and show how many went by; without `progress` only pass them on."""
    if progress is None:
        yield from items
        return
    task = progress.add_task(description, total=total)
    for item in items:
        yield item
        progress.advance(task)
    progress.update(task, total=progress.tasks[task].completed)


def set_up_logging(*, debug: bool) -> None:
    """Send this toolkit's log to stderr; libraries are heard only from errors on, or all of them.

    Spinning OpenMP threads make training several times slower on a shared machine, so they are
    told to sleep unless the user said otherwise. Must run before torch is imported.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    handler = RichHandler(console=STDERR, show_path=debug, show_time=debug)
    logging.basicConfig(
        level=logging.DEBUG if debug else logging.ERROR, handlers=[handler], format="%(message)s"
    )
    logging.getLogger("optical_ir").setLevel(logging.DEBUG if debug else logging.INFO)
    if not debug:
        warnings.simplefilter("ignore")
        _silence_libraries()


def _silence_libraries() -> None:
    os.environ.setdefault("HF_HUB_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
