"""Transport plans that may leave tokens unmatched, for bitext whose sides do not say the same.

Two ways: marginals held by a penalty instead of a constraint (unbalanced), and a bin on each side
that takes what is too dear to match (dustbin). Both move at most a part of the mass, so ``<P, C>``
alone is no objective: it falls when less is moved. What is minimised is ``<P, C>`` plus what the
unmatched mass costs; that can only fall when costs do, and its gradient in the cost is still P.

References
----------
Chizat, Peyre, Schmitzer and Vialard (2018), Scaling algorithms for unbalanced optimal transport
problems, Mathematics of Computation.
Sarlin, DeTone, Malisiewicz and Rabinovich (2020), SuperGlue, CVPR, section 3.2.
"""

import torch
from torch import Tensor
from torch.nn.functional import pad

from optical_ir.transport.plans import check_problem, mask_cost, solve_plan

_CHECK_EVERY = 10
"""Iterations between two looks at whether they can stop."""


@torch.no_grad()
def solve_unbalanced(
    cost: Tensor,
    source_weights: Tensor,
    target_weights: Tensor,
    *,
    marginal_relaxation: float,
    epsilon: float = 0.05,
    max_iter: int = 100,
    tol: float = 1e-4,
) -> Tensor:
    """Entropic plan whose marginals are drawn to the weights by a KL penalty.

    Minimises ``<P, C> + epsilon * KL(P | a b^T) + marginal_relaxation * (KL(P 1 | a) +
    KL(P^T 1 | b))`` by scaling iterations in the log domain (Chizat et al. 2018). POT has this
    solver for single problems only.

    Parameters
    ----------
    cost, source_weights, target_weights : Tensor
        See `solve_plan`.
    marginal_relaxation : float
        Positive, in the units of `cost`. Large: the balanced plan. Small: what costs more than
        about twice as much is not moved.
    epsilon : float
        Positive.
    max_iter : int
        Scaling iterations at most. More are needed the larger `marginal_relaxation` is beside
        `epsilon`.
    tol : float
        Iterations stop when none changes a potential by more than ``tol * epsilon``.

    Returns
    -------
    Tensor, shape (batch, n_source, n_target), float32
        Zero in rows and columns without weight.

    Raises
    ------
    ValueError
        If shapes disagree, a weight is negative, row sums differ, or a parameter is not positive.
    """
    check_problem(cost, source_weights, target_weights)
    for name, value in (("epsilon", epsilon), ("marginal_relaxation", marginal_relaxation)):
        if not value > 0:
            raise ValueError(f"{name} of unbalanced plans must be positive, but is {value}.")
    cost, dead = mask_cost(cost, source_weights, target_weights)
    kernel, damping = -cost / epsilon, marginal_relaxation / (marginal_relaxation + epsilon)
    # Potentials in units of epsilon, with the weights taken into the kernel: f reads b and g.
    from_target = kernel + target_weights.log().unsqueeze(-2)
    from_source = kernel + source_weights.log().unsqueeze(-1)
    f, g = torch.zeros_like(source_weights), torch.zeros_like(target_weights)
    for number in range(max_iter):
        before = g
        f = -damping * torch.logsumexp(from_target + g.unsqueeze(-2), dim=-1)
        g = -damping * torch.logsumexp(from_source + f.unsqueeze(-1), dim=-2)
        if number % _CHECK_EVERY == 0 and float((g - before).abs().max()) < tol:
            break
    pairs = source_weights.unsqueeze(-1) * target_weights.unsqueeze(-2)
    plan = pairs * torch.exp(f.unsqueeze(-1) + kernel + g.unsqueeze(-2))
    return plan.masked_fill(dead, 0.0)


def marginal_divergence(plan: Tensor, source_weights: Tensor, target_weights: Tensor) -> Tensor:
    """Distance of both marginals from the weights, ``KL(P 1 | a) + KL(P^T 1 | b)``.

    ``KL(p | q) = sum p log(p / q) - p + q``, as for measures of any mass.

    Returns
    -------
    Tensor, shape (batch,)
        0 for a balanced plan, the sum of all weights for one that moves nothing.
    """
    rows, columns = plan.sum(-1), plan.sum(-2)
    return _divergence(rows, source_weights) + _divergence(columns, target_weights)


def _divergence(mass: Tensor, weights: Tensor) -> Tensor:
    logs = torch.xlogy(mass, mass) - torch.xlogy(mass, weights)
    return (logs - mass + weights).sum(-1)


@torch.no_grad()
def solve_dustbin(
    cost: Tensor,
    source_weights: Tensor,
    target_weights: Tensor,
    *,
    dustbin_cost: float,
    epsilon: float = 0.05,
    max_iter: int = 100,
    tol: float = 1e-4,
) -> Tensor:
    """Plan of the problem with a bin on each side, without the bins.

    A row and a column of constant cost are added, each with room for all the mass of the other
    side (Sarlin et al. 2020, section 3.2). The optimum without entropy is that of partial
    transport, ``min <P, C - dustbin_cost>`` with row sums at most a and column sums at most b:
    no pair that costs more than `dustbin_cost` is matched.

    Parameters
    ----------
    cost, source_weights, target_weights : Tensor
        See `solve_plan`.
    dustbin_cost : float
        Positive, in the units of `cost`.
    epsilon, max_iter, tol : float, int, float
        See `solve_plan`, which solves the extended problem; `epsilon` 0 does so exactly.

    Returns
    -------
    Tensor, shape (batch, n_source, n_target), float32
        Rows sum to at most `source_weights`, columns to at most `target_weights`, within the reach
        of `max_iter`.

    Raises
    ------
    ValueError
        If shapes disagree, a weight or `epsilon` is negative, row sums differ, or `dustbin_cost`
        is not positive.
    """
    check_problem(cost, source_weights, target_weights)
    if not dustbin_cost > 0:
        raise ValueError(f"dustbin_cost must be positive, but is {dustbin_cost}.")
    mass = source_weights.sum(-1, keepdim=True)
    plan = solve_plan(
        pad(cost.detach(), (0, 1, 0, 1), value=dustbin_cost),
        torch.cat([source_weights, mass], dim=-1),
        torch.cat([target_weights, mass], dim=-1),
        epsilon=epsilon,
        max_iter=max_iter,
        tol=tol,
    )
    return plan[:, :-1, :-1]


def unmatched_mass(plan: Tensor, source_weights: Tensor) -> Tensor:
    """Mass of each problem that a plan leaves in the bins, between 0 and 1; shape (batch,)."""
    return source_weights.sum(-1) - plan.sum((-1, -2))
