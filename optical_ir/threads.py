"""Numba and torch share OpenMP; this keeps the one from changing the other's threads."""

import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


@contextmanager
def keep_torch_threads() -> Iterator[None]:
    """Restore torch's number of threads after numba code.

    When numba starts its pool it sets OpenMP's number of threads for the whole process. Torch's
    sums depend on that number in their last bits, so a training after a search would differ from
    one before it, and whoever asked for one thread would get all cores.
    """
    torch = sys.modules.get("torch")
    threads = torch.get_num_threads() if torch else None
    try:
        yield
    finally:
        if torch and threads:
            torch.set_num_threads(threads)


def map_in_threads(
    function: Callable[[Item], Result], items: Iterable[Item], n_threads: int
) -> Iterator[Result]:
    """Apply a function to items on threads of one core each; results in the items' order.

    Torch's own threads are put away meanwhile, so that no more cores are busy than asked for and
    no result depends on how many there are. At most two items a thread are under way.
    """
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    pool = ThreadPoolExecutor(n_threads, initializer=torch.set_num_threads, initargs=(1,))
    try:
        with pool:
            waiting: deque[Future[Result]] = deque()
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) > 2 * n_threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
    finally:
        torch.set_num_threads(before)


@contextmanager
def use_threads(n_threads: int | None) -> Iterator[int]:
    """Have torch, and numba code after it, use so many threads; as many as before if None."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(n_threads or before)
    try:
        yield n_threads or before
    finally:
        torch.set_num_threads(before)
