"""A toy language, translated word by word, as bitext."""

import random

import pytest

from optical_ir.records import BitextPair

_ENGLISH = "the a cat dog bird house water tree red big small old sees eats near under and".split()
_FOREIGN = (
    "na kubwa paka mbwa ndege nyumba maji mti nyekundu ndogo zee ona kula karibu chini".split()
)


@pytest.fixture(scope="session")
def bitext() -> list[BitextPair]:
    """Give 60 distinct pairs of 3 to 8 words."""
    generator = random.Random(0)
    pairs = []
    for number in range(60):
        words = [generator.randrange(len(_FOREIGN)) for _ in range(3 + number % 6)]
        sides = (" ".join(side[word] for word in words) for side in (_FOREIGN, _ENGLISH))
        pairs.append(BitextPair(*sides))
    return pairs
