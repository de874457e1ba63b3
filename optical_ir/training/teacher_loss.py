"""The loss of a teacher: sentence-transformers' own, over scores that do not grow with length.

References
----------
Khattab and Zaharia (2020), ColBERT, section 3.3: the contrastive loss.
Santhanam, Khattab, Saad-Falcon, Potts and Zaharia (2022), ColBERTv2, section 3.2: KL divergence
from another model's scores.
Gao, Zhang, Han and Callan (2021), gradient caching: large batches in little memory.
"""

from collections.abc import Iterable
from typing import Any

from sentence_transformers import MultiVectorEncoder
from sentence_transformers.multi_vector_encoder.losses import (
    CachedMultiVectorMultipleNegativesRankingLoss,
    MultiVectorDistillKLDivLoss,
    MultiVectorMultipleNegativesRankingLoss,
)
from sentence_transformers.multi_vector_encoder.scoring import (
    mean_colbert_kd_scores,
    mean_colbert_scores,
)
from torch import Tensor, nn

from optical_ir.training.teacher_settings import TeacherSettings


class TeacherLoss(nn.Module):
    """Contrastive loss over the batch and its hard negatives; with labels also their divergence.

    Without labels it is the contrastive loss. With labels, the scores of another encoder, it is
    ``KL(softmax(label / t) | softmax(score / t)) + contrastive_weight * contrastive``, where the
    divergence is over the documents of a row and t the temperature.

    Parameters
    ----------
    model : MultiVectorEncoder
    settings : TeacherSettings
        Temperature, weight and size of mini-batches.
    """

    def __init__(self, model: MultiVectorEncoder, settings: TeacherSettings) -> None:
        super().__init__()
        self.model = model
        self.settings = settings
        # Caching gradients costs another forward pass, so it is left out where all texts fit.
        is_cached = settings.mini_batch_size < settings.batch_size
        contrastive: type[nn.Module] = (
            CachedMultiVectorMultipleNegativesRankingLoss
            if is_cached
            else MultiVectorMultipleNegativesRankingLoss
        )
        self.contrastive = contrastive(
            model,
            scale=1 / settings.temperature,
            similarity_fct=mean_colbert_scores,
            mini_batch_size=settings.mini_batch_size,
        )
        self.divergence = MultiVectorDistillKLDivLoss(
            model,
            similarity_fct=mean_colbert_kd_scores,
            temperature=settings.temperature,
            mini_batch_size=settings.mini_batch_size,
        )
        self.statistics: dict[str, float] = {}

    def forward(self, features: Iterable[dict[str, Any]], labels: Tensor | None = None) -> Tensor:
        """Loss of a batch of queries, relevant documents and negatives; labels (batch, n_docs)."""
        columns = list(features)
        terms = []
        if labels is not None:
            # The stock loss is multiplied by the squared temperature; here it is in nats.
            divergence = self.divergence(columns, labels) / self.settings.temperature**2
            self.statistics["score_divergence"] = float(divergence.detach())
            terms.append(divergence)
        weight = 1.0 if labels is None else self.settings.contrastive_weight
        if weight > 0:
            contrastive = self.contrastive(columns)
            self.statistics["contrastive"] = float(contrastive.detach())
            terms.append(weight * contrastive)
        loss: Tensor = sum(terms[1:], start=terms[0])
        self.statistics["loss"] = float(loss.detach())
        return loss
