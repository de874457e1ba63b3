"""Proximal plans: marginals, and convergence to the exact optimum of POT's linear program."""

import numpy as np
import ot
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from optical_ir.transport import marginal_error, plan_entropy, solve_plan, solve_proximal

seeds = st.integers(0, 2**31)


def exact_values(cost, a, b):
    values = []
    for problem, source, target in zip(cost, a.double(), b.double(), strict=True):
        rows, columns = source > 0, target > 0
        source, target = source[rows] / source.sum(), target[columns] / target.sum()
        values.append(float(ot.emd2(source, target, problem[rows][:, columns].double())))
    return np.array(values)


def values_of(plan, cost):
    return (plan * cost).sum((-1, -2)).numpy()


@settings(max_examples=25, deadline=None)
@given(seeds, st.integers(1, 7), st.integers(1, 7), st.sampled_from((0.5, 0.1, 0.05, 0.01)))
def test_plans_hold_the_weights_and_stay_empty_without(uneven_problems, seed, n, m, epsilon):
    cost, a, b = uneven_problems(seed, 3, n, m)
    plan = solve_proximal(cost, a, b, epsilon=epsilon, max_iter=1000)
    assert (plan >= 0).all()
    assert (plan[(a.unsqueeze(-1) * b.unsqueeze(-2)) == 0] == 0).all()
    torch.testing.assert_close(plan.sum(-2), b, atol=1e-5, rtol=0)
    torch.testing.assert_close(plan.sum(-1), a, atol=0.05, rtol=0)


def test_plans_converge_to_the_exact_optimum(uneven_problems):
    cost, a, b = uneven_problems(0, 20, 10, 12)
    exact = exact_values(cost, a, b)
    gaps, errors = [], []
    for max_iter in (10, 30, 100, 1000):
        plan = solve_proximal(cost, a, b, epsilon=0.1, max_iter=max_iter)
        gaps.append(np.abs(values_of(plan, cost) - exact).mean())
        errors.append(float(marginal_error(plan, a, b).mean()))
    assert gaps == sorted(gaps, reverse=True)
    assert gaps[2] < 2e-3
    assert gaps[3] < 1e-4
    assert errors[3] < 1e-4


@pytest.mark.parametrize("epsilon", [0.05, 0.1])
def test_plans_are_nearer_to_the_optimum_than_entropic_ones(uneven_problems, epsilon):
    cost, a, b = uneven_problems(1, 20, 10, 12)
    exact = exact_values(cost, a, b)
    plans = [solve(cost, a, b, epsilon=epsilon) for solve in (solve_plan, solve_proximal)]
    entropic, proximal = (np.abs(values_of(plan, cost) - exact).mean() for plan in plans)
    assert proximal < 0.4 * entropic
    assert (plan_entropy(plans[1]) < plan_entropy(plans[0])).all()


def test_ten_long_steps_give_the_entropic_plan_of_a_tenth(uneven_problems):
    """With each step solved to the end, k steps of epsilon are one of epsilon / k."""
    cost, a, b = uneven_problems(2)
    plan = solve_proximal(cost, a, b, epsilon=2.0, max_iter=100)
    expected = solve_plan(cost, a, b, epsilon=0.2, max_iter=1000, tol=1e-7)
    torch.testing.assert_close(plan, expected, atol=1e-4, rtol=0)


def test_padding_and_order_change_nothing(uneven_problems):
    cost, a, b = uneven_problems(3)
    plan = solve_proximal(cost, a, b)
    wide = solve_proximal(
        torch.nn.functional.pad(cost, (0, 3, 0, 2), value=-5.0),
        *(torch.nn.functional.pad(w, (0, n)) for w, n in ((a, 2), (b, 3))),
    )
    torch.testing.assert_close(wide[:, :6, :8], plan, atol=1e-4, rtol=0)
    assert wide[:, 6:].abs().sum() == wide[..., 8:].abs().sum() == 0
    flipped = solve_proximal(cost.flip(0, 1, 2), a.flip(0, 1), b.flip(0, 1))
    torch.testing.assert_close(flipped.flip(0, 1, 2), plan, atol=1e-4, rtol=0)


@pytest.mark.parametrize("epsilon", [0.1, 0.005])
def test_problem_without_any_weight_has_an_empty_plan(uneven_problems, epsilon):
    cost, a, b = uneven_problems(4)
    a[0], b[0] = 0, 0
    plan = solve_proximal(cost, a, b, epsilon=epsilon)
    assert plan.isfinite().all()
    assert (plan[0] == 0).all()
    torch.testing.assert_close(plan[1:].sum(-2), b[1:])


def test_one_token_takes_all(uneven_problems):
    cost, a, b = uneven_problems(5, 3, 1, 5)
    torch.testing.assert_close(solve_proximal(cost, a, b), b.unsqueeze(1))


@pytest.mark.parametrize("epsilon", [0, -0.1, float("nan")])
def test_steps_without_length_are_refused(uneven_problems, epsilon):
    with pytest.raises(ValueError, match="epsilon of proximal steps must be positive"):
        solve_proximal(*uneven_problems(0), epsilon=epsilon)
