"""Translation probabilities of words, learned from the aligned words of a bitext."""

from optical_ir.word_alignment.counts import (
    Pruning,
    TranslationCounts,
    estimate_probabilities,
    make_lexicon,
)
from optical_ir.word_alignment.statistical import count_by_eflomal
from optical_ir.word_alignment.transported import count_by_transport

ALIGNERS = ("ot", "eflomal")
"""Ways to align words: by transport plans, or by the statistical aligner of that name."""

__all__ = [
    "ALIGNERS",
    "Pruning",
    "TranslationCounts",
    "count_by_eflomal",
    "count_by_transport",
    "estimate_probabilities",
    "make_lexicon",
]
