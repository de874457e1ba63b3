"""Dropout of a loaded encoder, wherever its layers keep it.

A checkpoint fixes its dropout in `config.json`, where it is read once, when layers are made. What
counts afterwards is in the layers: modules of their own, or numbers that attention reads.
"""

from torch import nn
from torch.nn.modules.dropout import _DropoutNd


def set_dropout(encoder: nn.Module, p: float) -> None:
    """Set, in place, the probability of all dropout of an encoder, that of attention included.

    Parameters
    ----------
    encoder : nn.Module
        Any model of transformers or sentence-transformers. Where a checkpoint without dropout
        has an `nn.Identity` in place of a dropout, that one stays.
    p : float
        Probability that a value is dropped, at least 0 and below 1.
    """
    for module in encoder.modules():
        if isinstance(module, _DropoutNd):
            module.p = p
        # Attention (of ModernBERT, T5 and others) keeps a plain number in place of a module.
        for name, value in list(vars(module).items()):
            if "dropout" in name and type(value) in (int, float):
                setattr(module, name, p)
