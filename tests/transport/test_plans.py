"""Laws of optimal transport plans, and agreement with POT's single-problem solvers."""

import os
import subprocess
import sys
from unittest.mock import patch

import numpy as np
import ot
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import normalize

from optical_ir.transport import (
    cosine_cost,
    marginal_error,
    plan_entropy,
    solve_plan,
    uniform_weights,
)

EPSILONS = (0.5, 0.1, 0.05, 0.02, 0.005)


def random_problems(seed, shape, *, padded=True):
    """Costs of random unit vectors and uniform weights over random masks."""
    n_problems, n_source, n_target = shape
    generator = torch.Generator().manual_seed(seed)
    source = normalize(torch.randn(n_problems, n_source, 6, generator=generator), dim=-1)
    target = normalize(torch.randn(n_problems, n_target, 6, generator=generator), dim=-1)
    masks = [torch.ones(n_problems, n, dtype=torch.bool) for n in (n_source, n_target)]
    if padded:
        for mask in masks:
            mask &= torch.rand(mask.shape, generator=generator) < 0.7
            mask[:, 0] = True
    return cosine_cost(source, target), *(uniform_weights(mask) for mask in masks)


problems = st.builds(
    random_problems,
    st.integers(0, 2**31),
    st.tuples(st.integers(1, 4), st.integers(1, 9), st.integers(1, 9)),
    padded=st.booleans(),
)
epsilons = st.sampled_from(EPSILONS)


def solve(cost, a, b, *, epsilon):
    return solve_plan(cost, a, b, epsilon=epsilon, max_iter=3000, tol=1e-6)


@settings(max_examples=40, deadline=None)
@given(problems, st.sampled_from((0, *EPSILONS)))
def test_plan_rows_and_columns_sum_to_the_weights(problem, epsilon):
    cost, a, b = problem
    plan = solve_plan(cost, a, b, epsilon=epsilon, max_iter=3000, tol=1e-5)
    assert (plan >= 0).all()
    torch.testing.assert_close(plan.sum(-2), b, atol=1e-5, rtol=0)
    torch.testing.assert_close(plan.sum(-1), a, atol=1e-3, rtol=0)
    assert (plan[(a.unsqueeze(-1) * b.unsqueeze(-2)) == 0] == 0).all()


@settings(max_examples=15, deadline=None)
@given(problems, st.sampled_from((0.5, 0.1, 0.05)))
def test_swapping_the_sides_transposes_the_plan(problem, epsilon):
    cost, a, b = problem
    plan, swapped = solve(cost, a, b, epsilon=epsilon), solve(cost.mT, b, a, epsilon=epsilon)
    torch.testing.assert_close(plan.mT, swapped, atol=2e-4, rtol=0)


@settings(max_examples=15, deadline=None)
@given(problems, epsilons, st.randoms(use_true_random=False))
def test_permuting_tokens_and_problems_permutes_the_plan(problem, epsilon, random):
    cost, a, b = problem
    order, rows, columns = (random.sample(range(n), n) for n in cost.shape)
    plan = solve_plan(cost, a, b, epsilon=epsilon)
    moved = solve_plan(
        cost[order][:, rows][:, :, columns],
        a[order][:, rows],
        b[order][:, columns],
        epsilon=epsilon,
    )
    torch.testing.assert_close(plan[order][:, rows][:, :, columns], moved, atol=1e-4, rtol=0)


@settings(max_examples=20, deadline=None)
@given(problems, st.sampled_from((0, 0.5, 0.1, 0.05)), st.floats(-5, 50))
def test_padding_changes_nothing_whatever_its_cost(problem, epsilon, padding_cost):
    cost, a, b = problem
    padded = torch.nn.functional.pad(cost, (0, 3, 0, 2), value=padding_cost)
    wide_a, wide_b = (torch.nn.functional.pad(w, (0, n)) for w, n in ((a, 2), (b, 3)))
    plan = solve(cost, a, b, epsilon=epsilon)
    wide = solve(padded, wide_a, wide_b, epsilon=epsilon)
    torch.testing.assert_close(wide[:, : cost.shape[1], : cost.shape[2]], plan, atol=1e-4, rtol=0)
    assert wide[:, cost.shape[1] :].abs().sum() == wide[..., cost.shape[2] :].abs().sum() == 0


