"""Artificially code-switched training queries: English ones with words of other languages.

Training on them is a rival of distillation that needs English relevance judgements and a lexicon
but no bitext. Here only queries are switched, since documents stay as the index has them.

References
----------
Litschko, Artemova and Plank (2023), Boosting zero-shot cross-lingual retrieval by training on
artificially code-switched data, Findings of ACL: bilingual and multilingual code-switching.
"""

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from optical_ir.errors import ConfigError
from optical_ir.words import WORD


class Translations(Protocol):
    """What a lexicon from English tells, as `Lexicon.inverse` does."""

    def translations(self, word: str) -> Sequence[str]:
        """Give the translations of a word; none if it is not there."""


def code_switch(
    text: str,
    lexicons: Sequence[Translations],
    generator: random.Random,
    *,
    probability: float = 0.5,
) -> str:
    """Replace words of an English text, each with the same probability, by a random translation.

    With several lexicons a language is drawn for each word anew, among those that have the word,
    so that small lexicons do not lower the share of words that are replaced. Words in no lexicon
    stay, as does all that is no word.

    Parameters
    ----------
    lexicons : sequence of Translations
        From English; one for bilingual, several for multilingual code-switching.
    generator : random.Random
        Draws words, languages and translations.
    probability : float
        Of a word that some lexicon has, between 0 and 1.

    References
    ----------
    Litschko et al. (2023); they draw among nearest neighbours in MUSE's cross-lingual embeddings,
    this among the entries of lexicons.
    """

    def switch(word: str) -> str:
        # Drawn first and always, so that a larger probability replaces the same words and more.
        is_replaced = generator.random() < probability
        known = [found for lexicon in lexicons if (found := lexicon.translations(word))]
        choice = generator.choice(generator.choice(known)) if known else word
        return choice if is_replaced else word

    return str(WORD.sub(lambda found: switch(found[0]), text))


@dataclass(frozen=True, kw_only=True)
class CodeSwitcher:
    """Code-switching that can be repeated: a text of a row and epoch always becomes the same.

    Neither the order in which rows are asked for nor the process that asks matters.

    Attributes
    ----------
    lexicons : sequence of Translations
        From English; see `code_switch`.
    probability : float
        Of a word that some lexicon has, between 0 and 1.
    seed : int
        Of all draws, together with epoch and row.

    Raises
    ------
    ConfigError
        If there is no lexicon or the probability is not between 0 and 1.
    """

    lexicons: Sequence[Translations]
    probability: float = 0.5
    seed: int = 42

    def __post_init__(self) -> None:
        if not self.lexicons:
            raise ConfigError("Code-switching needs one lexicon at least, found none. Give one.")
        if not 0 <= self.probability <= 1:
            raise ConfigError(
                "Code-switching: expected a probability between 0 and 1, found "
                f"{self.probability!r}."
            )

    def switch(self, text: str, *, row: int, epoch: int = 0) -> str:
        """Code-switch the text of a row, anew in each epoch."""
        generator = random.Random(f"{self.seed} {epoch} {row}")
        return code_switch(text, self.lexicons, generator, probability=self.probability)

    def switch_row(self, row: dict[str, Any], number: int, *, epoch: int = 0) -> dict[str, Any]:
        """Code-switch the `query` of a training row, for `datasets`' ``map(with_indices=True)``.

        Other columns, as `positive` and `negative`, are left as they are.
        """
        return {**row, "query": self.switch(row["query"], row=number, epoch=epoch)}

    def iter_epochs(self, rows: Iterable[dict[str, Any]], epochs: int) -> Iterator[dict[str, Any]]:
        """Stream the rows `epochs` times, switched differently each time.

        Parameters
        ----------
        rows : iterable of dict
            Gone through once an epoch; with a column `query`.
        """
        for epoch in range(epochs):
            for number, row in enumerate(rows):
                yield self.switch_row(row, number, epoch=epoch)
