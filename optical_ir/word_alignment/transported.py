"""Words aligned by optimal transport: what part of a foreign word's mass moves to an English one.

The plans are those of training, see `optical_ir.alignment`; here they are solved in batches and
summed over the words that lexicons are looked up by.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from sentence_transformers import MultiVectorEncoder
from torch.nn.utils.rnn import pad_sequence

from optical_ir.errors import ConfigError, DataError
from optical_ir.models import encode_queries
from optical_ir.models.encoder import TokenVectors
from optical_ir.models.tokens import Token, scored_tokens
from optical_ir.records import BitextPair
from optical_ir.transport import PLANS, cosine_cost, solve_transport, uniform_weights
from optical_ir.word_alignment.counts import TranslationCounts
from optical_ir.words import WORD, fold_word


class _Sentence(NamedTuple):
    """Vectors of the scored tokens, the words, and which token is of which word.

    Attributes
    ----------
    vectors : array, shape (n_tokens, dim)
    words : list of str
        Folded; only those that have a scored token.
    membership : array, shape (n_words, n_tokens)
        1 where a token is of a word, otherwise 0.
    """

    vectors: TokenVectors
    words: list[str]
    membership: npt.NDArray[np.float64]


def count_by_transport(
    pairs: Sequence[BitextPair],
    student: MultiVectorEncoder,
    teacher: MultiVectorEncoder,
    *,
    plan: str = "entropic",
    epsilon: float = 0.05,
    batch_size: int = 32,
    advance: Callable[[float], object] = lambda n_done: None,
) -> TranslationCounts:
    """Count how much of each foreign word is transported to each English one.

    With P the plan of a sentence pair and a its source weights, a foreign word f (a set of
    tokens) adds ``sum_(i in f, j in e) P_ij / sum_(i in f) a_i`` to its count with the English
    word e: each occurrence adds 1 at most, and less where mass moves to tokens outside of words
    or is left unmatched. Both sentences are read as queries, up to the encoders' own lengths.

    Parameters
    ----------
    pairs : sequence of BitextPair
        Their order does not matter: they are sorted by length first.
    student, teacher : MultiVectorEncoder
        Of the foreign and of the English sentences; the same one will do.
    plan, epsilon : str, float
        See `optical_ir.transport.solve_transport`.
    batch_size : int
        Pairs that are encoded and solved together.
    advance : callable
        Told the number of pairs after each batch.

    Raises
    ------
    ConfigError
        If there is no such plan, or it refuses `epsilon`.
    DataError
        If no pair has words on both sides.
    """
    if plan not in PLANS:
        raise ConfigError(f"plan: expected one of {', '.join(PLANS)}, found {plan!r}.")
    counts: TranslationCounts = {}
    ordered = sorted(pairs, key=lambda pair: (len(pair.source), pair))
    for start in range(0, len(ordered), batch_size):
        batch = ordered[start : start + batch_size]
        sources = _read(student, [pair.source for pair in batch])
        targets = _read(teacher, [pair.target for pair in batch])
        aligned = [
            both for both in zip(sources, targets, strict=True) if all(side.words for side in both)
        ]
        if aligned:
            _add_shares(counts, aligned, plan=plan, epsilon=epsilon)
        advance(len(batch))
    if not counts:
        raise DataError(
            f"expected sentence pairs with words on both sides, found none among {len(pairs)}. "
            "Check the bitext."
        )
    return counts


def _read(encoder: MultiVectorEncoder, texts: Sequence[str]) -> list[_Sentence]:
    vectors = encode_queries(encoder, texts, batch_size=len(texts))
    return [
        _Sentence(rows, *find_words(text, scored_tokens(encoder, text)))
        for text, rows in zip(texts, vectors, strict=True)
    ]


def find_words(text: str, tokens: Sequence[Token]) -> tuple[list[str], npt.NDArray[np.float64]]:
    """Words of a text as lexicons have them, with the tokens of each.

    `Token.word` is not used: to an encoder ``21st-century`` is one word, to a lexicon it is two.

    Returns
    -------
    words : list of str
        Folded, in order; those without a token, as of a part that was cut, are left out.
    membership : array, shape (n_words, n_tokens), float64
        1 where a token begins in a word or a word in a token, otherwise 0.
    """
    words, rows = [], []
    for found in WORD.finditer(text):
        start, end = found.span()
        row = [float(token.start < end and token.end > start) for token in tokens]
        if any(row):
            words.append(fold_word(found[0]))
            rows.append(row)
    return words, np.array(rows).reshape(len(rows), len(tokens))


def _add_shares(
    counts: TranslationCounts,
    aligned: Sequence[tuple[_Sentence, _Sentence]],
    *,
    plan: str,
    epsilon: float,
) -> None:
    """Solve the transport of a batch, and add what moves between words to the counts."""
    sides = [
        [torch.from_numpy(sentence.vectors) for sentence in side]
        for side in zip(*aligned, strict=True)
    ]
    padded = [pad_sequence(side, batch_first=True) for side in sides]
    weights = [uniform_weights(_mask(side)) for side in sides]
    try:
        solved = solve_transport(cosine_cost(*padded), *weights, plan=plan, epsilon=epsilon)
    except ValueError as err:
        raise ConfigError(f"plan {plan}: {err} Choose another value, or another plan.") from err
    plans = solved.plan.double().numpy()
    for (source, target), moved in zip(aligned, plans, strict=True):
        n_source, n_target = len(source.vectors), len(target.vectors)
        tokens = moved[:n_source, :n_target]
        shares = source.membership @ tokens @ target.membership.T * n_source
        shares /= source.membership.sum(1, keepdims=True)
        for foreign, row in zip(source.words, shares.tolist(), strict=True):
            entries = counts.setdefault(foreign, {})
            for english, share in zip(target.words, row, strict=True):
                entries[english] = entries.get(english, 0.0) + share


def _mask(side: Sequence[torch.Tensor]) -> torch.Tensor:
    """Mask of shape (batch, n_tokens), true where a sentence has a token."""
    return pad_sequence([torch.ones(len(rows), dtype=torch.bool) for rows in side], True)
