"""The rival that learns from English judgements: code-switched queries against their passages.

Rows are pairs of a query, code-switched by `optical_ir.training.code_switching`, and a passage
that answers it. Passages are read by the frozen teacher, so the student learns to search the
index that the teacher has made, as all students do.
"""

from typing import ClassVar

import torch
import torch.nn.functional as F
from sentence_transformers import MultiVectorEncoder
from torch import Tensor

from optical_ir.errors import ConfigError
from optical_ir.training.losses import BitextLoss
from optical_ir.training.settings import DistillationSettings
from optical_ir.training.token_batch import TokenBatch, score_documents


class ContrastiveLoss(BitextLoss):
    """Cross-entropy of the own passage among those of the batch.

    ``-log softmax(s(x_i, .) / temperature)_i``, where s is the mean MaxSim over the tokens of
    query x_i, as the student reads it, in the passages, as the teacher reads them. Copies of a
    query's passage that come with other queries are left out: they are no negatives.

    Parameters
    ----------
    model, teacher : MultiVectorEncoder
        Both with unit token embeddings of the same width.
    temperature : float
        In units of mean MaxSim, which is between -1 and 1.
    document_length : int
        Tokens kept of a passage, prompt included. Reading passages is most of a step's cost.

    References
    ----------
    Litschko et al. (2023), whose code-switched training of a cross-encoder this is for late
    interaction. Karpukhin et al. (2020), DPR, eq. (2), for in-batch negatives.
    """

    target_task: ClassVar[str] = "document"

    def __init__(
        self,
        model: MultiVectorEncoder,
        teacher: MultiVectorEncoder,
        *,
        temperature: float = 0.05,
        document_length: int = 128,
    ) -> None:
        super().__init__(model, teacher, temperature=temperature)
        self.target_length = document_length

    def score(self, student: TokenBatch, teacher: TokenBatch) -> Tensor:
        """Mean over the queries of the cross-entropy."""
        own = torch.arange(len(student.mask), device=student.mask.device)
        ids = teacher.token_ids
        is_copy = (ids.unsqueeze(0) == ids.unsqueeze(1)).all(-1).fill_diagonal_(False)
        scores = score_documents(student, teacher).masked_fill(is_copy, -torch.inf)
        loss = F.cross_entropy(scores / self.temperature, own)
        self.statistics["contrastive"] = float(loss.detach())
        return loss


def contrastive_loss(
    student: MultiVectorEncoder,
    teacher: MultiVectorEncoder,
    settings: DistillationSettings,
    *,
    document_length: int = 128,
) -> ContrastiveLoss:
    """Make the loss, for `optical_ir.training.distil`'s `loss_factory`.

    Raises
    ------
    ConfigError
        If the settings ask for score distillation or a share of English, which need the English
        of the queries, or for batches of one.
    """
    if settings.score_weight > 0:
        raise ConfigError(
            "score_weight: expected 0 for contrastive training, whose rows have passages and not "
            f"translations, found {settings.score_weight!r}. Set it to 0."
        )
    if settings.english_share > 0:
        raise ConfigError(
            "english_share: expected 0 for contrastive training, whose rows have no translations "
            f"to keep English by, found {settings.english_share!r}. Set it to 0."
        )
    if settings.batch_size < 2:
        raise ConfigError("Contrastive training needs batches of 2 rows or more, found 1.")
    return ContrastiveLoss(
        student, teacher, temperature=settings.temperature, document_length=document_length
    )
