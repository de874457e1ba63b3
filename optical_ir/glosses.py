"""Glosses: a query followed by its translation word by word, for encoders that know it badly.

An encoder of many languages reads the foreign words as well as it can, and beside them English ones
that it knows well. What a wrong translation does harm is bounded, as the foreign words are still
there.
"""

from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Protocol

from optical_ir.records import BitextPair, Query
from optical_ir.word_forms import GuessingLexicon, likeliest
from optical_ir.words import WORD, fold_word

GLOSSED_LENGTH = 128
"""Tokens kept of a glossed query, which has about twice as many as the query alone."""


class TranslationProbabilities(Protocol):
    """What a probabilistic lexicon into English tells."""

    def probabilities(self, word: str) -> Mapping[str, float]:
        """Give the probability of each translation of a word; none if it is not there."""


def add_gloss(text: str, lexicon: TranslationProbabilities) -> str:
    """Append to a text the likeliest translation of each of its words.

    Words that the lexicon does not have, as most names, are repeated as they are, so that the
    gloss reads as one text. A text without a word that the lexicon has stays as it is.

    Parameters
    ----------
    lexicon : TranslationProbabilities
        From the language of `text`, such as `optical_ir.word_forms.GuessingLexicon`.

    Examples
    --------
    >>> from optical_ir.collections import ProbabilisticLexicon, TranslationProbability
    >>> rows = [TranslationProbability("paka", "cat", 0.9), TranslationProbability("ni", "is", 1)]
    >>> add_gloss("Paka ni nani, Asha?", ProbabilisticLexicon(rows))
    'Paka ni nani, Asha? cat is nani Asha'
    """
    words = [found[0] for found in WORD.finditer(text)]
    translations = [likeliest(lexicon.probabilities(word)) for word in words]
    if not any(translations):
        return text
    gloss = (found or word for word, found in zip(words, translations, strict=True))
    return " ".join([text, *gloss])


def gloss_bitext(
    pairs: Sequence[BitextPair], lexicon: TranslationProbabilities
) -> list[BitextPair]:
    """Append its gloss to the foreign side of each pair, for training; see `add_gloss`.

    Words of a single pair count as unknown: a lexicon that guesses is asked for a guess. One that
    was learned from these pairs has the translation of such a word from that very pair, so it would
    be right too often: a student would learn to trust glosses more than those of queries deserve.
    """
    n_pairs = Counter(
        word for pair in pairs for word in {fold_word(w) for w in WORD.findall(pair.source)}
    )
    common = _CommonWords(lexicon, {word for word, n in n_pairs.items() if n > 1})
    return [pair._replace(source=add_gloss(pair.source, common)) for pair in pairs]


class _CommonWords:
    """A lexicon without some words: it has those given, as `fold_word` writes them."""

    def __init__(self, lexicon: TranslationProbabilities, words: Container[str]) -> None:
        self._lexicon, self._words = lexicon, words

    def probabilities(self, word: str) -> Mapping[str, float]:
        if fold_word(word) in self._words:
            return self._lexicon.probabilities(word)
        return self._lexicon.guess(word) if isinstance(self._lexicon, GuessingLexicon) else {}


def gloss_queries(queries: Iterable[Query], lexicon: TranslationProbabilities) -> list[Query]:
    """Append its gloss to each query; see `add_gloss`."""
    return [query._replace(text=add_gloss(query.text, lexicon)) for query in queries]
