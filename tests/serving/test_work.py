"""The pool of workers: its bounds hold, whatever callers do."""

import asyncio
import threading

import pytest
import torch

from optical_ir.errors import ConfigError
from optical_ir.serving.refusals import Refusal
from optical_ir.serving.work import WorkPool


def test_there_are_never_more_threads_than_processors():
    processors = torch.get_num_threads()
    for workers in range(1, processors + 1):
        pool = WorkPool(workers, queue=0)
        assert pool.workers * pool.threads <= processors
        assert pool.submit(torch.get_num_threads).result() == pool.threads
        pool.close()
    assert torch.get_num_threads() == processors
    with pytest.raises(ConfigError, match=f"expected at most {processors}, the processors"):
        WorkPool(processors + 1, queue=0)


def test_the_queue_is_bounded_and_drains():
    pool, go = WorkPool(1, queue=2), threading.Event()

    async def ask_five():
        asked = [asyncio.create_task(pool.run(lambda: go.wait(30), timeout=30)) for _ in range(5)]
        await asyncio.sleep(0.05)
        assert pool.held == 3
        go.set()
        done = await asyncio.gather(*asked, return_exceptions=True)
        await asyncio.sleep(0.05)
        assert pool.held == 0
        return done

    done = asyncio.run(ask_five())
    pool.close()
    assert done[:3] == [True] * 3
    assert [(one.reason, one.status, one.retry_after) for one in done[3:]] == [
        ("queue", 503, 1)
    ] * 2


def test_work_out_of_time_leaves_the_queue_or_keeps_its_place_until_it_ends():
    pool, go, ran = WorkPool(1, queue=1), threading.Event(), []

    async def ask_two():
        running = asyncio.create_task(pool.run(lambda: go.wait(30), timeout=0.1))
        await asyncio.sleep(0.02)
        waiting = asyncio.create_task(pool.run(lambda: ran.append(1), timeout=0.05))
        found = await asyncio.gather(running, waiting, return_exceptions=True)
        await asyncio.sleep(0.02)
        assert pool.held == 1, "the one that runs"
        go.set()
        while pool.held:
            await asyncio.sleep(0.01)
        return found

    found = asyncio.run(ask_two())
    pool.close()
    assert [one.reason for one in found] == ["timeout", "timeout"]
    assert ran == []


def test_errors_come_through_and_free_the_place():
    pool = WorkPool(1, queue=0)

    def fail():
        raise Refusal("invalid", "no")

    async def ask_twice():
        for _ in range(2):
            with pytest.raises(Refusal, match="no"):
                await pool.run(fail, timeout=5)
            await asyncio.sleep(0.02)

    asyncio.run(ask_twice())
    assert pool.held == 0
    pool.close()
