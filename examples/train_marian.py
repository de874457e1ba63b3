"""Train a small Marian translation model on bitext, for `optical-ir translate`.

    python examples/train_marian.py --config examples/marian.toml --bitext swa-en.tsv \
        --query-lang sw --output marian-sw

It takes the whole way from sentence pairs to BM25 on translations with a model of one's own,
without a hub. Such a model is weak; take OPUS-MT or NLLB-200 where you can.

What is kept is the moving average of the weights with the least loss on held-out pairs. Training
that was killed goes on, to the same weights. `marian_model.py` has the model.
"""

import copy
import json
import logging
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from marian_model import (
    Ids,
    Settings,
    batch_loss,
    batches_of,
    encode_pairs,
    iter_batches,
    make_model,
    make_tokenizer,
    mean_loss,
)
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from transformers import MarianMTModel, MarianTokenizer

from optical_ir.collections import read_bitext, sample_pairs
from optical_ir.errors import ConfigError
from optical_ir.files import read_toml, write_file, write_folder
from optical_ir.provenance import write_origin
from optical_ir.records import BitextPair
from optical_ir.toml import from_table

logger = logging.getLogger("train_marian")

_DECAY = 0.999
"""Of the moving average of the weights, once there were enough steps."""


@dataclass
class Progress:
    """How far training came, all attempts together.

    Minutes are those of the processor, which do not count what else a machine does; the loss is
    that of held-out pairs, in nats a token.
    """

    step: int = 0
    minutes: float = 0.0
    best_loss: float = float("inf")
    best_step: int = 0
    n_stale: int = 0


class Training:
    """Model, moving average and optimizer, with a state in `folder` between attempts."""

    def __init__(self, model: MarianMTModel, settings: Settings, folder: Path) -> None:
        self.model = model.train()
        self.average = copy.deepcopy(model).eval()
        self.settings = settings
        self.progress = Progress()
        self._state = folder / "state.safetensors"
        self._optimizer = torch.optim.AdamW(
            [weight for weight in model.parameters() if weight.requires_grad],
            lr=settings.learning_rate,
            betas=(0.9, 0.98),
        )

    def run(self, batches: Iterator[list[Ids]], dev: Sequence[Sequence[Ids]]) -> None:
        """Train until the steps, the minutes or the patience are used up."""
        if self._state.exists():
            self._load()
        for _ in range(self.progress.step):
            next(batches)
        while not self._is_done():
            start = time.process_time()
            torch.manual_seed(self.settings.seed + self.progress.step)
            n_steps = min(self.settings.eval_every, self.settings.max_steps - self.progress.step)
            loss = float(np.mean([self._step(next(batches)) for _ in range(n_steps)]))
            self._evaluate(dev)
            self.progress.minutes += (time.process_time() - start) / 60
            self._save()
            logger.info("Loss %.3f; %s", loss, self.progress)

    def _is_done(self) -> bool:
        progress, settings = self.progress, self.settings
        return (
            progress.step >= settings.max_steps
            or progress.minutes >= settings.max_minutes
            or progress.n_stale >= settings.patience
        )

    def _step(self, batch: Sequence[Ids]) -> float:
        self.progress.step += 1
        step, settings = self.progress.step, self.settings
        factor = min(step / settings.warmup, (settings.warmup / step) ** 0.5)
        self._optimizer.param_groups[0]["lr"] = settings.learning_rate * factor
        with torch.autocast(self.model.device.type, torch.bfloat16):
            loss = batch_loss(self.model, batch, smoothing=settings.smoothing)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self._optimizer.step()
        self._optimizer.zero_grad()
        decay = min(_DECAY, (1 + step) / (10 + step))
        with torch.no_grad():
            pairs = zip(self.average.parameters(), self.model.parameters(), strict=True)
            for average, weight in pairs:
                average.lerp_(weight, 1 - decay)
        return loss.item()

    def _evaluate(self, dev: Sequence[Sequence[Ids]]) -> None:
        progress, loss = self.progress, mean_loss(self.average, dev)
        progress.n_stale += 1
        if loss < progress.best_loss:
            progress.best_loss, progress.best_step, progress.n_stale = loss, progress.step, 0
            self.average.save_pretrained(self._state.parent)

    def _save(self) -> None:
        tensors = {f"model/{name}": weight for name, weight in self.model.named_parameters()}
        tensors |= {f"mean/{name}": weight for name, weight in self.average.named_parameters()}
        for index, moments in self._optimizer.state_dict()["state"].items():
            tensors |= {f"{name}/{index}": value for name, value in moments.items()}
        part = self._state.with_suffix(".tmp")
        save_file(tensors, part, metadata={"progress": json.dumps(asdict(self.progress))})
        part.replace(self._state)

    def _load(self) -> None:
        with safe_open(self._state, "pt") as stream:
            self.progress = Progress(**json.loads(stream.metadata()["progress"]))
        tensors = load_file(self._state)
        for kind, model in (("model", self.model), ("mean", self.average)):
            for name, weight in model.named_parameters():
                weight.data.copy_(tensors[f"{kind}/{name}"])
        moments: dict[int, dict[str, torch.Tensor]] = {}
        for name, tensor in tensors.items():
            kind, _, index = name.partition("/")
            if index.isdigit():
                moments.setdefault(int(index), {})[kind] = tensor
        self._optimizer.load_state_dict({**self._optimizer.state_dict(), "state": moments})
        logger.info("Going on after step %d.", self.progress.step)


