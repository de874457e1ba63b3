"""Whether bfloat16 is used: decided by a measurement that what else is busy does not change."""

import pytest
import torch

from optical_ir.models import precision


@pytest.mark.parametrize(
    ("has_instructions", "speed_up", "is_fast"),
    [(True, 1.8, True), (True, 0.7, False), (False, 1.8, False)],
)
def test_bfloat16_is_used_where_it_was_measured_to_be_faster(
    monkeypatch, has_instructions, speed_up, is_fast
):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: has_instructions)
    monkeypatch.setattr(precision, "_bfloat16_speed_up", lambda: speed_up)
    assert precision.has_fast_bfloat16(torch.device("cpu")) == is_fast


def test_measured_speed_up_is_a_ratio_that_stays():
    measured = precision._bfloat16_speed_up()
    assert measured > 0
    assert precision._bfloat16_speed_up() == measured


def test_the_measurement_takes_no_threads_away():
    before = torch.get_num_threads()
    precision._bfloat16_speed_up.cache_clear()
    precision._bfloat16_speed_up()
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("slow_rounds", [range(25), range(5, 30), range(0, 30, 2)])
def test_rounds_that_are_slow_for_another_reason_do_not_count(monkeypatch, slow_rounds):
    calls = []

    def product(tokens, weights):
        clock[0] += (2.0 if tokens.dtype == torch.float32 else 1.0) + (
            # The other kind of product of such a round is undisturbed.
            100.0 * (len(calls) // 2 in slow_rounds and len(calls) % 2)
        )
        calls.append(tokens.dtype)

    clock = [0.0]
    monkeypatch.setattr(torch, "mm", product)
    monkeypatch.setattr(precision.time, "perf_counter", lambda: clock[0])
    precision._bfloat16_speed_up.cache_clear()
    assert precision._bfloat16_speed_up() == 2.0
    assert calls[::2] == [torch.float32] * len(calls[1::2])
    precision._bfloat16_speed_up.cache_clear()
