"""MaxSim, the late-interaction score, over lists of token embeddings."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from optical_ir.models.encoder import TokenVectors


def maxsim_scores(
    queries: Sequence[TokenVectors], documents: Sequence[TokenVectors]
) -> npt.NDArray[np.float32]:
    """Score every query against every document, ``sum_i max_j <q_i, d_j>``.

    Parameters
    ----------
    queries, documents : sequences of arrays, shape (n_tokens, dim), float32

    Returns
    -------
    array, shape (n_queries, n_documents), float32
        0 for a query without tokens, minus infinity for a document without tokens.

    References
    ----------
    Khattab and Zaharia (2020), ColBERT, eq. (3).
    """
    scores = np.full((len(queries), len(documents)), -np.inf, dtype=np.float32)
    if not queries:
        return scores
    stacked = np.concatenate(queries)
    starts = np.cumsum([0, *(len(query) for query in queries)])
    for column, document in enumerate(documents):
        if len(document):
            best = np.append((stacked @ document.T).max(axis=1), np.float32(0))
            sums = np.add.reduceat(best, np.minimum(starts[:-1], len(best) - 1))
            scores[:, column] = np.where(np.diff(starts) > 0, sums, 0)
    for row, query in enumerate(queries):
        if not len(query):
            scores[row] = 0
    return scores
