"""Translations of words that a lexicon lacks, guessed from words with the same beginning or end.

A language that inflects has more forms than any bitext shows. Where endings change, as in Somali,
Marathi and Hausa, the forms of a word begin alike; where prefixes do, as in Swahili and Zulu, they
end alike. Which it is, the lexicon tells itself: it is the side by which more of its own words have
their translation guessed from the other ones.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import ceil

from optical_ir.words import fold_word

_SHARED = 0.6
"""Part of a word that its forms have in common with it at least."""

_LEAST_SHARED = 4
"""Letters that they have in common at least."""

_MAJORITY = 0.3
"""Part of the votes that the first translation needs, or nothing is guessed."""

_N_TRIED = 2000
"""Words at most by which the side is chosen; they are spread over the lexicon."""

_LAST = "\U0010ffff"
"""Sorts behind every letter."""


class GuessingLexicon:
    """A probabilistic lexicon that guesses the translations of words it does not have.

    The words that have the longest beginning (or end) in common with an unknown one vote, each with
    its translation probabilities. Numbers, and words that are English ones of the lexicon, as
    names and loans are, have no guess.

    Parameters
    ----------
    rows : iterable of (str, str, float)
        Foreign word, English one, both folded, and the probability of this translation; such as an
        `optical_ir.collections.ProbabilisticLexicon`.

    Attributes
    ----------
    by_end : bool
        Whether it is the end of a word that its forms have in common.

    Examples
    --------
    >>> rows = [("dalka", "country", 0.8), ("dalkii", "country", 0.6)]
    >>> GuessingLexicon(rows).probabilities("dalkan")
    {'country': 1.0}
    """

    def __init__(self, rows: Iterable[tuple[str, str, float]]) -> None:
        self._rows: dict[str, dict[str, float]] = {}
        self._english: set[str] = set()
        for foreign, english, probability in rows:
            self._rows.setdefault(foreign, {})[english] = probability
            self._english.add(english)
        self._forms = {
            by_end: sorted(_turn(word, by_end) for word in self._rows) for by_end in (False, True)
        }
        tried = self._forms[False][:: ceil(len(self._rows) / _N_TRIED) or 1]
        self.by_end = self._count_right(tried, by_end=True) > self._count_right(tried, by_end=False)

    def probabilities(self, word: str) -> Mapping[str, float]:
        """Give the probability of each translation of a word, guessed if it is not there."""
        known = self._rows.get(fold_word(word))
        return dict(known) if known else self.guess(word)

    def guess(self, word: str) -> Mapping[str, float]:
        """Give what other words tell of the translations of a word; none if they disagree.

        Returns
        -------
        mapping of str to float
            The votes for each translation; they sum to 1.
        """
        word = fold_word(word)
        if word in self._english or not any(letter.isalpha() for letter in word):
            return {}
        votes = self._vote(word, by_end=self.by_end)
        total = sum(votes.values())
        if not votes or max(votes.values()) < _MAJORITY * total:
            return {}
        return {english: vote / total for english, vote in votes.items()}

    def _vote(self, word: str, *, by_end: bool) -> dict[str, float]:
        votes: Counter[str] = Counter()
        turned, forms = _turn(word, by_end), self._forms[by_end]
        for n_shared in range(len(word), max(_LEAST_SHARED, ceil(_SHARED * len(word))) - 1, -1):
            for form in _beginning_with(forms, turned[:n_shared]):
                if form != turned:
                    votes.update(self._rows[_turn(form, by_end)])
            if votes:
                break
        return dict(votes)

    def _count_right(self, words: Iterable[str], *, by_end: bool) -> int:
        guesses = ((word, self._vote(word, by_end=by_end)) for word in words)
        return sum(likeliest(votes) == likeliest(self._rows[word]) for word, votes in guesses)


def _beginning_with(words: Sequence[str], start: str) -> Iterator[str]:
    """Give those of sorted words that begin so."""
    first = bisect_left(words, start)
    yield from words[first : bisect_left(words, start + _LAST, first)]


def _turn(word: str, by_end: bool) -> str:
    return word[::-1] if by_end else word


def likeliest(found: Mapping[str, float]) -> str | None:
    """Give the likeliest translation, of equals the first by alphabet; None if there is none."""
    return min(found, key=lambda english: (-found[english], english)) if found else None
