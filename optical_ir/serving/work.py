"""Work on models in a bounded number of threads, with a bounded queue before them."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import torch

from optical_ir.errors import ConfigError
from optical_ir.serving.refusals import Refusal

_T = TypeVar("_T")


class WorkPool:
    """Threads that share out torch's threads, so that there are never more than processors.

    Parameters
    ----------
    workers : int or None
        Threads; as many as torch would use if None.
    queue : int
        Pieces of work that may wait.

    Attributes
    ----------
    workers : int
    threads : int
        Of torch and numba, in each worker.

    Raises
    ------
    ConfigError
        If there are more workers than processors.
    """

    def __init__(self, workers: int | None, *, queue: int) -> None:
        processors = torch.get_num_threads()
        self.workers = workers or processors
        if self.workers > processors:
            raise ConfigError(
                f"--workers: expected at most {processors}, the processors (or OMP_NUM_THREADS) "
                f"of this machine, found {workers}. More would slow each other down."
            )
        self.threads = processors // self.workers
        self._room = self.workers + queue
        self._held = 0
        self._executor = ThreadPoolExecutor(
            self.workers, "model", initializer=torch.set_num_threads, initargs=(self.threads,)
        )

    @property
    def held(self) -> int:
        """Pieces of work that run or wait."""
        return self._held

    def submit(self, work: Callable[[], _T]) -> "Future[_T]":
        """Run something in a worker, without a limit: for what the service itself does."""
        return self._executor.submit(work)

    async def run(self, work: Callable[[], _T], *, timeout: float) -> _T:
        """Run something in a worker, if there is room.

        Work that is out of time is taken from the queue. If it runs already, it keeps its worker
        to its end, and its place: the bound holds for what runs, not for who waits.

        Raises
        ------
        Refusal
            If the queue is full, or the time is up.
        """
        if self._held >= self._room:
            raise Refusal("queue", "too many requests at this moment", retry_after=1)
        loop = asyncio.get_running_loop()
        self._held += 1
        future = self._executor.submit(work)
        future.add_done_callback(lambda done: _call_soon(loop, self._release))
        try:
            return await asyncio.wait_for(asyncio.wrap_future(future), timeout)
        except TimeoutError as err:
            message = f"the answer took longer than {timeout:g} seconds"
            raise Refusal("timeout", message, retry_after=2) from err

    def _release(self) -> None:
        self._held -= 1

    def close(self) -> None:
        """Drop what waits and let what runs come to its end."""
        self._executor.shutdown(wait=True, cancel_futures=True)


def _call_soon(loop: asyncio.AbstractEventLoop, call: Callable[[], Any]) -> None:
    # A worker may end after the loop, when the service was stopped and its time of grace is over.
    if not loop.is_closed():
        loop.call_soon_threadsafe(call)
