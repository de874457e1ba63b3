"""Lexicons with probabilities: how likely an English word is the translation of a foreign one."""

import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from optical_ir.errors import DataError
from optical_ir.files import iter_lines, write_file
from optical_ir.glosses import TranslationProbabilities
from optical_ir.word_forms import GuessingLexicon
from optical_ir.words import fold_word

_TOLERANCE = 1e-3
"""Probabilities of a word may sum to this much more than 1: they were rounded to be written."""


class TranslationProbability(NamedTuple):
    """A row of a probabilistic lexicon: p(english | foreign)."""

    foreign: str
    english: str
    probability: float


class ProbabilisticLexicon:
    """Translations of words and their probabilities, looked up whatever the word's case.

    Parameters
    ----------
    rows : iterable of TranslationProbability
        Each pair of words once, whatever its case.

    Raises
    ------
    ValueError
        If a probability is not above 0 and at most 1, those of a word sum to more than 1, or a
        pair comes twice.
    """

    def __init__(self, rows: Iterable[TranslationProbability]) -> None:
        self._entries: dict[str, dict[str, float]] = {}
        self._sums: dict[str, float] = {}
        for row in rows:
            self._add(row)

    def _add(self, row: TranslationProbability) -> None:
        foreign, english = fold_word(row.foreign), fold_word(row.english)
        entries = self._entries.setdefault(foreign, {})
        if not 0 < row.probability <= 1:
            raise ValueError(
                f"expected a probability above 0 and at most 1, found {row.probability!r}."
            )
        if english in entries:
            raise ValueError(f"expected each pair once, found {foreign!r} {english!r} twice.")
        entries[english] = row.probability
        total = self._sums[foreign] = self._sums.get(foreign, 0.0) + row.probability
        if total > 1 + _TOLERANCE:
            raise ValueError(
                f"expected probabilities of {foreign!r} that sum to 1 at most, found {total:.4f}."
            )

    def __len__(self) -> int:
        """Count the pairs."""
        return sum(map(len, self._entries.values()))

    def __iter__(self) -> Iterator[TranslationProbability]:
        """Give the pairs, folded, word by word in the order in which the words came."""
        for foreign, entries in self._entries.items():
            for english, probability in entries.items():
                yield TranslationProbability(foreign, english, probability)

    def probabilities(self, word: str) -> Mapping[str, float]:
        """Give the probability of each translation of a word, by translation; none if unknown."""
        return dict(self._entries.get(fold_word(word), {}))


def read_probabilistic_lexicon(path: Path | str) -> ProbabilisticLexicon:
    """Read a probabilistic lexicon, foreign to English.

    Parameters
    ----------
    path : path
        Tab-separated, or such a `.gz`: foreign TAB English TAB probability, without a header.

    Raises
    ------
    DataError
        For a missing or empty file, other than three columns, an empty side, a probability that
        is no number above 0 and at most 1, a pair that comes twice, or a word whose
        probabilities sum to more than 1; with file, line and remedy.
    """
    path = Path(path)
    lexicon = ProbabilisticLexicon(())
    for number, line in iter_lines(path):
        try:
            lexicon._add(_parse(line))
        except ValueError as err:
            raise DataError(f"{path}, line {number}: {err} Correct or remove the line.") from err
    return lexicon


def read_gloss_lexicon(path: Path | str, *, word_forms: bool = True) -> TranslationProbabilities:
    """Read the probabilistic lexicon that glosses are made by.

    Parameters
    ----------
    path : path
        See `read_probabilistic_lexicon`.
    word_forms : bool
        Guess the translations of words that it lacks, see `optical_ir.word_forms`.
    """
    lexicon = read_probabilistic_lexicon(path)
    return GuessingLexicon(lexicon) if word_forms else lexicon


def _parse(line: str) -> TranslationProbability:
    fields = line.split("\t")
    if len(fields) != 3:
        raise ValueError(
            "expected 3 tab-separated columns 'foreign English probability', found "
            f"{len(fields)}: {line[:60]!r}. Make such a file with optical-ir learn-lexicon."
        )
    foreign, english = (" ".join(field.split()) for field in fields[:2])
    if not foreign or not english:
        raise ValueError(f"expected a word on both sides, found {foreign!r} and {english!r}.")
    try:
        probability = float(fields[2])
    except ValueError:
        probability = math.nan
    if math.isnan(probability):
        raise ValueError(f"expected a probability above 0 and at most 1, found {fields[2]!r}.")
    return TranslationProbability(foreign, english, probability)


def write_probabilistic_lexicon(
    path: Path | str, lexicon: ProbabilisticLexicon, *, overwrite: bool = False
) -> None:
    """Write a probabilistic lexicon, to six digits, as `read_probabilistic_lexicon` reads it.

    Raises
    ------
    ConfigError
        If `path` exists and `overwrite` is false.
    """
    with write_file(path, overwrite=overwrite) as stream:
        for foreign, english, probability in lexicon:
            stream.write(f"{foreign}\t{english}\t{probability:.6g}\n")
