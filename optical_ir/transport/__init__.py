"""Optimal transport between token sets: costs, weights, plans."""

from optical_ir.transport.cost import cosine_cost, uniform_weights
from optical_ir.transport.plans import marginal_error, plan_entropy, solve_plan

__all__ = ["cosine_cost", "marginal_error", "plan_entropy", "solve_plan", "uniform_weights"]
