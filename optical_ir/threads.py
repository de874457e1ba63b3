"""Numba and torch share OpenMP; this keeps the one from changing the other's threads."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


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
