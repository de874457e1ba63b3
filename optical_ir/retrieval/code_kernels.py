"""Compiled loops of two-stage search: MaxSim over codes, and over products.

They release the interpreter's lock and start no threads, so queries run side by side in Python's
own threads, and what one query gets does not depend on their number.
"""

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

LANES = 16
"""Query tokens of a block: 16-bit numbers, added up four to a 64-bit word."""

_MOST = 32_767
"""What a lane may add up to: its highest bit serves to compare."""


def pack_scores(
    centroid_scores: npt.NDArray[np.float32], code_scores: npt.NDArray[np.float32]
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64], npt.NDArray[np.float32]]:
    """Inner products with query tokens as whole numbers, 16 query tokens to four words.

    Parameters
    ----------
    centroid_scores : array, shape (query tokens, n_centroids)
    code_scores : array, shape (query tokens, n_parts, 256)

    Returns
    -------
    centroid_words : array, shape (blocks, n_centroids, 4), uint64
    code_words : array, shape (blocks, n_parts, 256, 4), uint64
    steps : array, shape (blocks * 16,), float32
        What one stands for; zero for lanes without a query token. The least possible sum of each
        query token is taken off, which is the same for all documents.
    """
    n_tokens = len(centroid_scores)
    n_blocks = -(-n_tokens // LANES)
    centroid_scores = centroid_scores - centroid_scores.min(axis=1, keepdims=True)
    code_scores = code_scores - code_scores.min(axis=2, keepdims=True)
    # Each rounded term may be half too much.
    room = np.float32(_MOST - code_scores.shape[1] - 1)
    span = centroid_scores.max(axis=1) + code_scores.max(axis=2).sum(axis=1)
    step = np.maximum(span, np.float32(1e-6)) / room
    words = []
    for scores in (centroid_scores, code_scores):
        lanes = np.zeros((n_blocks * LANES, *scores.shape[1:]), np.uint16)
        lanes[:n_tokens] = np.rint(scores / step.reshape(-1, *[1] * (scores.ndim - 1)))
        blocks = lanes.reshape(n_blocks, LANES, *scores.shape[1:])
        words.append(np.ascontiguousarray(np.moveaxis(blocks, 1, -1)).view(np.uint64))
    steps = np.zeros(n_blocks * LANES, np.float32)
    steps[:n_tokens] = step
    return words[0], words[1], steps


@cache
def score_codes() -> Any:
    """Compile the first stages: for some documents, the maxima over their codes.

    The loop takes the words of `pack_scores`, `centroids` (n_codes) and `codes` (n_codes,
    n_parts), the documents' `offsets` into them, and `rows`, the documents to score. Without parts
    it scores centroids alone. It returns words (rows, blocks, 4).
    """
    import numba

    high, low = np.uint64(0x8000_8000_8000_8000), np.uint64(15)

    @numba.njit(nogil=True, cache=True)
    def greater(a, b):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        """Of each pair of lanes the greater number, without a branch."""
        not_less = ((a | high) - b) & high
        mask = not_less - (not_less >> low)
        return (a & mask) | (b & ~mask & ~high)

    @numba.njit(nogil=True, cache=True)
    def loop(centroid_words, code_words, centroids, codes, offsets, rows):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        best = np.zeros((len(rows), len(centroid_words), 4), np.uint64)
        for position in range(len(rows)):
            row = rows[position]
            for block in range(len(centroid_words)):
                w = x = y = z = np.uint64(0)
                for entry in range(offsets[row], offsets[row + 1]):
                    # Scalars, so that the sums stay in registers.
                    own = centroids[entry]
                    a, b = centroid_words[block, own, 0], centroid_words[block, own, 1]
                    c, d = centroid_words[block, own, 2], centroid_words[block, own, 3]
                    for part in range(codes.shape[1]):
                        code = codes[entry, part]
                        a += code_words[block, part, code, 0]
                        b += code_words[block, part, code, 1]
                        c += code_words[block, part, code, 2]
                        d += code_words[block, part, code, 3]
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
