"""What a training shows of itself: a JSONL log, curves and progress."""

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from rich.progress import Progress, TaskID
from sentence_transformers import MultiVectorEncoder
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

_PANELS = {
    "Losses": ("loss", "transport", "greedy", "pooled", "contrastive", "score_divergence"),
    "Plan entropy (nats)": ("plan_entropy",),
    "Dev retrieval, RR@10": ("dev_rr@10",),
}
"""What the curves show of a log, by title."""


class LoggedLoss(Protocol):
    """A loss that tells of its last batch."""

    model: MultiVectorEncoder
    statistics: dict[str, float]


class TrainingLog(TrainerCallback):
    """Writes a JSON line every `log_every` steps, and one for each dev retrieval.

    After a resume the lines past the checkpoint are dropped, so every step is logged once. The
    seconds, and those of the processor, are summed over the attempts. Of several processes the
    first one logs, of its part of the batches.
    """

    def __init__(
        self,
        path: Path,
        loss: LoggedLoss,
        *,
        log_every: int,
        evaluate_every: int,
        dev: Callable[[MultiVectorEncoder], float] | None = None,
        progress: Progress | None = None,
        title: str = "Distilling",
    ) -> None:
        self.path = path
        self.loss = loss
        # The trainer wraps the model of the loss when several processes train.
        self.encoder = loss.model
        self.log_every, self.evaluate_every = log_every, evaluate_every
        self.dev = dev
        self.progress, self.title = progress, title
        self.task: TaskID | None = None
        self._clocks = _read_clocks()

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Drop what a killed run logged after its last checkpoint; measure the start."""
        if not state.is_world_process_zero:
            return
        kept = [row for row in read_log(self.path) if row["step"] <= state.global_step]
        beside = self.path.with_name(self.path.name + ".part")
        beside.write_text("".join(json.dumps(row) + "\n" for row in kept), "utf-8")
        beside.replace(self.path)
        logged = next((row for row in reversed(kept) if "seconds" in row), None)
        spent = (logged["seconds"], logged["cpu_seconds"]) if logged else (0.0, 0.0)
        now = _read_clocks()
        self._clocks = (now[0] - spent[0], now[1] - spent[1])
        if self.progress is not None:
            self.task = self.progress.add_task(
                self.title, total=state.max_steps, completed=state.global_step
            )
        if not kept:
            self._evaluate(0)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Log the step and evaluate when it is due."""
        if not state.is_world_process_zero:
            return
        step, last = state.global_step, state.global_step == state.max_steps
        if self.progress is not None and self.task is not None:
            self.progress.update(self.task, completed=step)
        if step % self.log_every == 0 or last:
            rate = kwargs["lr_scheduler"].get_last_lr()[0]
            wall, cpu = (
                now - start for now, start in zip(_read_clocks(), self._clocks, strict=True)
            )
            seconds = {"seconds": round(wall, 2), "cpu_seconds": round(cpu, 2)}
            self._append({"step": step, "learning_rate": rate, **self.loss.statistics, **seconds})
        if step % self.evaluate_every == 0 or last:
            self._evaluate(step)

    def _evaluate(self, step: int) -> None:
        if self.dev is not None:
            self._append({"step": step, "dev_rr@10": self.dev(self.encoder)})

    def _append(self, row: dict[str, Any]) -> None:
        with self.path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(row) + "\n")


def _read_clocks() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def read_log(path: Path) -> list[dict[str, Any]]:
    """Rows of a training log; none if it does not exist.

    What follows the last line end is left out: a full disk cuts a row in two.
    """
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text("utf-8").split("\n")[:-1]]


def plot_curves(log: Sequence[dict[str, Any]], path: Path) -> None:
    """Draw what a log has of losses, plan entropy and dev retrieval into a PNG file."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    panels = [
        (title, [name for name in names if any(name in row for row in log)])
        for title, names in _PANELS.items()
    ]
    panels = [(title, names) for title, names in panels if names]
    figure = Figure(figsize=(4 * len(panels), 3.4), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, (title, names) in zip(
        figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True
    ):
        for name in names:
            points = [(row["step"], row[name]) for row in log if name in row]
            axes.plot(*zip(*points, strict=True), label=name, marker=".")
        axes.set_title(title, fontsize="medium")
        axes.set_xlabel("step")
        axes.grid(alpha=0.3)
        axes.legend(fontsize="small")
    figure.savefig(path, dpi=120, format="png")