def train(
    parts: Sequence[Sequence[BitextPair]],
    dev: Sequence[BitextPair],
    folder: Path,
    language: str,
    settings: Settings,
    *,
    device: str,
) -> Progress:
    """Train in `folder`, or go on there, and leave the best model and its tokenizer in it."""
    if (folder / "state.safetensors").exists():
        tokenizer = MarianTokenizer.from_pretrained(folder)
    else:
        texts = [text for part in parts for pair in part for text in pair]
        tokenizer = make_tokenizer(folder, texts, language, settings.vocabulary)
    first, *others = [encode_pairs(tokenizer, part, settings.max_length) for part in parts]
    n_wanted = round(settings.share * len(first))
    repeated = [pair for other in others for pair in islice(cycle(other), n_wanted)]
    batches = iter_batches([*first, *repeated], settings)
    training = Training(make_model(tokenizer, settings).to(device), settings, folder)
    encoded = encode_pairs(tokenizer, dev, settings.max_length)
    training.run(batches, batches_of(encoded, settings.batch_tokens))
    return training.progress


def main(
    bitext: Annotated[
        list[Path],
        typer.Option(help="Foreign TAB English; further files are in the queries' style."),
    ],
    query_lang: Annotated[str, typer.Option(help="Language of the foreign side.")],
    output: Annotated[Path, typer.Option(help="Folder of the model.")],
    config: Annotated[Path | None, typer.Option(help="TOML file of settings.")] = None,
    exclude_source: Annotated[
        list[str] | None, typer.Option(help="By the third column of the first file.")
    ] = None,
    dev: Annotated[Path | None, typer.Option(help="Bitext to judge by; held out if none.")] = None,
    device: Annotated[str, typer.Option(help="Torch device.")] = "cpu",
) -> None:
    """Train a Marian model from a language into English, for `optical-ir translate`."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    warnings.filterwarnings("ignore", message="Recommended: pip install sacremoses")
    settings = from_table(Settings, str(config), read_toml(config) if config else {})
    parts = [read_bitext(bitext[0], exclude_sources=exclude_source or ())]
    parts += [read_bitext(path) for path in bitext[1:]]
    held_out = read_bitext(dev) if dev else sample_pairs(parts[0], settings.dev_pairs)
    if not dev:
        unseen = set(held_out)
        parts[0] = [pair for pair in parts[0] if pair not in unseen]
    inputs = {f"bitext {number}": path for number, path in enumerate(bitext, start=1)}
    given = {"query_lang": query_lang, "exclude_sources": exclude_source, **asdict(settings)}
    with write_folder(output, resume=True) as folder:
        _check_attempt(folder / "attempt.json", given)
        progress = train(parts, held_out, folder, query_lang, settings, device=device)
        for name in ("attempt.json", "state.safetensors"):
            (folder / name).unlink()
    write_origin(
        output,
        settings=given,
        inputs=inputs | ({"dev": dev} if dev else {}),
        facts={"pairs": list(map(len, parts)), "device": device, "progress": asdict(progress)},
    )


def _check_attempt(path: Path, given: dict[str, Any]) -> None:
    """Refuse to go on with other settings; more minutes or steps are fine."""
    limits = ("max_steps", "max_minutes", "patience")
    kept = {name: value for name, value in given.items() if name not in limits}
    if path.exists() and json.loads(path.read_text("utf-8")) != kept:
        raise ConfigError(
            f"{path.parent}: expected the settings that training began with, found others. "
            "Remove the folder, or choose another --output."
        )
    with write_file(path, overwrite=True) as stream:
        stream.write(json.dumps(kept))


if __name__ == "__main__":
    typer.run(main)
