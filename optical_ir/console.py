"""Progress on stderr and quiet libraries; only what the CLI starts shows anything."""

import logging
import os
import warnings
from collections.abc import Iterable, Iterator
from typing import TypeVar

import typer
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

from optical_ir.texts import printable

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


def echo(text: str) -> None:
    """Write results to stdout, with all that a terminal would obey written as escapes."""
    typer.echo(printable(text, keep="\n\t"), nl=False)


def show_error(err: Exception) -> None:
    """Write an error to stderr, likewise."""
    STDERR.print(f"Error: {printable(str(err))}", markup=False, soft_wrap=True)


class _PrintableFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        """Write all that a terminal would obey as escapes."""
        return printable(super().format(record), keep="\n\t")


def set_up_logging(*, debug: bool) -> None:
    """Send this toolkit's log to stderr; libraries are heard only from errors on, or all of them.

    Spinning OpenMP threads make training several times slower on a shared machine, so they are
    told to sleep unless the user said otherwise. Must run before torch is imported.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    handler = RichHandler(console=STDERR, show_path=debug, show_time=debug)
    handler.setFormatter(_PrintableFormatter("%(message)s"))
    logging.basicConfig(level=logging.DEBUG if debug else logging.ERROR, handlers=[handler])
    logging.getLogger("optical_ir").setLevel(logging.DEBUG if debug else logging.INFO)
    if not debug:
        warnings.simplefilter("ignore")
        _silence_libraries()


def _silence_libraries() -> None:
    os.environ.setdefault("HF_HUB_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
