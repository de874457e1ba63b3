"""Compiled loops of two-stage search: MaxSim over centroids, over codes, and over products.

They release the interpreter's lock and start no threads, so queries run side by side in Python's
own threads, and what one query gets does not depend on their number.

Inner products with 16 query tokens, a block, lie side by side as small whole numbers in 64-bit
words: one instruction then serves many query tokens, and the tables stay in the cache.
"""

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

LANES = 16
"""Query tokens of a block."""

_MOST_BYTE, _MOST_SUM = 255, 32_767


def pad_queries(vectors: npt.NDArray[np.float32]) -> Tensor:
    """Blocks of query tokens, the last filled up with zeros, shape (blocks, 16, dim)."""
    n_tokens, dim = vectors.shape
    padded = torch.zeros(-(-n_tokens // LANES) * LANES, dim)
    padded[:n_tokens] = torch.from_numpy(vectors)
    return padded.view(-1, LANES, dim)


def pack_bytes(scores: Tensor) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.float32]]:
    """Centroid scores as bytes, eight query tokens to a word.

    Parameters
    ----------
    scores : Tensor, shape (blocks, n_centroids, 16)

    Returns
    -------
    words : array, shape (blocks, n_centroids, 2), uint64
    steps : array, shape (blocks * 16,), float32
        What one stands for; the least score of each query token, which is taken off, does not
        change the order of documents.
    """
    least, most = scores.aminmax(dim=1, keepdim=True)
    steps = (most - least).clamp(min=1e-6) / _MOST_BYTE
    whole = ((scores - least) / steps).round_().to(torch.uint8)
    return whole.numpy().view(np.uint64), steps.flatten().numpy()


def pack_sums(
    centroid_scores: Tensor, code_scores: Tensor
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64], npt.NDArray[np.float32]]:
    """Centroid and code scores as 16-bit numbers, four query tokens to a word, to be added up.

    Parameters
    ----------
    centroid_scores : Tensor, shape (blocks, n_centroids, 16)
    code_scores : Tensor, shape (blocks, n_parts, 256, 16)

    Returns
    -------
    centroid_words : array, shape (blocks, n_centroids, 4), uint64
    code_words : array, shape (blocks, n_parts, 256, 4), uint64
    steps : array, shape (blocks * 16,), float32
        As those of `pack_bytes`.
    """
    centroid_scores = centroid_scores - centroid_scores.amin(dim=1, keepdim=True)
    code_scores = code_scores - code_scores.amin(dim=2, keepdim=True)
    # Each rounded term may be half too much.
    room = _MOST_SUM - code_scores.shape[1] - 1
    span = centroid_scores.amax(dim=1) + code_scores.amax(dim=2).sum(dim=1)
    steps = span.clamp(min=1e-6) / room
    words = [
        (scores / steps.view(len(steps), *[1] * (scores.ndim - 2), LANES))
        .round_()
        .to(torch.int16)
        .numpy()
        .view(np.uint64)
        for scores in (centroid_scores, code_scores)
    ]
    return words[0], words[1], steps.flatten().numpy()


def _greater(bits: int) -> Any:
    """Compile what takes the greater of each pair of lanes of two words.

    LLVM keeps such words in vector registers and takes one instruction; numba has no types for
    them, and its loops over lanes are ten times slower.
    """
    from llvmlite import ir
    from numba import types
    from numba.extending import intrinsic

    def codegen(_context: Any, builder: Any, _signature: Any, words: Any) -> Any:
        lanes = ir.VectorType(ir.IntType(bits), 64 // bits)
        a, b = (builder.bitcast(word, lanes) for word in words)
        greater = builder.select(builder.icmp_unsigned(">", a, b), a, b)
        return builder.bitcast(greater, ir.IntType(64))

    @intrinsic
    def greater(_typing_context, a, b):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        return types.uint64(a, b), codegen

    return greater


@cache
def score_centroids() -> Any:
    """Compile the first stage: for some documents, the maxima over their centroids.

    The loop takes the words of `pack_bytes`, `centroids` (n_entries), the documents' `offsets`
    into them, and `rows`, the documents to score. It returns words (rows, blocks, 2).
    """
    import numba

    greater = _greater(8)

    @numba.njit(nogil=True, cache=True)
    def loop(words, centroids, offsets, rows):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        best = np.zeros((len(rows), len(words), 2), np.uint64)
        # Block by block, as one block's words fit the cache.
        for block in range(len(words)):
            own = words[block]
            for position in range(len(rows)):
                row = rows[position]
                # Scalars, so that the maxima stay in registers.
                a = b = np.uint64(0)
                for entry in range(offsets[row], offsets[row + 1]):
                    centroid = centroids[entry]
                    a, b = greater(own[centroid, 0], a), greater(own[centroid, 1], b)
                best[position, block, 0], best[position, block, 1] = a, b
        return best

    return loop


@cache
def score_codes() -> Any:
    """Compile the second stage: for some documents, the maxima over their entries' sums.

    The loop takes the words of `pack_sums`, `centroids` (n_entries) and `codes` (n_entries,
    n_parts), the documents' `offsets` into them, and `rows`, the documents to score. It returns
    words (rows, blocks, 4).
    """
    import numba

    greater = _greater(16)

    @numba.njit(nogil=True, cache=True)
    def loop(centroid_words, code_words, centroids, codes, offsets, rows):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        best = np.zeros((len(rows), len(centroid_words), 4), np.uint64)
        for block in range(len(centroid_words)):
            of_centroids, of_codes = centroid_words[block], code_words[block]
            for position in range(len(rows)):
                row = rows[position]
                w = x = y = z = np.uint64(0)
                for entry in range(offsets[row], offsets[row + 1]):
                    own = centroids[entry]
                    a, b = of_centroids[own, 0], of_centroids[own, 1]
                    c, d = of_centroids[own, 2], of_centroids[own, 3]
                    # No lane overflows into the next, see `pack_sums`.
                    for part in range(codes.shape[1]):
                        code = codes[entry, part]
                        a += of_codes[part, code, 0]
                        b += of_codes[part, code, 1]
                        c += of_codes[part, code, 2]
                        d += of_codes[part, code, 3]
                    w, x, y, z = greater(a, w), greater(b, x), greater(c, y), greater(d, z)
                best[position, block, 0], best[position, block, 1] = w, x
                best[position, block, 2], best[position, block, 3] = y, z
        return best

    return loop


@cache
def sum_maxima() -> Any:
    """Compile the third stage: MaxSim from the products of all tokens of some documents.

    The loop takes `products` (tokens, query tokens) and the documents' `lengths`, each above zero,
    and returns float32 (documents).
    """
    import numba

    @numba.njit(nogil=True, cache=True)
    def loop(products, lengths):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        scores = np.zeros(len(lengths), np.float32)
        best = np.empty(products.shape[1], np.float32)
        token = 0
        for doc in range(len(lengths)):
            best[:] = products[token]
            for row in range(token + 1, token + lengths[doc]):
                for column in range(len(best)):
                    best[column] = max(best[column], products[row, column])
            token += lengths[doc]
            for column in range(len(best)):
                scores[doc] += best[column]
        return scores

    return loop
