"""Ground cost of the transport problem between two token sets; tensors only."""

from torch import Tensor


def cosine_cost(source: Tensor, target: Tensor) -> Tensor:
    """Cost of moving each source token to each target token, ``1 - cosine``.

    It is a centred cosine if the encoders centre their tokens, as those that `center_encoder`
    makes do in their last layer: nothing is subtracted here.

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
