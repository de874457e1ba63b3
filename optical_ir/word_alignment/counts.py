"""From counts of aligned words to a pruned lexicon of translation probabilities."""

from collections.abc import Mapping
from dataclasses import dataclass

from optical_ir.collections.probabilistic_lexicon import (
    ProbabilisticLexicon,
    TranslationProbability,
)
from optical_ir.errors import ConfigError, DataError

TranslationCounts = dict[str, dict[str, float]]
"""How often a foreign word (first key) was aligned with an English one, both folded."""

_ROUNDING = 1e-9
"""How near a sum of probabilities comes to `cumulative` by rounding alone."""


@dataclass(frozen=True)
class Pruning:
    """Which translations of a word are kept: the likeliest, until one of the bounds is met.

    Attributes
    ----------
    cumulative : float
        The likeliest are taken until their probabilities sum to this much; above 0, at most 1.
    n : int
        Translations of a word at most.
    min_probability : float
        Less likely translations are left out; at least 1e-6, what a file of six digits keeps.

    Raises
    ------
    ConfigError
        If a value is out of its range.
    """

    cumulative: float = 0.95
    n: int = 10
    min_probability: float = 0.01

    def __post_init__(self) -> None:
        if not 0 < self.cumulative <= 1:
            raise ConfigError(
                f"cumulative: expected a value above 0, at most 1, found {self.cumulative}."
            )
        if self.n < 1:
            raise ConfigError(f"n: expected 1 translation or more, found {self.n}.")
        if not 1e-6 <= self.min_probability <= 1:
            raise ConfigError(
                f"min_probability: expected a value from 1e-6 to 1, found {self.min_probability}."
            )


def estimate_probabilities(counts: Mapping[str, Mapping[str, float]]) -> TranslationCounts:
    """p(english | foreign), the relative frequency among what a foreign word was aligned with.

    Returns
    -------
    dict of dict of float
        By foreign word, then English one; those of a word sum to 1. Words that were never
        aligned are left out.
    """
    totals = {foreign: sum(row.values()) for foreign, row in counts.items()}
    return {
        foreign: {english: count / totals[foreign] for english, count in row.items() if count > 0}
        for foreign, row in counts.items()
        if totals[foreign] > 0
    }


def make_lexicon(
    counts: Mapping[str, Mapping[str, float]], pruning: Pruning | None = None
) -> ProbabilisticLexicon:
    """Lexicon of the probable translations, words in order, the likeliest translation first.

    What is kept of a word is not normalised again: the mass that is missing went to translations
    that are not to be trusted.

    Raises
    ------
    DataError
        If nothing is left.
    """
    pruning = pruning or Pruning()
    rows = [
        TranslationProbability(foreign, english, probability)
        for foreign, found in sorted(estimate_probabilities(counts).items())
        for english, probability in _prune(found, pruning)
    ]
    if not rows:
        raise DataError(
            f"expected translations with a probability of {pruning.min_probability} or more, found "
            "none. Lower this bound, or give more sentence pairs."
        )
    return ProbabilisticLexicon(rows)


def _prune(found: Mapping[str, float], pruning: Pruning) -> list[tuple[str, float]]:
    kept: list[tuple[str, float]] = []
    total = 0.0
    for english, probability in sorted(found.items(), key=lambda item: (-item[1], item[0])):
        is_enough = total >= pruning.cumulative - _ROUNDING or len(kept) == pruning.n
        if is_enough or probability < pruning.min_probability:
            break
        # Rounding may take a single translation just above 1.
        kept.append((english, min(probability, 1.0)))
        total += probability
    return kept
