"""The loss of OPTICAL: the cost of transporting student tokens to teacher tokens.

References
----------
Huang, Yu and Allan (2023), OPTICAL, WSDM: knowledge distillation by optimal transport.
"""

from collections.abc import Sequence
from typing import Any

from sentence_transformers import MultiVectorEncoder
from torch import Tensor

from optical_ir.records import BitextPair
from optical_ir.training.losses import BitextLoss, pooled_distance
from optical_ir.training.token_batch import TokenBatch
from optical_ir.transport import (
    cosine_cost,
    idf_weights,
    importance_weights,
    inverse_document_frequency,
    marginal_error,
    plan_entropy,
    propagated_weights,
    solve_transport,
    uniform_weights,
)

_SENTENCES = 256
"""Sentences tokenised at once when document frequencies are counted."""


class TransportLoss(BitextLoss):
    """OPTICAL: the cost of transporting student tokens to teacher tokens.

    With cost ``C_ij = 1 - cos(S(x)_i, T(y)_j)`` and the optimal plan ``P*`` between the weighted
    scored tokens, the loss of a pair is the Frobenius product ``<P*, C>`` (Huang et al. 2023);
    ``P*`` is held constant. Plans that may leave tokens unmatched add what these cost, a constant
    that makes the loss their objective: see `optical_ir.transport.solve_transport`. It is not
    divided by the mass that moves, so a pair that does not match has little say.

    Parameters
    ----------
    model, teacher : MultiVectorEncoder
        Both with unit token embeddings of the same width.
    plan, epsilon, sinkhorn_iterations, marginal_relaxation, dustbin_cost : str, float, int
        See `optical_ir.transport.solve_transport`.
    token_weights : str
        ``uniform``, ``idf`` (over the bitext given to `prepare`, each side by itself) or
        ``importance`` (the teacher's for English tokens, propagated to foreign ones); see
        `optical_ir.transport.weights`.
    pooled_weight : float
        Weight of the distance between mean-pooled vectors; 0 leaves it out.
    score_weight, temperature : float
        See `BitextLoss`.
    """

    def __init__(
        self,
        model: MultiVectorEncoder,
        teacher: MultiVectorEncoder,
        *,
        plan: str = "entropic",
        epsilon: float = 0.05,
        sinkhorn_iterations: int = 100,
        marginal_relaxation: float = 0.2,
        dustbin_cost: float = 0.7,
        token_weights: str = "uniform",
        pooled_weight: float = 0.0,
        score_weight: float = 0.0,
        temperature: float = 0.05,
    ) -> None:
        super().__init__(model, teacher, score_weight=score_weight, temperature=temperature)
        self.solver: dict[str, Any] = {
            "plan": plan,
            "epsilon": epsilon,
            "max_iter": sinkhorn_iterations,
            "marginal_relaxation": marginal_relaxation,
            "dustbin_cost": dustbin_cost,
        }
        self.token_weights = token_weights
        self.pooled_weight = pooled_weight
        self._idf: tuple[Tensor, ...] = ()

    def prepare(self, bitext: Sequence[BitextPair]) -> None:
        """Count in how many sentences each piece occurs, if the weights need it."""
        if self.token_weights == "idf":
            self._idf = (
                _count_pieces(self.model, [pair.source for pair in bitext]),
                _count_pieces(self.teacher, [pair.target for pair in bitext]),
            )

    def score(self, student: TokenBatch, teacher: TokenBatch) -> Tensor:
        """Mean of ``<P*, C>`` and penalty over the pairs, plus the weighted pooled distance."""
        cost = cosine_cost(student.embeddings, teacher.embeddings)
        weights = self._weights(student, teacher)
        plan, penalty = solve_transport(cost, *weights, **self.solver)
        loss = ((plan * cost).sum(dim=(-1, -2)) + penalty).mean()
        self.statistics = {
            "transport": float(loss.detach()),
            "plan_entropy": float(plan_entropy(plan).mean()),
            "marginal_error": float(marginal_error(plan, *weights).max()),
            "moved_mass": float(plan.sum(dim=(-1, -2)).mean()),
        }
        if self.pooled_weight > 0:
            distance = pooled_distance(student, teacher)
            self.statistics["pooled"] = float(distance.detach())
            loss = loss + self.pooled_weight * distance
        return loss

    def _weights(self, student: TokenBatch, teacher: TokenBatch) -> tuple[Tensor, Tensor]:
        if self.token_weights == "idf":
            if not self._idf:
                raise ValueError("idf weights need the bitext: call prepare(bitext) first.")
            foreign, english = self._idf
            return (
                idf_weights(student.token_ids, student.mask, foreign),
                idf_weights(teacher.token_ids, teacher.mask, english),
            )
        if self.token_weights == "importance":
            importance = importance_weights(teacher.embeddings, teacher.mask)
            return (
                propagated_weights(
                    student.embeddings, student.mask, teacher.embeddings, importance
                ),
                importance,
            )
        return uniform_weights(student.mask), uniform_weights(teacher.mask)


def _count_pieces(encoder: MultiVectorEncoder, texts: Sequence[str]) -> Tensor:
    """Inverse document frequencies over texts, tokenised as in training."""
    batches = (
        encoder.preprocess(
            list(texts[start : start + _SENTENCES]),
            prompt=encoder.prompts.get("query"),
            task="query",
        )["input_ids"]
        for start in range(0, len(texts), _SENTENCES)
    )
    return inverse_document_frequency(batches, len(encoder.tokenizer))
