"""Ground costs and weights of the transport problem between two token sets; tensors only."""

import torch
from torch import Tensor


def cosine_cost(source: Tensor, target: Tensor) -> Tensor:
    """Cost of moving each source token to each target token, ``1 - cosine``.

    Parameters
    ----------
    source : Tensor, shape (batch, n_source, dim)
        Unit vectors.
    target : Tensor, shape (batch, n_target, dim)
        Unit vectors.

    Returns
    -------
    Tensor, shape (batch, n_source, n_target), float32
        Between 0 and 2; differentiable.
    """
    return 1.0 - source.float() @ target.float().transpose(-1, -2)


def uniform_weights(mask: Tensor) -> Tensor:
    """Equal weight for every token that is scored, zero for the others.

    Parameters
    ----------
    mask : Tensor, shape (batch, n_tokens), bool
        True where a token is scored.

    Returns
    -------
    Tensor, shape (batch, n_tokens), float32
        Rows sum to 1, or to 0 where nothing is scored.
    """
    counts = mask.sum(dim=-1, keepdim=True).clamp(min=1)
    return mask.to(torch.float32) / counts