@settings(max_examples=15, deadline=None)
@given(problems, epsilons, st.floats(0, 100))
def test_a_constant_added_to_the_cost_changes_no_plan(problem, epsilon, constant):
    cost, a, b = problem
    plan, moved = (solve_plan(c, a, b, epsilon=epsilon) for c in (cost, cost + constant))
    assert moved.isfinite().all()
    # 100 / 0.005 leaves about two decimals of the exponent in single precision.
    torch.testing.assert_close(moved, plan, atol=2e-3, rtol=0)


def exact_value(cost, a, b):
    rows, columns = (a > 0).numpy(), (b > 0).numpy()
    block = cost.double().numpy()[np.ix_(rows, columns)]
    a, b = a.double().numpy()[rows], b.double().numpy()[columns]
    return float(ot.emd2(a / a.sum(), b / b.sum(), block))


@settings(max_examples=25, deadline=None)
@given(problems)
def test_epsilon_0_gives_the_exact_optimum(problem):
    cost, a, b = problem
    values = (solve_plan(cost, a, b, epsilon=0) * cost).sum((-1, -2))
    np.testing.assert_allclose(values, list(map(exact_value, cost, a, b)), atol=1e-6)


def test_smaller_epsilon_comes_closer_to_the_exact_assignment():
    cost, a, b = random_problems(3, (6, 8, 8), padded=False)
    exact = torch.tensor(list(map(exact_value, cost, a, b)))
    gaps = []
    for epsilon in (0.2, 0.05, 0.01, 0.002):
        plan = solve(cost, a, b, epsilon=epsilon)
        gaps.append(float(((plan * cost).sum((-1, -2)) - exact).abs().max()))
    assert gaps == sorted(gaps, reverse=True)
    assert gaps[-1] < 2e-3


def test_equally_many_tokens_of_equal_weight_are_assigned_one_to_one():
    cost, a, b = random_problems(3, (6, 8, 8), padded=False)
    assignment = 8 * solve_plan(cost, a, b, epsilon=0)
    torch.testing.assert_close(assignment, assignment.round(), atol=1e-6, rtol=0)


