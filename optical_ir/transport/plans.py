"""Optimal transport plans for a batch of small problems, solved by POT.

Plans are constants: by the envelope theorem the gradient of the optimal value in the cost is
the plan itself, so nothing is differentiated through the iterations.

References
----------
Cuturi (2013), Sinkhorn distances, eq. (2) and algorithm 1; Flamary et al. (2021), POT.
"""

import os

import numpy as np
import torch
from torch import Tensor

# POT starts every array library that it finds, and JAX then takes three quarters of a GPU's memory.
for _name in ("JAX", "CUPY", "TENSORFLOW"):
    os.environ.setdefault(f"POT_BACKEND_DISABLE_{_name}", "1")

import ot  # noqa: E402

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
    check_problem(cost, source_weights, target_weights)
    if epsilon < 0:
        raise ValueError(f"epsilon must not be negative, but is {epsilon}.")
    cost, dead = mask_cost(cost, source_weights, target_weights)
    if epsilon == 0:
        return _solve_exact(cost, source_weights, target_weights)
    plan, _ = project(
        -cost / epsilon,
        source_weights,
        target_weights,
        in_logs=underflows(cost, epsilon),
        max_iter=max_iter,
        tol=tol,
    )
    return plan.masked_fill(dead, 0.0)


def mask_cost(
    cost: Tensor, source_weights: Tensor, target_weights: Tensor
) -> tuple[Tensor, Tensor]:
    """Cost without gradient and 0 where a side has no weight, and the mask of those places."""
    dead = (source_weights.unsqueeze(-1) == 0) | (target_weights.unsqueeze(-2) == 0)
    return cost.detach().float().masked_fill(dead, 0.0), dead


def underflows(cost: Tensor, epsilon: float) -> bool:
    """Whether ``exp(-cost / epsilon)`` is too small for float32 somewhere."""
    return float(cost.abs().max()) > _MAX_EXPONENT * epsilon


def project(
    exponents: Tensor,
    source_weights: Tensor,
    target_weights: Tensor,
    *,
    in_logs: bool,
    max_iter: int,
    tol: float,
) -> tuple[Tensor, Tensor]:
    """Project ``exp(exponents)`` onto the plans with both marginals, in the sense of KL.

    Returns
    -------
    plan : Tensor, shape (batch, n_source, n_target)
        ``diag(u) exp(exponents) diag(v)``.
    scaling : Tensor, shape (batch, n_target)
        ``log v``.
    """
    with exponents.device:  # POT makes its starting vectors on the default device.
        solved = ot.batch.solve_batch(
            -exponents,
            1.0,
            source_weights,
            target_weights,
            max_iter=max_iter,
            tol=tol,
            method="log_sinkhorn" if in_logs else "sinkhorn",
            grad="detach",
        )
    scaling = solved.potentials[1]
    return solved.plan, scaling if in_logs else scaling.log()


def check_problem(cost: Tensor, source_weights: Tensor, target_weights: Tensor) -> None:
    """Refuse transport problems that make no sense; see `solve_plan`."""
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


def _solve_exact(cost: Tensor, source_weights: Tensor, target_weights: Tensor) -> Tensor:
    plans = np.zeros(cost.shape)
    sides = (part.double().cpu().numpy() for part in (cost, source_weights, target_weights))
    for plan, problem, a, b in zip(plans, *sides, strict=True):
        rows, columns = a.nonzero()[0], b.nonzero()[0]
        if len(rows):
            block = np.ix_(rows, columns)
            source, target = a[rows] / a.sum(), b[columns] / b.sum()
            plan[block] = ot.emd(source, target, problem[block]) * a.sum()
    return torch.from_numpy(plans).to(cost)


def plan_entropy(plan: Tensor) -> Tensor:
    """Shannon entropy of each plan in nats, ``H(P) = -sum P log P``; shape (batch,)."""
    entropy: Tensor = torch.special.entr(plan).sum(dim=(-1, -2))
    return entropy


def marginal_error(plan: Tensor, source_weights: Tensor, target_weights: Tensor) -> Tensor:
    """Largest absolute error in either marginal of each plan; shape (batch,)."""
    rows = (plan.sum(-1) - source_weights).abs().amax(-1)
    columns = (plan.sum(-2) - target_weights).abs().amax(-1)
    return torch.maximum(rows, columns)
