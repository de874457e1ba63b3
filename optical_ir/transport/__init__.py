"""Optimal transport between token sets: costs, weights, plans."""

from optical_ir.transport.cost import cosine_cost
from optical_ir.transport.partial import (
    marginal_divergence,
    solve_dustbin,
    solve_unbalanced,
    unmatched_mass,
)
from optical_ir.transport.plans import marginal_error, plan_entropy, solve_plan
from optical_ir.transport.proximal import solve_proximal
from optical_ir.transport.solve import PLANS, Transport, solve_transport
from optical_ir.transport.weights import (
    TOKEN_WEIGHTS,
    idf_weights,
    importance_weights,
    inverse_document_frequency,
    propagated_weights,
    uniform_weights,
)

__all__ = [
    "PLANS",
    "TOKEN_WEIGHTS",
    "Transport",
    "cosine_cost",
    "idf_weights",
    "importance_weights",
    "inverse_document_frequency",
    "marginal_divergence",
    "marginal_error",
    "plan_entropy",
    "propagated_weights",
    "solve_dustbin",
    "solve_plan",
    "solve_proximal",
    "solve_transport",
    "solve_unbalanced",
    "uniform_weights",
    "unmatched_mass",
]
