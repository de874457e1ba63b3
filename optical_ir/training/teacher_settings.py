"""Settings of a teacher's training on judged English queries."""

from dataclasses import dataclass

from optical_ir.errors import ConfigError
from optical_ir.training.checks import check_at_least, check_positive

_POSITIVE = (
    "epochs",
    "batch_size",
    "mini_batch_size",
    "learning_rate",
    "temperature",
    "document_length",
    "first_rank",
    "log_every",
    "evaluate_every",
    "save_every",
)
_NOT_NEGATIVE = ("n_negatives", "contrastive_weight", "warmup", "dropout", "dev_queries")


@dataclass(frozen=True, kw_only=True)
class TeacherSettings:
    """How a teacher is trained.

    Attributes
    ----------
    epochs : float
        Passes over the triples; `max_steps`, where given, ends training earlier or later.
    max_steps : int or None
        Optimiser steps.
    batch_size : int
        Triples a step; each query has the documents of the others as negatives too.
    mini_batch_size : int
        Texts a forward pass; it changes speed and memory only. Below `batch_size` gradients are
        cached, which costs another forward pass and holds that many texts at once.
    learning_rate : float
        Peak of a linear schedule.
    warmup : float
        Part of all steps over which the learning rate rises from 0.
    n_negatives : int
        Hard negatives a query; 0 leaves those of the batch.
    first_rank, last_rank : int
        Ranks, from 1 and inclusive, that hard negatives are drawn from. The first ones are left
        out, since many an unjudged document there is relevant.
    temperature : float
        Of all score distributions; scores are means over query tokens, between -1 and 1, since
        sums would make long queries more certain than short ones.
    contrastive_weight : float
        Weight of the contrastive loss beside the divergence from another encoder's scores; of no
        effect where no such encoder is given.
    freeze_embeddings : bool
        Keep the word embeddings as they are, so that languages without judgements keep theirs.
    dropout : float
        Of all layers while training.
    document_length : int
        Tokens kept of a document while training, prompt included.
    dev_queries, dev_documents : int
        Queries held out of training for the retrieval curve, and documents they are searched in:
        at least their own.
    log_every, evaluate_every, save_every : int
        Steps between log lines, dev retrievals (also before and after) and checkpoints.
    seed : int
        Of negatives, data order and dropout.
    """

    epochs: float = 1.0
    max_steps: int | None = None
    batch_size: int = 32
    mini_batch_size: int = 16
    learning_rate: float = 2e-5
    warmup: float = 0.1
    n_negatives: int = 1
    first_rank: int = 3
    last_rank: int = 50
    temperature: float = 0.05
    contrastive_weight: float = 1.0
    freeze_embeddings: bool = True
    dropout: float = 0.0
    document_length: int = 128
    dev_queries: int = 200
    dev_documents: int = 1000
    log_every: int = 10
    evaluate_every: int = 1000
    save_every: int = 50
    seed: int = 42

    def __post_init__(self) -> None:
        check_positive(self, *_POSITIVE)
        check_at_least(self, 0, *_NOT_NEGATIVE)
        if self.max_steps is not None:
            check_at_least(self, 1, "max_steps")
        if not self.dropout < 1:
            raise ConfigError(f"dropout: expected less than 1, found {self.dropout!r}.")
        check_at_least(self, 2, "batch_size")
        if self.last_rank - self.first_rank + 1 < self.n_negatives:
            raise ConfigError(
                f"last_rank: expected {self.n_negatives} ranks or more from first_rank "
                f"{self.first_rank} on, found last_rank {self.last_rank}."
            )
