"""Transport plans of a batch against POT's solvers in a loop over its problems.

Ours solves all problems of a batch together; theirs is POT's function for a single problem, once
a problem, on the tokens that have weight: `ot.sinkhorn` (entropic), `ot.emd` (exact, proximal),
`ot.unbalanced.sinkhorn_unbalanced` and `ot.emd` with a bin on each side (dustbin). Random
sentences of 16 to 32 tokens whose translations share most of them. Also the mean distance of
<P, C> from the exact optimum for the balanced plans.

Target: at most .5 times POT for entropic and unbalanced plans. The others have none: exact plans
are the same loop, and no iteration beats a linear program of this size on a CPU.
"""

from argparse import ArgumentParser
from collections.abc import Callable
from typing import Any

from benchmarks.timing import Ratio, parse_options, print_table, time_interleaved

_LIMITS = {"epsilon": 0.05, "max_iter": 100}
_RELAXATION, _DUSTBIN_COST = 0.2, 0.7


def random_problems(n_problems: int, n_tokens: int) -> tuple[Any, Any, Any]:
    """Costs and uniform weights of sentences and their noisy translations."""
    import torch
    from torch.nn.functional import normalize

    from optical_ir.transport import cosine_cost, uniform_weights

    generator = torch.Generator().manual_seed(0)
    shape = n_problems, n_tokens, 32
    target = normalize(torch.randn(shape, generator=generator), dim=-1)
    noise = normalize(torch.randn(shape, generator=generator), dim=-1)
    source = normalize(target[:, torch.randperm(n_tokens, generator=generator)] + noise, dim=-1)
    masks = []
    for _ in range(2):
        lengths = torch.randint(n_tokens // 2, n_tokens + 1, (n_problems, 1), generator=generator)
        masks.append(torch.arange(n_tokens) < lengths)
    return cosine_cost(source, target), *(uniform_weights(mask) for mask in masks)


def pot_solvers() -> dict[str, Callable[..., Any]]:
    """POT's function for one problem in double precision, by kind of plan."""
    import numpy as np
    import ot

    def in_bins(a: Any, b: Any, cost: Any) -> Any:
        wide = np.pad(cost, (0, 1), constant_values=_DUSTBIN_COST)
        return ot.emd(np.append(a, b.sum()), np.append(b, a.sum()), wide)

    epsilon, iterations = _LIMITS["epsilon"], {"numItermax": _LIMITS["max_iter"]}
    return {
        "entropic": lambda a, b, cost: ot.sinkhorn(
            a, b, cost, epsilon, stopThr=1e-4, warn=False, **iterations
        ),
        "exact": ot.emd,
        "proximal": ot.emd,
        "unbalanced": lambda a, b, cost: ot.unbalanced.sinkhorn_unbalanced(
            a, b, cost, epsilon, _RELAXATION, stopThr=1e-4, **iterations
        ),
        "dustbin": in_bins,
    }


def in_a_loop(solve: Callable[..., Any], problem: tuple[Any, Any, Any]) -> Callable[[], object]:
    """Solve each problem by itself, cut to the tokens that have weight."""
    import numpy as np

    cut = []
    for cost, a, b in zip(*(part.double().numpy() for part in problem), strict=True):
        rows, columns = a > 0, b > 0
        cut.append((a[rows] / a.sum(), b[columns] / b.sum(), cost[np.ix_(rows, columns)]))
    return lambda: [solve(*one) for one in cut]


def _add_options(parser: ArgumentParser) -> None:
    parser.add_argument("--problems", type=int, default=32, help="default: %(default)s")
    parser.add_argument("--tokens", type=int, default=32, help="default: %(default)s")


def main() -> None:
    """Time all plans and print the table, then how near they come to the optimum."""
    options = parse_options(__doc__, rounds=9, add=_add_options)
    from functools import partial

    from optical_ir.transport import PLANS, solve_transport

    problem = random_problems(options.problems, options.tokens)
    given = {**_LIMITS, "marginal_relaxation": _RELAXATION, "dustbin_cost": _DUSTBIN_COST}
    ours = {plan: partial(solve_transport, *problem, plan=plan, **given) for plan in PLANS}
    theirs = {f"POT {plan}": in_a_loop(one, problem) for plan, one in pot_solvers().items()}
    times = time_interleaved({**ours, **theirs}, rounds=options.rounds, warm_up=2)
    targets = {"entropic": 0.5, "unbalanced": 0.5}
    ratios = [Ratio(plan, f"POT {plan}", targets.get(plan)) for plan in PLANS]
    size = f"{options.problems} problems of {options.tokens} tokens a side"
    print_table(f"Plans, {size}, {options.threads} thread(s)", times, ratios)
    cost = problem[0]
    values = {plan: (ours[plan]().plan * cost).sum((-1, -2)) for plan in PLANS[:3]}
    for plan in ("entropic", "proximal"):
        gap = float((values[plan] - values["exact"]).abs().mean())
        print(f"  {plan}: <P, C> is {gap:.5f} from the optimum {float(values['exact'].mean()):.4f}")


if __name__ == "__main__":
    main()
