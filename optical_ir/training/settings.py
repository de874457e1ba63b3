"""Settings of a distillation; `experiments/variants.toml` exchanges them one by one."""

from dataclasses import dataclass

from optical_ir.errors import ConfigError
from optical_ir.training.checks import check_at_least, check_positive
from optical_ir.transport import PLANS, TOKEN_WEIGHTS

LOSSES = ("transport", "greedy", "pooled")
"""OPTICAL, and the rivals that learn from the same bitext."""

_CHOICES = {"loss": LOSSES, "plan": PLANS, "token_weights": TOKEN_WEIGHTS}
_EMBEDDINGS_FASTER = 10.0
"""A row moves only when its piece comes up, so it needs larger steps than other weights."""

_NOT_NEGATIVE = ("epsilon", "pooled_weight", "score_weight", "dev_pairs", "warmup", "lora_rank")
_POSITIVE = (
    "epochs",
    "batch_size",
    "learning_rate",
    "sinkhorn_iterations",
    "marginal_relaxation",
    "dustbin_cost",
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
    loss : str
        ``transport`` (OPTICAL), or a rival: ``greedy`` (each token to the nearest one) or
        ``pooled`` (mean vectors). What is said of plans and weights below is for transport.
    plan : str
        ``entropic``, ``exact``, ``proximal``, or, for noisy bitext, ``unbalanced`` or
        ``dustbin``; see `optical_ir.transport.solve_transport`.
    epsilon : float
        Entropic regularisation of the plan, in units of cost (0 to 2); 0 solves exactly. For
        proximal plans the length of a step.
    sinkhorn_iterations : int
        At most; the solver stops earlier when the marginals hold.
    marginal_relaxation : float
        What unmatched mass costs under unbalanced plans, in units of cost.
    dustbin_cost : float
        Cost above which dustbin plans leave tokens unmatched.
    token_weights : str
        ``uniform``, ``idf`` or ``importance``; see `optical_ir.transport.weights`.
    pooled_weight : float
        Weight of the distance of mean vectors beside transport; 0 leaves it out.
    score_weight : float
        Weight of score distillation over the English sentences of the batch, beside any loss; 0
        leaves it out.
    temperature : float
        Of both score distributions; scores are means over query tokens, between -1 and 1.
    english_share : float
        Part of the batches that draw the student to the teacher on English sentences, so that it
        answers English queries too.
    embedding_learning_rate : float or None
        Of the word embeddings of the pieces that the bitext has; None is ten times
        `learning_rate`, and 0 keeps them all as they are.
    lora_rank : int
        Train low-rank adapters (LoRA) of this rank beside all linear layers in place of their
        weights: the student is then a few megabytes beside its teacher, and the rows of its word
        embeddings if `embedding_learning_rate` is not 0. 0 trains the weights
        themselves.
    lora_alpha : float or None
        What adapters add is scaled by `lora_alpha / lora_rank`; twice the rank if not given.
    dropout : float
        Of the student in training, in place of its checkpoint's. A teacher's token embeddings are
        a target without noise, and 0 learns more from it in fewer seconds.
    trained_share : float
        Part of the trained weights in the student, above 0 and at most 1; the rest are those it
        started from. See `optical_ir.training.interpolation`.
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
    learning_rate: float = 3e-5
    warmup: float = 0.1
    loss: str = "transport"
    plan: str = "entropic"
    epsilon: float = 0.05
    sinkhorn_iterations: int = 100
    marginal_relaxation: float = 0.2
    dustbin_cost: float = 0.7
    token_weights: str = "uniform"
    pooled_weight: float = 0.0
    score_weight: float = 0.5
    temperature: float = 0.05
    english_share: float = 0.0
    embedding_learning_rate: float | None = None
    lora_rank: int = 0
    lora_alpha: float | None = None
    dropout: float = 0.0
    trained_share: float = 1.0
    max_length: int = 64
    dev_pairs: int = 200
    log_every: int = 10
    evaluate_every: int = 60
    save_every: int = 60
    seed: int = 42

    def __post_init__(self) -> None:
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise ConfigError(
                    f"{name}: expected one of {', '.join(choices)}, found {getattr(self, name)!r}."
                )
        check_positive(self, *_POSITIVE)
        check_at_least(self, 0, *_NOT_NEGATIVE)
        for name in ("dropout", "english_share"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(
                    f"{name}: expected 0 or more and less than 1, found {getattr(self, name)!r}."
                )
        self._check_adapters()
        self._check_combinations()

    @property
    def rate_of_embeddings(self) -> float:
        """Learning rate of the word embeddings; 0 if they are kept as they are."""
        own = self.embedding_learning_rate
        return _EMBEDDINGS_FASTER * self.learning_rate if own is None else own

    def _check_adapters(self) -> None:
        if self.lora_alpha is not None:
            check_positive(self, "lora_alpha")
            if self.lora_rank == 0:
                raise ConfigError(
                    "lora_alpha: expected none without adapters. Leave it out, or set lora_rank."
                )
        if self.lora_rank > 0 and self.trained_share < 1:
            raise ConfigError(
                f"trained_share: expected 1 with adapters, found {self.trained_share!r}. Scale "
                "them by lora_alpha instead."
            )

    def _check_combinations(self) -> None:
        if not 0 < self.trained_share <= 1:
            raise ConfigError(
                f"trained_share: expected above 0 and at most 1, found {self.trained_share!r}."
            )
        if self.embedding_learning_rate is not None:
            check_at_least(self, 0, "embedding_learning_rate")
        if self.max_steps is not None:
            check_at_least(self, 1, "max_steps")
        if self.score_weight > 0 and self.batch_size < 2:
            raise ConfigError("Score distillation needs batches of 2 pairs or more, found 1.")
        if self.token_weights == "importance" and self.batch_size < 2:
            raise ConfigError("Importance weights need batches of 2 pairs or more, found 1.")
        if self.plan in ("proximal", "unbalanced") and self.epsilon == 0:
            raise ConfigError(
                f"epsilon: expected more than 0 for {self.plan} plans, found 0. Give one, or set "
                "plan to exact."
            )
