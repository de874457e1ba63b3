"""Making the loss that the settings of a distillation describe."""

from collections.abc import Callable

from sentence_transformers import MultiVectorEncoder

from optical_ir.training.losses import BitextLoss, GreedyLoss, PooledLoss
from optical_ir.training.settings import DistillationSettings
from optical_ir.training.transport_loss import TransportLoss

LossFactory = Callable[[MultiVectorEncoder, MultiVectorEncoder, DistillationSettings], BitextLoss]


def make_loss(
    student: MultiVectorEncoder, teacher: MultiVectorEncoder, settings: DistillationSettings
) -> BitextLoss:
    """Make the loss that the settings describe: OPTICAL's, or that of a rival.

    Score distillation is added to any of them with ``settings.score_weight``; 0 makes the rivals
    what they are in the literature.
    """
    scores = {"score_weight": settings.score_weight, "temperature": settings.temperature}
    if settings.loss == "greedy":
        return GreedyLoss(student, teacher, **scores)
    if settings.loss == "pooled":
        return PooledLoss(student, teacher, **scores)
    return TransportLoss(
        student,
        teacher,
        plan=settings.plan,
        epsilon=settings.epsilon,
        sinkhorn_iterations=settings.sinkhorn_iterations,
        marginal_relaxation=settings.marginal_relaxation,
        dustbin_cost=settings.dustbin_cost,
        token_weights=settings.token_weights,
        pooled_weight=settings.pooled_weight,
        **scores,
    )
