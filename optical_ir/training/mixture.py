"""A bitext of several parts: languages, or sources of different worth."""

from collections.abc import Sequence
from dataclasses import dataclass

from optical_ir.records import BitextPair


@dataclass(frozen=True)
class BitextPart:
    """Sentence pairs that are drawn from together.

    Attributes
    ----------
    name : str
        Of the part, as its file; unlike the others.
    pairs : sequence of BitextPair
    share : float
        How often a batch comes from this part, relative to the others' shares.
    """

    name: str
    pairs: Sequence[BitextPair]
    share: float = 1.0
