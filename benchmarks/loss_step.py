"""A training step with the transport loss against one with the pooled loss.

A step is what distillation does on a batch: student and teacher forward, loss, backward, AdamW.
Both are the embedded default model, the student as distillation starts it; 32 pairs of the demo
bitext, two sentences a side, about 32 tokens; bfloat16 autocast where the CPU has it. Also: the
solver alone, on the same problems, with each kind of plan, and with all iterations of the default
one; and the loss with importance weights.

Targets: TransportLoss at most 1.10 times PooledLoss; every solver at most 5 % of the step.
"""

from argparse import ArgumentParser
from collections.abc import Callable
from typing import Any

from benchmarks.timing import Ratio, parse_options, print_table, time_interleaved

Features = list[dict[str, Any]]


def demo_batch(lang: str, size: int) -> list[tuple[str, str]]:
    """Pairs of two sentences a side and of like length, as training batches are."""
    from optical_ir.collections import read_bitext
    from optical_ir.collections.load import demo_folder

    bitext = read_bitext(demo_folder() / f"bitext.{lang}-en.tsv")
    joined = [
        (f"{first.source} {second.source}", f"{first.target} {second.target}")
        for first, second in zip(bitext[::2], bitext[1::2], strict=True)
    ]
    joined.sort(key=lambda pair: len(pair[0]) + len(pair[1]))
    middle = max(0, (len(joined) - size) // 2)
    return joined[middle : middle + size]


def make_step(loss: Any, features: Features, settings: Any) -> Callable[[], object]:
    """One optimiser step on always the same batch."""
    import torch

    from optical_ir.models.precision import has_fast_bfloat16

    weights = [weight for weight in loss.model.parameters() if weight.requires_grad]
    # A learning rate of 0 costs the same and leaves the problem as it is from round to round.
    optimizer = torch.optim.AdamW(weights, lr=0.0, weight_decay=0.0)
    fast = has_fast_bfloat16(torch.device("cpu"))

    def step() -> None:
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=fast):
            value = loss(features)
        value.backward()
        optimizer.step()

    return step


def find_problem(loss: Any, features: Features) -> tuple[Any, Any, Any]:
    """Find the batch's transport problems by one forward pass."""
    import torch

    from optical_ir.transport import cosine_cost, uniform_weights

    with torch.no_grad():
        outputs = [
            encoder({name: value for name, value in column.items() if name != "task"}, task="query")
            for encoder, column in zip((loss.model, loss.teacher), features, strict=True)
        ]
    cost = cosine_cost(*(output["token_embeddings"] for output in outputs))
    return cost, *(uniform_weights(output["attention_mask"].bool()) for output in outputs)


def make_solvers(problem: tuple[Any, Any, Any], settings: Any) -> dict[str, Callable[[], object]]:
    """Solve the problems with each kind of plan, and once without stopping early."""
    from functools import partial

    from optical_ir.transport import PLANS, solve_plan, solve_transport

    limits = {"epsilon": settings.epsilon, "max_iter": settings.sinkhorn_iterations}
    solvers: dict[str, Callable[[], object]] = {
        f"solver, {plan}": partial(solve_transport, *problem, plan=plan, **limits) for plan in PLANS
    }
    solvers["solver, all iterations"] = partial(solve_plan, *problem, **limits, tol=0.0)
    return solvers


def _add_options(parser: ArgumentParser) -> None:
    parser.add_argument("--lang", default="sw", help="foreign language; default: %(default)s")
    parser.add_argument("--batch-size", type=int, default=32, help="default: %(default)s")


def main() -> None:
    """Time the steps and print the table."""
    options = parse_options(__doc__, rounds=9, add=_add_options)
    from optical_ir.models import load_encoder
    from optical_ir.training import DistillationSettings, PooledLoss, TransportLoss
    from optical_ir.training.student import start_student

    settings = DistillationSettings()
    teacher = load_encoder("embedded", device="cpu")
    pairs = demo_batch(options.lang, options.batch_size)
    sides = [list(texts) for texts in zip(*pairs, strict=True)]
    student = start_student(teacher, None, settings, sides[0])
    features = [
        encoder.preprocess(texts, prompt="query: ", task="query", max_length=settings.max_length)
        for encoder, texts in zip((student, teacher), sides, strict=True)
    ]
    transport = TransportLoss(student, teacher, epsilon=settings.epsilon)
    scored = TransportLoss(student, teacher, epsilon=settings.epsilon, score_weight=0.5)
    losses = {
        "pooled": PooledLoss(student, teacher),
        "transport": transport,
        "with scores": scored,
        "with importance": TransportLoss(student, teacher, token_weights="importance"),
    }
    calls = {name: make_step(loss, features, settings) for name, loss in losses.items()}
    solvers = make_solvers(find_problem(transport, features), settings)
    times = time_interleaved({**calls, **solvers}, rounds=options.rounds, warm_up=2)
    ratios = [
        Ratio("transport", "pooled", 1.10),
        Ratio("with scores", "pooled"),
        Ratio("with importance", "pooled"),
        *(Ratio(name, "transport", 0.05) for name in solvers),
    ]
    shapes = " and ".join("x".join(map(str, side["input_ids"].shape)) for side in features)
    print_table(f"Training step, {shapes} tokens, {options.threads} thread(s)", times, ratios)


if __name__ == "__main__":
    main()
