"""Optimal transport plans for a batch of small problems, solved by POT.

Plans are constants: by the envelope theorem the gradient of the optimal value in the cost is
the plan itself, so nothing is differentiated through the iterations.

References
----------
Cuturi (2013), Sinkhorn distances, eq. (2) and algorithm 1; Flamary et al. (2021), POT.
"""

import ot
import torch
from torch import Tensor

_MAX_EXPONENT = 60.0
"""Above this size of cost / epsilon, exp(-cost / epsilon) nears the smallest float32."""


@torch.no_grad()
def solve_plan(
    cost: Tensor,
    source_weights: Tensor,
    target_weights: Tensor,
    *,
    epsilon: float = 0.05,
    max_iter: int = 100,
    tol: float = 1e-4,
) -> Tensor:
    """Optimal transport plan between two weighted token sets, entropic or exact.

    Minimises ``<P, C> - epsilon * H(P)`` subject to both marginals, without gradient.

    Parameters
    ----------
    cost : Tensor, shape (batch, n_source, n_target), float32
        Ground cost. Entries of tokens without weight are ignored.
    source_weights : Tensor, shape (batch, n_source), float32
        Non-negative; each row has the same sum as the row of `target_weights`.
    target_weights : Tensor, shape (batch, n_target), float32
        Non-negative.
    epsilon : float
        Regularisation in the units of `cost`; 0 gives an exact plan (one linear program a
        problem, on the CPU).
    max_iter : int
        Sinkhorn iterations at most.
    tol : float
        Iterations stop when the norm of the error in the source marginal is below it.

    Returns
    -------
    Tensor, shape (batch, n_source, n_target), float32
        Zero in rows and columns without weight; columns sum to `target_weights`, rows to
        `source_weights` within the reach of `max_iter`.

    Raises
    ------
    ValueError
        If shapes disagree, a weight is negative, row sums differ, or `epsilon` is negative.
    """
    _check(cost, source_weights, target_weights, epsilon)
    pairs = source_weights.unsqueeze(-1) * target_weights.unsqueeze(-2)
    cost = cost.detach().float().masked_fill(pairs == 0, 0.0)
    if epsilon == 0:
        return _solve_exact(cost, source_weights, target_weights)
    fits = float(cost.abs().max()) <= _MAX_EXPONENT * epsilon
    with cost.device:  # POT makes its starting vectors on the default device.
        plan: Tensor = ot.batch.solve_batch(
            cost,
            epsilon,
            source_weights,
            target_weights,
            max_iter=max_iter,
            tol=tol,
            method="sinkhorn" if fits else "log_sinkhorn",
            grad="detach",
        ).plan
    return plan.masked_fill(pairs == 0, 0.0)


def _check(cost: Tensor, source_weights: Tensor, target_weights: Tensor, epsilon: float) -> None:
    expected = (*source_weights.shape, target_weights.shape[-1])
    if cost.shape != expected or len(source_weights) != len(target_weights):
        raise ValueError(
            f"cost must have shape (batch, n_source, n_target) = {expected} to match the weights, "
            f"but has {tuple(cost.shape)}."
        )
    if min(float(source_weights.min()), float(target_weights.min())) < 0:
        raise ValueError("weights must not be negative.")
    if not torch.allclose(source_weights.sum(-1), target_weights.sum(-1), atol=1e-4):
        raise ValueError("source and target weights of a problem must have the same sum.")
    if epsilon < 0:
        raise ValueError(f"epsilon must not be negative, but is {epsilon}.")


def _solve_exact(cost: Tensor, source_weights: Tensor, target_weights: Tensor) -> Tensor:
    plans = torch.zeros_like(cost)
    for plan, problem, a, b in zip(plans, cost, source_weights, target_weights, strict=True):
        rows, columns = a.nonzero().squeeze(-1), b.nonzero().squeeze(-1)
        if len(rows):
            block = problem[rows][:, columns].double().cpu()
            masses = (a[rows].double().cpu(), b[columns].double().cpu())
            solved = ot.emd(masses[0] / masses[0].sum(), masses[1] / masses[1].sum(), block)
            plan[rows[:, None], columns] = solved.to(plan) * a.sum()
    return plans


def plan_entropy(plan: Tensor) -> Tensor:
    """Shannon entropy of each plan in nats, ``H(P) = -sum P log P``; shape (batch,)."""
    entropy: Tensor = torch.special.entr(plan).sum(dim=(-1, -2))
    return entropy


def marginal_error(plan: Tensor, source_weights: Tensor, target_weights: Tensor) -> Tensor:
    """Largest absolute error in either marginal of each plan; shape (batch,)."""
    rows = (plan.sum(-1) - source_weights).abs().amax(-1)
    columns = (plan.sum(-2) - target_weights).abs().amax(-1)
    return torch.maximum(rows, columns)
