"""One door to all kinds of transport plans, with the objective that each of them minimises."""

from typing import NamedTuple

import torch
from torch import Tensor

from optical_ir.transport.partial import (
    marginal_divergence,
    solve_dustbin,
    solve_unbalanced,
    unmatched_mass,
)
from optical_ir.transport.plans import solve_plan
from optical_ir.transport.proximal import solve_proximal

PLANS = ("entropic", "exact", "proximal", "unbalanced", "dustbin")
"""Kinds of transport plans."""


class Transport(NamedTuple):
    """A solved batch of transport problems.

    Attributes
    ----------
    plan : Tensor, shape (batch, n_source, n_target)
        Without gradient.
    penalty : Tensor, shape (batch,)
        What the mass costs that the plan leaves unmatched; 0 for balanced plans.
    """

    plan: Tensor
    penalty: Tensor


@torch.no_grad()
def solve_transport(
    cost: Tensor,
    source_weights: Tensor,
    target_weights: Tensor,
    *,
    plan: str = "entropic",
    epsilon: float = 0.05,
    max_iter: int = 100,
    marginal_relaxation: float = 0.2,
    dustbin_cost: float = 0.7,
) -> Transport:
    """Solve a batch of transport problems in one of the ways of `PLANS`.

    ``<P, C> + penalty`` is the objective without its entropy. Its gradient in the cost is P, by
    the envelope theorem, and it never falls when a cost rises, so it can be descended with any
    of the plans.

    Parameters
    ----------
    cost, source_weights, target_weights : Tensor
        See `solve_plan`.
    plan : str
        ``entropic`` (`solve_plan`), ``exact`` (the same with `epsilon` 0), ``proximal``
        (`solve_proximal`), ``unbalanced`` (`solve_unbalanced`) or ``dustbin`` (`solve_dustbin`).
    epsilon, max_iter : float, int
        See there.
    marginal_relaxation, dustbin_cost : float
        Read by ``unbalanced`` and ``dustbin``.

    Raises
    ------
    ValueError
        If there is no such plan, or the solver refuses the problem or a parameter.
    """
    problem = cost, source_weights, target_weights
    if plan == "unbalanced":
        found = solve_unbalanced(
            *problem, marginal_relaxation=marginal_relaxation, epsilon=epsilon, max_iter=max_iter
        )
        divergence = marginal_divergence(found, source_weights, target_weights)
        return Transport(found, marginal_relaxation * divergence)
    if plan == "dustbin":
        found = solve_dustbin(
            *problem, dustbin_cost=dustbin_cost, epsilon=epsilon, max_iter=max_iter
        )
        return Transport(found, dustbin_cost * unmatched_mass(found, source_weights))
    if plan == "proximal":
        found = solve_proximal(*problem, epsilon=epsilon, max_iter=max_iter)
    elif plan in ("entropic", "exact"):
        found = solve_plan(*problem, epsilon=0.0 if plan == "exact" else epsilon, max_iter=max_iter)
    else:
        raise ValueError(f"plan: expected one of {', '.join(PLANS)}, found {plan!r}.")
    return Transport(found, found.new_zeros(len(found)))