@pytest.mark.parametrize("epsilon", [0.5, 0.1, 0.05, 0.02])
@pytest.mark.parametrize("padded", [False, True])
def test_plans_agree_with_single_problem_sinkhorn(epsilon, padded):
    cost, a, b = random_problems(11, (5, 7, 9), padded=padded)
    plans = solve(cost, a, b, epsilon=epsilon)
    for plan, problem, source, target in zip(plans, cost, a, b, strict=True):
        rows, columns = source.nonzero().ravel(), target.nonzero().ravel()
        expected = ot.sinkhorn(
            source[rows].double() / source.double().sum(),
            target[columns].double() / target.double().sum(),
            problem[rows][:, columns].double(),
            epsilon,
            method="sinkhorn_log",
            numItermax=5000,
            stopThr=1e-7,
            warn=False,
        )
        torch.testing.assert_close(plan[rows][:, columns].double(), expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("padded", [False, True])
def test_log_domain_serves_where_the_kernel_would_underflow(padded):
    cost, a, b = random_problems(2, (3, 6, 5), padded=padded)
    with patch.object(ot.batch, "solve_batch", wraps=ot.batch.solve_batch) as solver:
        plans = [solve_plan(cost, a, b, epsilon=e, max_iter=2000) for e in (0.1, 0.002)]
    methods = [call.kwargs["method"] for call in solver.call_args_list]
    assert methods == ["sinkhorn", "log_sinkhorn"]
    for plan in plans:
        assert plan.isfinite().all()
        assert marginal_error(plan, a, b).max() < 0.02


@pytest.mark.parametrize("epsilon", [0.1, 0.02, 0.01, 0.005, 0.001])
def test_costs_far_from_0_and_close_together_do_not_underflow(epsilon):
    # Unpadded and with cosines below 0, as of a student that starts elsewhere.
    cost = 1.5 + 0.4 * torch.rand(2, 6, 6, generator=torch.Generator().manual_seed(0))
    weights = torch.full((2, 6), 1 / 6)
    plan = solve_plan(cost, weights, weights, epsilon=epsilon, max_iter=5000, tol=1e-6)
    assert plan.isfinite().all()
    assert marginal_error(plan, weights, weights).max() < 0.01


@pytest.mark.parametrize("epsilon", [0, 0.1, 0.005])
def test_problem_without_any_weight_has_an_empty_plan_and_spoils_no_other(epsilon):
    cost, a, b = random_problems(5, (3, 6, 5))
    alone = solve_plan(cost[1:], a[1:], b[1:], epsilon=epsilon)
    a[0], b[0] = 0, 0
    plan = solve_plan(cost, a, b, epsilon=epsilon)
    assert (plan[0] == 0).all()
    torch.testing.assert_close(plan[1:], alone, atol=5e-4, rtol=0)


def test_gradient_at_the_optimum_is_the_plan():
    """Envelope theorem: d/dC of the entropic optimum is P*, here against finite differences."""
    epsilon, step = 0.1, 1e-5
    cost, a, b = random_problems(1, (1, 4, 3), padded=False)
    cost, a, b = cost[0].double().numpy(), a[0].double().numpy(), b[0].double().numpy()
    a, b = a / a.sum(), b / b.sum()

    def value(cost):
        plan = ot.sinkhorn(a, b, cost, epsilon, numItermax=100_000, stopThr=1e-14)
        return (plan * cost).sum() + epsilon * (plan * np.log(plan)).sum()

    numeric = np.empty_like(cost)
    for place in np.ndindex(cost.shape):
        bump = np.zeros_like(cost)
        bump[place] = step
        numeric[place] = (value(cost + bump) - value(cost - bump)) / (2 * step)
    ours = torch.from_numpy(cost).float()[None].requires_grad_()
    weights = [torch.from_numpy(w).float()[None] for w in (a, b)]
    plan = solve(ours, *weights, epsilon=epsilon)
    (plan * ours).sum().backward()
    assert not plan.requires_grad
    np.testing.assert_allclose(ours.grad[0], numeric, atol=1e-5)


def test_entropy_of_known_plans():
    uniform, point = torch.full((2, 3), 1 / 6), torch.zeros(2, 3)
    point[1, 2] = 1.0
    entropies = plan_entropy(torch.stack([uniform, point]))
    np.testing.assert_allclose(entropies, [np.log(6), 0], atol=1e-6)


def test_entropy_grows_with_epsilon():
    cost, a, b = random_problems(8, (4, 6, 7))
    sharp, soft = (plan_entropy(solve(cost, a, b, epsilon=e)) for e in (0.02, 0.5))
    assert (sharp < soft).all()


def test_marginal_error_is_the_largest_of_rows_and_columns():
    plan = torch.tensor([[[0.5, 0.0], [0.1, 0.4]], [[0.25, 0.25], [0.25, 0.25]]])
    half = torch.full((2, 2), 0.5)
    np.testing.assert_allclose(marginal_error(plan, half, half), [0.1, 0.0], atol=1e-7)


@pytest.mark.gpu
@pytest.mark.parametrize("epsilon", [0, 0.1, 0.005])
def test_plans_on_a_gpu_equal_those_on_the_cpu(epsilon):
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    problem = random_problems(4, (3, 6, 5))
    plan = solve_plan(*(tensor.cuda() for tensor in problem), epsilon=epsilon)
    torch.testing.assert_close(plan.cpu(), solve_plan(*problem, epsilon=epsilon), atol=1e-4, rtol=0)


HALF = torch.full((1, 2), 0.5)


@pytest.mark.parametrize(
    ("cost", "a", "b", "epsilon", "message"),
    [
        (torch.zeros(1, 2, 3), HALF, HALF, 0.1, r"= \(1, 2, 2\).*but has \(1, 2, 3\)"),
        (torch.zeros(2, 2, 2), HALF, HALF, 0.1, r"but has \(2, 2, 2\)"),
        (torch.zeros(1, 2, 2), HALF, HALF.repeat(2, 1), 0.1, "to match the weights"),
        (torch.zeros(1, 2, 2), HALF, torch.tensor([[-0.5, 1.5]]), 0.1, "must not be negative"),
        (torch.zeros(1, 2, 2), torch.tensor([[-0.5, 1.5]]), HALF, 0.1, "must not be negative"),
        (torch.zeros(1, 2, 2), HALF, 2 * HALF, 0.1, "must have the same sum"),
        (torch.zeros(1, 2, 2), HALF, HALF, -0.1, r"epsilon must not be negative, but is -0\.1"),
    ],
)
def test_bad_problems_are_refused(cost, a, b, epsilon, message):
    with pytest.raises(ValueError, match=message):
        solve_plan(cost, a, b, epsilon=epsilon)


def test_other_array_libraries_are_not_started(tmp_path):
    (tmp_path / "jax.py").write_text("raise SystemExit('jax was started')\n")
    paths = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    done = subprocess.run(
        [sys.executable, "-c", "import optical_ir.transport, sys; print('jax' in sys.modules)"],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "False\n"
