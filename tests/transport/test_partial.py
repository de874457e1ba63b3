"""Plans that leave tokens unmatched, against POT and linear programs; laws of their objectives."""

import numpy as np
import ot
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from optical_ir.transport import (
    marginal_divergence,
    solve_dustbin,
    solve_plan,
    solve_unbalanced,
    unmatched_mass,
)

seeds = st.integers(0, 2**31)
relaxations = st.sampled_from((0.05, 0.2, 1.0))


def converged(cost, a, b, *, epsilon, relaxation):
    return solve_unbalanced(
        cost, a, b, marginal_relaxation=relaxation, epsilon=epsilon, max_iter=3000, tol=1e-6
    )


@pytest.mark.parametrize("epsilon", [0.2, 0.05, 0.02])
@pytest.mark.parametrize("relaxation", [0.05, 0.3, 2.0])
def test_unbalanced_plans_agree_with_single_problem_scaling(uneven_problems, epsilon, relaxation):
    cost, a, b = uneven_problems(0)
    plans = converged(cost, a, b, epsilon=epsilon, relaxation=relaxation)
    for plan, problem, source, target in zip(plans, cost, a, b, strict=True):
        rows, columns = source > 0, target > 0
        expected = ot.unbalanced.sinkhorn_unbalanced(
            source[rows].double(),
            target[columns].double(),
            problem[rows][:, columns].double(),
            epsilon,
            relaxation,
            reg_type="kl",
            numItermax=20_000,
            stopThr=1e-12,
        )
        torch.testing.assert_close(plan[rows][:, columns].double(), expected, atol=1e-5, rtol=0)
        assert (plan[~rows] == 0).all()
        assert (plan[:, ~columns] == 0).all()


def test_strictly_held_marginals_give_the_balanced_plan(uneven_problems):
    cost, a, b = uneven_problems(1)
    plan = converged(cost, a, b, epsilon=0.1, relaxation=1000.0)
    expected = solve_plan(cost, a, b, epsilon=0.1, max_iter=3000, tol=1e-7)
    torch.testing.assert_close(plan, expected, atol=1e-3, rtol=0)


@settings(max_examples=15, deadline=None)
@given(seeds, relaxations)
def test_less_is_moved_the_dearer_it_is_and_the_laxer_the_marginals(
    uneven_problems, seed, relaxation
):
    cost, a, b = uneven_problems(seed)
    moved = converged(cost, a, b, epsilon=0.05, relaxation=relaxation).sum((-1, -2))
    dearer = converged(cost + 0.3, a, b, epsilon=0.05, relaxation=relaxation).sum((-1, -2))
    laxer = converged(cost + 0.3, a, b, epsilon=0.05, relaxation=relaxation / 2).sum((-1, -2))
    assert (dearer < moved).all()
    assert (laxer < dearer).all()


def unbalanced_value(cost, a, b, *, epsilon, relaxation):
    """Least <P, C> + epsilon KL(P | a b^T) + the KL penalties, by POT in double precision."""
    plan = ot.unbalanced.sinkhorn_unbalanced(
        a, b, cost, epsilon, relaxation, reg_type="kl", numItermax=50_000, stopThr=1e-14
    )

    def divergence(p, q):
        return (p * np.log(p / q) - p + q).sum()

    penalties = divergence(plan.sum(1), a) + divergence(plan.sum(0), b)
    entropy = divergence(plan, np.outer(a, b))
    return (plan * cost).sum() + epsilon * entropy + relaxation * penalties


def test_gradient_of_the_unbalanced_optimum_is_the_plan():
    generator = np.random.default_rng(0)
    cost, given = generator.uniform(0, 1.5, (3, 4)), {"epsilon": 0.1, "relaxation": 0.3}
    a, b = generator.dirichlet(np.ones(3)), generator.dirichlet(np.ones(4))
    numeric = np.empty_like(cost)
    for place in np.ndindex(cost.shape):
        bump = np.zeros_like(cost)
        bump[place] = 1e-5
        values = [unbalanced_value(cost + sign * bump, a, b, **given) for sign in (1, -1)]
        numeric[place] = (values[0] - values[1]) / 2e-5
    problem = (torch.from_numpy(part).float()[None] for part in (cost, a, b))
    np.testing.assert_allclose(converged(*problem, **given)[0], numeric, atol=1e-5)


def test_divergence_of_marginals():
    half = torch.full((3, 2), 0.5)
    balanced = torch.full((2, 2), 0.25)
    plans = torch.stack([balanced, torch.zeros(2, 2), balanced / 2])
    expected = [0, 2, 2 * (0.5 * np.log(0.5) - 0.5 + 1)]
    np.testing.assert_allclose(marginal_divergence(plans, half, half), expected, atol=1e-6)
    nothing = torch.zeros(1, 2)
    assert marginal_divergence(torch.zeros(1, 2, 2), nothing, nothing).tolist() == [0]


def partial_optimum(cost, a, b, dustbin_cost):
    """Least <P, C - dustbin_cost> where rows sum to at most a and columns to at most b."""
    n, m = cost.shape
    rows, columns = np.kron(np.eye(n), np.ones(m)), np.kron(np.ones(n), np.eye(m))
    limits = np.concatenate([a, b])
    return linprog((cost - dustbin_cost).ravel(), np.vstack([rows, columns]), limits).fun


