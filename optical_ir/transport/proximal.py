"""Nearly exact transport plans by the proximal point method, for a batch of small problems.

References
----------
Xie, Wang, Wang and Zha (2020), A fast proximal point method for computing exact Wasserstein
distance, UAI, algorithm 1 (IPOT).
"""

import torch
from torch import Tensor

from optical_ir.transport.plans import check_problem, mask_cost, project, underflows

_INNER = 10
"""Sinkhorn iterations between two steps, where the paper has 1 and inexact marginals."""

_SLACK = 0.02
"""Part of the mass that may be in the wrong row when a step ends. Steps that end too early settle
on a wrong plan, since what is nearly 0 once hardly comes back."""

_DEAD_EXPONENT = -20.0
"""Of places without weight: small, as POT's first iteration counts them, but no zero to divide."""


@torch.no_grad()
def solve_proximal(
    cost: Tensor,
    source_weights: Tensor,
    target_weights: Tensor,
    *,
    epsilon: float = 0.05,
    max_iter: int = 100,
) -> Tensor:
    """Transport plan near the exact one, by proximal steps that never solve a sharp problem.

    Each step minimises ``<P, C> + epsilon * KL(P | previous P)`` under both marginals: it is the
    projection of ``previous P * exp(-C / epsilon)`` onto them, by Sinkhorn iterations that start
    from the scaling of the step before (Xie et al. 2020, algorithm 1). A problem goes on to the
    next step when its marginals hold. After k steps solved to the end the plan is the entropic one
    of ``epsilon / k``, so `epsilon` is the length of a step and not the sharpness of the result.
    POT's own batched proximal mode is not used: it has another limit, and NaN where a weight is 0.

    Parameters
    ----------
    cost, source_weights, target_weights : Tensor
        See `solve_plan`.
    epsilon : float
        Positive. A smaller one needs fewer steps, of more iterations each.
    max_iter : int
        Sinkhorn iterations in all steps together.

    Returns
    -------
    Tensor, shape (batch, n_source, n_target), float32
        Zero in rows and columns without weight; columns sum to `target_weights`, rows to
        `source_weights` within the reach of `max_iter`.

    Raises
    ------
    ValueError
        If shapes disagree, a weight is negative, row sums differ, or `epsilon` is not positive.
    """
    check_problem(cost, source_weights, target_weights)
    if not epsilon > 0:
        raise ValueError(f"epsilon of proximal steps must be positive, but is {epsilon}.")
    cost, dead = mask_cost(cost, source_weights, target_weights)
    in_logs = underflows(cost, epsilon)
    step = base = -cost / epsilon
    scaling = torch.zeros_like(target_weights)
    for _ in range(max(1, max_iter // _INNER)):
        exponents = base + scaling.unsqueeze(-2)
        # A constant a row changes no projection, and keeps the exponential in range.
        exponents = exponents - exponents.masked_fill(dead, -torch.inf).amax(-1, keepdim=True)
        plan, moved = project(
            exponents.masked_fill(dead, _DEAD_EXPONENT),
            source_weights,
            target_weights,
            in_logs=in_logs,
            max_iter=min(_INNER, max_iter),
            tol=0.0,
        )
        misplaced = (plan.sum(-1) - source_weights).abs().sum(-1)
        holds = misplaced <= _SLACK * source_weights.sum(-1)
        base = torch.where(holds[:, None, None], plan.log() + step, base)
        scaling = scaling + moved.masked_fill(target_weights == 0, 0.0)
    return plan.masked_fill(dead, 0.0)
