"""Distillation losses between a student's and a teacher's token embeddings of a bitext batch.

They are losses for sentence-transformers' `MultiVectorEncoderTrainer`. The first column holds
sentences in the query language, read by the student; the second their English translations, read
by the teacher. Only the student learns.

References
----------
Huang, Yu and Allan (2023), OPTICAL, WSDM: knowledge distillation by optimal transport.
Reimers and Gurevych (2020), Making monolingual sentence embeddings multilingual, eq. (1).
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from sentence_transformers import MultiVectorEncoder
from sentence_transformers.util.similarity import mean_maxsim
from torch import Tensor, nn

from optical_ir.transport import (
    cosine_cost,
    marginal_error,
    plan_entropy,
    solve_plan,
    uniform_weights,
)


class TokenBatch(NamedTuple):
    """Token embeddings (batch, n_tokens, dim) with the mask (batch, n_tokens) of scored ones."""

    embeddings: Tensor
    mask: Tensor


class BitextLoss(nn.Module, ABC):
    """Base of the losses: runs student and teacher over a batch and hands both to `score`."""

    def __init__(self, model: MultiVectorEncoder, teacher: MultiVectorEncoder) -> None:
        super().__init__()
        self.model = model
        # In a list, so that the teacher is no submodule: it has no optimiser state and is
        # neither moved to train mode nor saved with the loss.
        self._teacher = [teacher.eval().requires_grad_(False)]
        self.statistics: dict[str, float] = {}

    @property
    def teacher(self) -> MultiVectorEncoder:
        """The frozen teacher."""
        return self._teacher[0]

    def forward(self, features: Iterable[dict[str, Any]], labels: Tensor | None = None) -> Tensor:
        """Loss of a batch; pairs in which one side has nothing to score are left out."""
        foreign, english = (dict(column) for column in features)
        student = _embed(self.model, foreign)
        with torch.no_grad():
            # Each process of a multi-GPU run has its student on a device of its own.
            teacher = _embed(self.teacher.to(student.embeddings.device), english)
        kept = student.mask.any(-1) & teacher.mask.any(-1)
        if not kept.any():
            return student.embeddings.sum() * 0.0
        with torch.autocast(student.embeddings.device.type, enabled=False):
            loss = self.score(_select(student, kept), _select(teacher, kept))
        self.statistics["loss"] = float(loss.detach())
        return loss

    @abstractmethod
    def score(self, student: TokenBatch, teacher: TokenBatch) -> Tensor:
        """Compute the loss of the embedded batch, differentiable in the student's embeddings."""


def _embed(encoder: nn.Module, features: dict[str, Any]) -> TokenBatch:
    features.pop("task", None)
    output = encoder(features, task="query")
    return TokenBatch(output["token_embeddings"].float(), output["attention_mask"].bool())


def _select(batch: TokenBatch, kept: Tensor) -> TokenBatch:
    return TokenBatch(batch.embeddings[kept], batch.mask[kept])


class TransportLoss(BitextLoss):
    """OPTICAL: the cost of transporting student tokens to teacher tokens.

    With cost ``C_ij = 1 - cos(S(x)_i, T(y)_j)`` and the optimal plan ``P*`` between uniformly
    weighted scored tokens, the loss of a pair is the Frobenius product ``<P*, C>`` (Huang et al.
    2023); ``P*`` is held constant. With `score_weight`, score distillation is added: the batch's
    English sentences serve as documents, and the student's distribution of mean MaxSim over them
    is drawn to the teacher's by KL divergence.

    Parameters
    ----------
    model, teacher : MultiVectorEncoder
        Both with unit token embeddings of the same width.
    epsilon, sinkhorn_iterations : float, int
        See `optical_ir.transport.solve_plan`.
    score_weight, temperature : float
        See `optical_ir.training.DistillationSettings`.
    """

    def __init__(
        self,
        model: MultiVectorEncoder,
        teacher: MultiVectorEncoder,
        *,
        epsilon: float = 0.05,
        sinkhorn_iterations: int = 100,
        score_weight: float = 0.0,
        temperature: float = 0.05,
    ) -> None:
        super().__init__(model, teacher)
        self.epsilon = epsilon
        self.sinkhorn_iterations = sinkhorn_iterations
        self.score_weight = score_weight
        self.temperature = temperature

    def score(self, student: TokenBatch, teacher: TokenBatch) -> Tensor:
        """Mean of ``<P*, C>`` over the pairs, plus the weighted score distillation."""
        cost = cosine_cost(student.embeddings, teacher.embeddings)
        weights = uniform_weights(student.mask), uniform_weights(teacher.mask)
        plan = solve_plan(cost, *weights, epsilon=self.epsilon, max_iter=self.sinkhorn_iterations)
        loss = (plan * cost).sum(dim=(-1, -2)).mean()
        self.statistics = {
            "transport": float(loss.detach()),
            "plan_entropy": float(plan_entropy(plan).mean()),
            "marginal_error": float(marginal_error(plan, *weights).max()),
        }
        if self.score_weight > 0:
            divergence = self._score_divergence(student, teacher)
            self.statistics["score_divergence"] = float(divergence.detach())
            loss = loss + self.score_weight * divergence
        return loss

    def _score_divergence(self, student: TokenBatch, teacher: TokenBatch) -> Tensor:
        student_log, teacher_log = (
            F.log_softmax(_mean_maxsim(side, teacher) / self.temperature, dim=-1)
            for side in (student, teacher)
        )
        return F.kl_div(student_log, teacher_log, reduction="batchmean", log_target=True)


def _mean_maxsim(queries: TokenBatch, documents: TokenBatch) -> Tensor:
    scores: Tensor = mean_maxsim(
        queries.embeddings, documents.embeddings, a_mask=queries.mask, b_mask=documents.mask
    )
    return scores


class PooledLoss(BitextLoss):
    """The rival without token alignment: mean squared error between mean-pooled vectors.

    The teacher's vector of the English sentence is the target of the student's vector of its
    translation (Reimers and Gurevych 2020, second term of eq. 1).
    """

    def score(self, student: TokenBatch, teacher: TokenBatch) -> Tensor:
        """Squared distance of the pooled vectors, summed over dimensions, mean over pairs."""
        difference = _mean_pool(student) - _mean_pool(teacher)
        return difference.square().sum(-1).mean()


def _mean_pool(batch: TokenBatch) -> Tensor:
    return (uniform_weights(batch.mask).unsqueeze(-1) * batch.embeddings).sum(1)
