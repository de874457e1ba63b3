"""Dropout of an encoder, set after it was loaded."""

from sentence_transformers import MultiVectorEncoder
from torch import nn

_ATTENTION = ("attention_dropout", "attention_probs_dropout_prob", "dropout_prob")
"""Where attention modules of transformers keep a probability as a number."""


def set_dropout(encoder: MultiVectorEncoder, p: float) -> None:
    """Set every dropout probability of an encoder, in place; it has effect in train mode only.

    Parameters
    ----------
    p : float
        From 0 to below 1. It reaches `torch.nn.Dropout` modules, and the attention modules of
        transformers that hold a number instead.
    """
    for module in encoder.modules():
        if isinstance(module, nn.Dropout):
            module.p = p
        for name in _ATTENTION:
            if isinstance(getattr(module, name, None), float):
                setattr(module, name, p)
