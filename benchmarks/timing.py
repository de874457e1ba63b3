"""Interleaved timing of callables, so that a busy machine slows both sides alike."""

import argparse
import os
import statistics
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

Times = dict[str, list[float]]
"""Seconds of each round, by the name of what was timed."""


class Ratio(NamedTuple):
    """A row to report: one side over another, and the most (or least) it should be."""

    side: str
    baseline: str
    target: float | None = None
    at_least: bool = False


def parse_options(
    description: str | None, *, rounds: int, add: Callable[[argparse.ArgumentParser], None]
) -> argparse.Namespace:
    """Parse the command line and set the number of threads of torch and numba."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=1, help="default: %(default)s")
    parser.add_argument("--rounds", type=int, default=rounds, help="default: %(default)s")
    add(parser)
    options = parser.parse_args()
    # Read when torch and numba load; waiting threads that spin would slow the other side.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ["NUMBA_NUM_THREADS"] = str(options.threads)
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    import torch
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()  # type: ignore[no-untyped-call]
    torch.set_num_threads(options.threads)
    return options


def time_interleaved(
    calls: Mapping[str, Callable[[], object]], *, rounds: int, warm_up: int = 1
) -> Times:
    """Time the callables in turn, A B A B, after `warm_up` rounds that are not counted."""
    times: Times = {name: [] for name in calls}
    for number in range(warm_up + rounds):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            seconds = time.perf_counter() - start
            if number >= warm_up:
                times[name].append(seconds)
    return times


def median_ratio(times: Times, side: str, baseline: str) -> float:
    """Median over the rounds of one side's time over the other's in the same round."""
    pairs = zip(times[side], times[baseline], strict=True)
    return statistics.median(mine / theirs for mine, theirs in pairs)


def print_table(title: str, times: Times, ratios: list[Ratio]) -> None:
    """Print the median times, then the ratios with their targets."""
    width = max(len(name) for name in [*times, *(f"{r.side} / {r.baseline}" for r in ratios)])
    print(f"\n{title}")
    for name, seconds in times.items():
        spread = f"{1000 * min(seconds):.1f} to {1000 * max(seconds):.1f}"
        print(f"  {name:<{width}}  {1000 * statistics.median(seconds):9.1f} ms  ({spread})")
    for side, baseline, target, at_least in ratios:
        ratio = median_ratio(times, side, baseline)
        line = f"  {side + ' / ' + baseline:<{width}}  {ratio:9.3f}"
        if target is not None:
            met = ratio >= target if at_least else ratio <= target
            bound = f"at {'least' if at_least else 'most'} {target}"
            line += f"     target {bound}: {'met' if met else 'missed'}"
        print(line)
