"""All kinds of plans through one door, and why their objectives can be descended."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from optical_ir.transport import PLANS, solve_plan, solve_proximal, solve_transport


def objective(cost, a, b, **parameters: object):
    solved = solve_transport(cost, a, b, **parameters)
    return (solved.plan * cost).sum((-1, -2)) + solved.penalty


def test_balanced_plans_are_those_of_their_solvers_and_cost_no_penalty(uneven_problems):
    problem = uneven_problems(0)
    expected = {
        "entropic": solve_plan(*problem, epsilon=0.1),
        "exact": solve_plan(*problem, epsilon=0),
        "proximal": solve_proximal(*problem, epsilon=0.1),
    }
    for plan, tensor in expected.items():
        solved = solve_transport(*problem, plan=plan, epsilon=0.1)
        assert torch.equal(solved.plan, tensor)
        assert solved.penalty.tolist() == [0] * 4


@pytest.mark.parametrize("plan", PLANS)
def test_gradient_in_the_cost_is_the_plan(uneven_problems, plan):
    cost, a, b = uneven_problems(1)
    cost.requires_grad_()
    objective(cost, a, b, plan=plan).sum().backward()
    solved = solve_transport(cost, a, b, plan=plan)
    assert torch.equal(cost.grad, solved.plan)
    assert not solved.plan.requires_grad
    assert not solved.penalty.requires_grad


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31), st.floats(0.05, 1.5), st.integers(0, 5), st.integers(0, 7))
def test_dearer_tokens_never_make_the_objective_smaller(uneven_problems, seed, rise, row, column):
    cost, a, b = uneven_problems(seed)
    dearer = cost.clone()
    dearer[:, row] += rise
    dearer[:, :, column] += rise / 2
    for parameters in (
        {"plan": "exact"},
        {"plan": "dustbin", "epsilon": 0},
        {"plan": "unbalanced", "epsilon": 0.002, "max_iter": 2000},
    ):
        before, after = (objective(c, a, b, **parameters) for c in (cost, dearer))
        # The unbalanced objective leaves out its entropy, at most epsilon * log(6 * 8).
        assert (after >= before - 0.01).all()


@pytest.mark.parametrize("plan", ["unbalanced", "dustbin"])
def test_product_alone_would_reward_moving_nothing(uneven_problems, plan):
    cost, a, b = uneven_problems(2)
    products, objectives = [], []
    for rise in (0.0, 5.0):
        solved = solve_transport(cost + rise, a, b, plan=plan)
        products.append((solved.plan * (cost + rise)).sum((-1, -2)))
        objectives.append(products[-1] + solved.penalty)
    assert (products[1] < products[0]).all()
    assert (objectives[1] > objectives[0]).all()


def test_nothing_moved_costs_the_bin_or_both_penalties(uneven_problems):
    cost, a, b = uneven_problems(3)
    dear = cost + 50
    in_bins = objective(dear, a, b, plan="dustbin", dustbin_cost=0.7)
    np.testing.assert_allclose(in_bins, 0.7, atol=1e-5)
    relaxed = objective(dear, a, b, plan="unbalanced", marginal_relaxation=0.2)
    np.testing.assert_allclose(relaxed, 0.4, atol=1e-5)


def test_unknown_plan_is_refused(uneven_problems):
    with pytest.raises(ValueError, match=r"expected one of entropic, .* found 'sliced'"):
        solve_transport(*uneven_problems(0), plan="sliced")


@pytest.mark.gpu
@pytest.mark.parametrize("plan", PLANS)
def test_plans_on_a_gpu_equal_those_on_the_cpu(uneven_problems, plan):
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    problem = uneven_problems(4)
    solved = solve_transport(*(tensor.cuda() for tensor in problem), plan=plan)
    for ours, expected in zip(solved, solve_transport(*problem, plan=plan), strict=True):
        torch.testing.assert_close(ours.cpu(), expected, atol=1e-4, rtol=0)
