"""What a student starts from: a copy of the teacher, or another backbone with a new projection."""

import copy
from collections.abc import Sequence

import torch
from sentence_transformers import MultiVectorEncoder
from sentence_transformers.base.modules import Dense
from torch import nn

from optical_ir.errors import ConfigError
from optical_ir.models.centering import normalize_position
from optical_ir.models.dropout import set_dropout
from optical_ir.models.encoder import embedding_dim
from optical_ir.models.lengths import read_up_to
from optical_ir.training.lora import add_adapters
from optical_ir.training.settings import DistillationSettings
from optical_ir.training.vocabulary import cut_word_embeddings, word_embeddings


def start_student(
    teacher: MultiVectorEncoder,
    student: MultiVectorEncoder | None,
    settings: DistillationSettings,
    texts: Sequence[str],
) -> MultiVectorEncoder:
    """Give the student before its first step, in training mode.

    It is a copy, so that the caller's encoder stays as it is and the same call can be made again.

    Parameters
    ----------
    teacher : MultiVectorEncoder
    student : MultiVectorEncoder or None
        Another starting point than the teacher; gets a new linear layer into its space.
    settings : DistillationSettings
        Which weights are trained, and with which dropout.
    texts : sequence of str
        What the student will be trained on; see `cut_word_embeddings`.

    Raises
    ------
    ConfigError
        If adapters are to be trained beside another starting point than the teacher.
    """
    torch.manual_seed(settings.seed)
    if student is None:
        student = copy.deepcopy(teacher).requires_grad_(True)
        # The head is the teacher's map into the shared space. A centring kept as it is can be
        # folded into the backbone, which makes the student a plain checkpoint for Pyserini.
        for module in student:
            if isinstance(module, Dense):
                module.requires_grad_(False)
    else:
        if settings.lora_rank > 0:
            raise ConfigError(
                "lora_rank: adapters lie beside the teacher, found another student to start from. "
                "Leave the student out, or set lora_rank to 0."
            )
        student = copy.deepcopy(student).requires_grad_(True)
        _project_into(student, embedding_dim(teacher))
    if settings.lora_rank > 0:
        add_adapters(student, settings)
    read_up_to(student, settings.max_length)
    student.train()
    set_dropout(student, settings.dropout)
    if settings.rate_of_embeddings == 0:
        word_embeddings(student).requires_grad_(False)
    else:
        cut_word_embeddings(student, texts, max_length=settings.max_length)
    return student


def _project_into(student: MultiVectorEncoder, dim: int) -> None:
    """Insert a linear layer into the teacher's space, orthogonal to begin with."""
    dense = Dense(
        embedding_dim(student),
        dim,
        bias=True,
        activation_function=nn.Identity(),
        module_input_name="token_embeddings",
    )
    nn.init.orthogonal_(dense.linear.weight)
    nn.init.zeros_(dense.linear.bias)
    student.insert(normalize_position(student), dense.to(student.device))
