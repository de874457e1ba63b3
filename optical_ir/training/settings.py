"""Settings of a distillation; the defaults are measured in the README's results section."""

from dataclasses import dataclass

from optical_ir.errors import ConfigError

_POSITIVE = (
    "epochs",
    "batch_size",
    "learning_rate",
    "sinkhorn_iterations",
    "temperature",
    "max_length",
    "log_every",
    "evaluate_every",
    "save_every",
)


@dataclass(frozen=True, kw_only=True)
class DistillationSettings:
    """How a student is distilled from a bitext.

    Attributes
    ----------
    epochs : float
        Passes over the bitext; `max_steps`, where given, ends training earlier or later.
    max_steps : int or None
        Optimiser steps.
    batch_size : int
        Sentence pairs a step.
    learning_rate : float
        Peak of a linear schedule.
    warmup : float
        Part of all steps over which the learning rate rises from 0.
    epsilon : float
        Entropic regularisation of the plan, in units of cost (0 to 2); 0 solves exactly.
    sinkhorn_iterations : int
        At most; the solver stops earlier when the marginals hold.
    score_weight : float
        Weight of score distillation over the English sentences of the batch; 0 leaves it out.
    temperature : float
        Of both score distributions; scores are means over query tokens, between -1 and 1.
    freeze_embeddings : bool
        Keep the word embeddings as they are: faster, and nothing is forgotten.
    max_length : int
        Tokens kept of a sentence, prompt included.
    dev_pairs : int
        Pairs held out of training, for the retrieval curve.
    log_every, evaluate_every, save_every : int
        Steps between log lines, dev retrievals and checkpoints.
    seed : int
        Of the data order and of dropout.
    """

    epochs: float = 1.0
    max_steps: int | None = None
    batch_size: int = 32
    learning_rate: float = 5e-5
    warmup: float = 0.1
    epsilon: float = 0.05
    sinkhorn_iterations: int = 100
    score_weight: float = 0.5
    temperature: float = 0.05
    freeze_embeddings: bool = True
    max_length: int = 64
    dev_pairs: int = 200
    log_every: int = 10
    evaluate_every: int = 60
    save_every: int = 60
    seed: int = 42

    def __post_init__(self) -> None:
        for name in _POSITIVE:
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name}: expected more than 0, found {getattr(self, name)!r}.")
        for name in ("epsilon", "score_weight", "dev_pairs", "warmup"):
            if not getattr(self, name) >= 0:
                raise ConfigError(f"{name}: expected 0 or more, found {getattr(self, name)!r}.")
        if self.max_steps is not None and self.max_steps < 1:
            raise ConfigError(f"max_steps: expected 1 or more, found {self.max_steps!r}.")
        if self.score_weight > 0 and self.batch_size < 2:
            raise ConfigError("Score distillation needs batches of 2 pairs or more, found 1.")
