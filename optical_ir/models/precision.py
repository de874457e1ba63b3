"""Where bfloat16 is faster than float32, and encoders that are cast to it there."""

import time
from functools import cache

import torch
from sentence_transformers import MultiVectorEncoder

from optical_ir.threads import use_threads

_WORTHWHILE = 1.2
"""Speed-up of bfloat16 below which float32 is kept; what was seen is 1.8, or below 1."""

_ROUNDS = 30
"""Products of each kind that are timed, of which the fastest counts; 0.2 seconds together."""


def fast_inference(encoder: MultiVectorEncoder) -> MultiVectorEncoder:
    """Cast the encoder, in place, to bfloat16 where that is faster; agrees to three digits."""
    return encoder.to(torch.bfloat16) if has_fast_bfloat16(encoder.device) else encoder


def has_fast_bfloat16(device: torch.device) -> bool:
    """Whether bfloat16 products are faster than float32 ones on this device."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    # Elsewhere bfloat16 is emulated, which is slower than float32.
    return (
        device.type == "cpu"
        and bool(torch.cpu._is_avx512_bf16_supported())
        and _bfloat16_speed_up() > _WORTHWHILE
    )


@cache
def _bfloat16_speed_up() -> float:
    """Time of a float32 product of a small BERT's size over that of a bfloat16 one.

    Measured, because some processors have the instructions and are slower with them.
    """
    dtypes = torch.float32, torch.bfloat16
    inputs = [(torch.ones(256, 384, dtype=d), torch.ones(384, 1536, dtype=d)) for d in dtypes]
    best = [float("inf"), float("inf")]
    # By turns and in one thread, so that what else the processor does slows both alike: another
    # answer after a kill would be another precision.
    with use_threads(1):
        for _ in range(_ROUNDS):
            for place, (tokens, weights) in enumerate(inputs):
                start = time.perf_counter()
                torch.mm(tokens, weights)
                best[place] = min(best[place], time.perf_counter() - start)
    return best[0] / best[1]
