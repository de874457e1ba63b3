"""Distilling the teacher's scores, with the batch's own English sentences as documents.

It teaches what to retrieve where an alignment of tokens teaches where to put them; it needs no
judgements and can be added to any loss.
"""

import torch.nn.functional as F
from torch import Tensor

from optical_ir.training.token_batch import TokenBatch, score_documents


def score_divergence(student: TokenBatch, teacher: TokenBatch, *, temperature: float) -> Tensor:
    """KL divergence of the student's scores of the English sentences from the teacher's.

    ``KL(softmax(s(y_i, .) / temperature) | softmax(s(x_i, .) / temperature))``, where s is the
    mean MaxSim over the query's tokens, x_i the foreign sentence as the student reads it and y_i
    its translation as the teacher does.

    Parameters
    ----------
    student, teacher : TokenBatch
        Of the same pairs.

    Returns
    -------
    Tensor, shape ()
        Mean over the pairs; differentiable in the student's embeddings.
    """
    student_log, teacher_log = (
        F.log_softmax(score_documents(side, teacher) / temperature, dim=-1)
        for side in (student, teacher)
    )
    return F.kl_div(student_log, teacher_log, reduction="batchmean", log_target=True)
