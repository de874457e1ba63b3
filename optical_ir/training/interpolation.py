"""Interpolating trained weights with those that training started from.

A short training on little bitext teaches the new language and unteaches some of what the start
could do. Between the two sets of weights there are encoders that keep most of both.

References
----------
Wortsman et al. (2022), Robust fine-tuning of zero-shot models (WiSE-FT), CVPR, eq. (1).
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn


def copy_weights(model: nn.Module) -> dict[str, Tensor]:
    """Copy the weights of a model, by name."""
    return {name: weight.detach().clone() for name, weight in model.state_dict().items()}


@torch.no_grad()
def interpolate_weights(model: nn.Module, start: Mapping[str, Tensor], share: float) -> None:
    """Set each weight, in place, to ``share * weight + (1 - share) * start``.

    Parameters
    ----------
    start : mapping of str to Tensor
        Weights by the same names; see `copy_weights`.
    share : float
        Of the trained weights, between 0 and 1. Weights that training left alone stay bit-equal.
    """
    for name, weight in model.state_dict().items():
        if weight.is_floating_point() and not torch.equal(weight, start[name]):
            weight.lerp_(start[name], 1 - share)