@settings(max_examples=15, deadline=None)
@given(seeds, st.sampled_from((0.3, 0.7, 1.1)))
def test_dustbin_without_entropy_is_partial_transport(uneven_problems, seed, dustbin_cost):
    cost, a, b = uneven_problems(seed)
    plan = solve_dustbin(cost, a, b, dustbin_cost=dustbin_cost, epsilon=0)
    expected = [
        partial_optimum(*(part.double().numpy() for part in problem), dustbin_cost)
        for problem in zip(cost, a, b, strict=True)
    ]
    np.testing.assert_allclose((plan * (cost - dustbin_cost)).sum((-1, -2)), expected, atol=1e-5)
    assert (plan.sum(-1) <= a + 1e-5).all()
    assert (plan.sum(-2) <= b + 1e-5).all()
    assert plan[cost > dustbin_cost + 1e-6].abs().sum() < 1e-6


@pytest.mark.parametrize("epsilon", [0, 0.01])
def test_token_without_counterpart_goes_to_the_bin(epsilon):
    cost = torch.tensor([[[0.1, 1.0], [1.0, 0.2], [0.9, 1.1]]])
    weights = torch.tensor([[0.3, 0.3, 0.4]]), torch.tensor([[0.5, 0.5]])
    plan = solve_dustbin(cost, *weights, dustbin_cost=0.6, epsilon=epsilon, max_iter=1000)
    expected = torch.tensor([[[0.3, 0.0], [0.0, 0.3], [0.0, 0.0]]])
    torch.testing.assert_close(plan, expected, atol=1e-4, rtol=0)
    assert unmatched_mass(plan, weights[0]).item() == pytest.approx(0.4, abs=1e-4)


def test_dear_bins_stay_empty_and_cheap_ones_take_all(uneven_problems):
    cost, a, b = uneven_problems(6)
    plan = solve_dustbin(cost, a, b, dustbin_cost=5.0, epsilon=0)
    values = [(p * cost).sum((-1, -2)) for p in (plan, solve_plan(cost, a, b, epsilon=0))]
    torch.testing.assert_close(*values)
    least = float(cost.min()) * 0.9
    assert solve_dustbin(cost, a, b, dustbin_cost=least, epsilon=0).sum() < 1e-6


SOLVERS = {
    "unbalanced": lambda *problem: converged(*problem, epsilon=0.05, relaxation=0.3),
    "dustbin": lambda *problem: solve_dustbin(*problem, dustbin_cost=0.7, max_iter=3000, tol=1e-7),
}


@pytest.mark.parametrize("solve", SOLVERS.values(), ids=SOLVERS)
def test_swapping_the_sides_transposes_the_plan(uneven_problems, solve):
    cost, a, b = uneven_problems(7)
    torch.testing.assert_close(solve(cost, a, b).mT, solve(cost.mT, b, a), atol=1e-4, rtol=0)


@pytest.mark.parametrize("solve", SOLVERS.values(), ids=SOLVERS)
def test_padding_changes_nothing(uneven_problems, solve):
    cost, a, b = uneven_problems(8)
    wide = solve(
        torch.nn.functional.pad(cost, (0, 3, 0, 2), value=-5.0),
        *(torch.nn.functional.pad(w, (0, n)) for w, n in ((a, 2), (b, 3))),
    )
    torch.testing.assert_close(wide[:, :6, :8], solve(cost, a, b), atol=1e-4, rtol=0)
    assert wide[:, 6:].abs().sum() == wide[..., 8:].abs().sum() == 0


@pytest.mark.parametrize("solve", SOLVERS.values(), ids=SOLVERS)
def test_problem_without_any_weight_has_an_empty_plan_and_spoils_no_other(uneven_problems, solve):
    cost, a, b = uneven_problems(9)
    alone = solve(cost[1:], a[1:], b[1:])
    a[0], b[0] = 0, 0
    plan = solve(cost, a, b)
    assert (plan[0] == 0).all()
    torch.testing.assert_close(plan[1:], alone, atol=1e-4, rtol=0)


@pytest.mark.parametrize("epsilon", [0.005, 0.001])
def test_sharp_problems_stay_finite(uneven_problems, epsilon):
    cost, a, b = uneven_problems(10)
    for plan in (
        solve_unbalanced(cost, a, b, marginal_relaxation=0.2, epsilon=epsilon),
        solve_dustbin(cost, a, b, dustbin_cost=0.7, epsilon=epsilon),
    ):
        assert plan.isfinite().all()
        assert (plan.sum((-1, -2)) < 1.1).all()


@pytest.mark.parametrize(
    ("solve", "parameters", "message"),
    [
        (solve_unbalanced, {"marginal_relaxation": 0.0}, "marginal_relaxation .* but is 0.0"),
        (solve_unbalanced, {"marginal_relaxation": 1.0, "epsilon": 0}, "epsilon of unbalanced"),
        (solve_dustbin, {"dustbin_cost": -1.0}, "dustbin_cost must be positive, but is -1.0"),
        (solve_dustbin, {"dustbin_cost": float("nan")}, "dustbin_cost must be positive"),
        (solve_dustbin, {"dustbin_cost": 1.0, "epsilon": -1}, "epsilon must not be negative"),
    ],
)
def test_impossible_parameters_are_refused(uneven_problems, solve, parameters, message):
    with pytest.raises(ValueError, match=message):
        solve(*uneven_problems(0), **parameters)
