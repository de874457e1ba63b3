"""Distillation losses between a student's and a teacher's token embeddings of a bitext batch.

They are losses for sentence-transformers' `MultiVectorEncoderTrainer`. The first column holds
sentences in the query language, read by the student; the second their English translations, read
by the teacher, as queries unless a loss says otherwise. Only the student learns. Here are their
base and the two rivals of OPTICAL.

References
----------
Reimers and Gurevych (2020), Making monolingual sentence embeddings multilingual, eq. (1).
Li, Franz, Sultan, Iyer, Lee and Sil (2022), Learning cross-lingual IR from an English retriever,
NAACL: DR.DECR, in PrimeQA.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

import torch
from sentence_transformers import MultiVectorEncoder
from torch import Tensor, nn

from optical_ir.records import BitextPair
from optical_ir.training.score_distillation import score_divergence
from optical_ir.training.token_batch import TokenBatch, embed_tokens, mean_pool, select_rows
from optical_ir.transport import cosine_cost, uniform_weights


class BitextLoss(nn.Module, ABC):
    """Base of the losses: runs student and teacher over a batch and hands both to `score`.

    Parameters
    ----------
    model, teacher : MultiVectorEncoder
        Both with unit token embeddings of the same width.
    score_weight : float
        Weight of score distillation, added to whatever `score` gives; 0 leaves it out.
    temperature : float
        See `optical_ir.training.score_distillation.score_divergence`.

    Attributes
    ----------
    target_task : str
        What the teacher reads the English side as: ``query`` or ``document``.
    target_length : int or None
        Tokens kept of the English side; None for as many as of the foreign one.
    """

    target_task: ClassVar[str] = "query"
    target_length: int | None = None

    def __init__(
        self,
        model: MultiVectorEncoder,
        teacher: MultiVectorEncoder,
        *,
        score_weight: float = 0.0,
        temperature: float = 0.05,
    ) -> None:
        super().__init__()
        self.model = model
        # In a list, so that the teacher is no submodule: it has no optimiser state and is
        # neither moved to train mode nor saved with the loss.
        self._teacher = [teacher.eval().requires_grad_(False)]
        self.score_weight = score_weight
        self.temperature = temperature
        self.statistics: dict[str, float] = {}

    @property
    def teacher(self) -> MultiVectorEncoder:
        """The frozen teacher."""
        return self._teacher[0]

    def prepare(self, bitext: Sequence[BitextPair]) -> None:
        """Estimate from the training pairs what the loss needs to know; here nothing."""

    def forward(self, features: Iterable[dict[str, Any]], labels: Tensor | None = None) -> Tensor:
        """Loss of a batch; pairs in which one side has nothing to score are left out."""
        foreign, english = features
        student = embed_tokens(self.model, foreign)
        with torch.no_grad():
            # Each process of a multi-GPU run has its student on a device of its own.
            teacher = embed_tokens(
                self.teacher.to(student.embeddings.device), english, task=self.target_task
            )
        kept = student.mask.any(-1) & teacher.mask.any(-1)
        if not kept.any():
            return student.embeddings.sum() * 0.0
        student, teacher = select_rows(student, kept), select_rows(teacher, kept)
        with torch.autocast(student.embeddings.device.type, enabled=False):
            loss = self.score(student, teacher)
            if self.score_weight > 0:
                divergence = score_divergence(student, teacher, temperature=self.temperature)
                self.statistics["score_divergence"] = float(divergence.detach())
                loss = loss + self.score_weight * divergence
        self.statistics["loss"] = float(loss.detach())
        return loss

    @abstractmethod
    def score(self, student: TokenBatch, teacher: TokenBatch) -> Tensor:
        """Compute the loss of the embedded batch, differentiable in the student's embeddings."""


class GreedyLoss(BitextLoss):
    """The rival that aligns greedily: each student token goes to its nearest teacher token.

    The loss of a pair is the mean over its foreign tokens of ``min_j 1 - cos(S(x)_i, T(y)_j)``
    (Li et al. 2022); on unit vectors the squared distance is twice that. Nothing holds several
    tokens back from going to one and the same, or leaving some teacher tokens without any.
    """

    def score(self, student: TokenBatch, teacher: TokenBatch) -> Tensor:
        """Mean over the pairs of the cost of the nearest teacher token."""
        cost = cosine_cost(student.embeddings, teacher.embeddings)
        nearest = cost.masked_fill(~teacher.mask.unsqueeze(-2), torch.inf).amin(-1)
        loss = (uniform_weights(student.mask) * nearest).sum(-1).mean()
        self.statistics["greedy"] = float(loss.detach())
        return loss


class PooledLoss(BitextLoss):
    """The rival without token alignment: mean squared error between mean-pooled vectors.

    The teacher's vector of the English sentence is the target of the student's vector of its
    translation (Reimers and Gurevych 2020, second term of eq. 1).
    """

    def score(self, student: TokenBatch, teacher: TokenBatch) -> Tensor:
        """Squared distance of the pooled vectors, summed over dimensions, mean over pairs."""
        loss = pooled_distance(student, teacher)
        self.statistics["pooled"] = float(loss.detach())
        return loss


def pooled_distance(student: TokenBatch, teacher: TokenBatch) -> Tensor:
    """Squared distance between mean-pooled vectors, mean over the pairs; shape ()."""
    return (mean_pool(student) - mean_pool(teacher)).square().sum(-1).mean()
