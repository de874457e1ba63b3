"""MaxSim of every query with every document on a GPU, for the first pass of exact search.

Token embeddings stream through the device chunk by chunk, so an index may be larger than its
memory; products are float32.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from optical_ir.models.encoder import TokenVectors


def document_scores(
    tokens: Tensor,
    lengths: npt.NDArray[np.int64],
    vectors: Sequence[TokenVectors],
    *,
    device: str | torch.device,
) -> npt.NDArray[np.float32]:
    """Score a chunk of documents for all queries, ``sum_i max_j <q_i, d_j>``.

    Parameters
    ----------
    tokens : Tensor, shape (n_tokens, dim)
        Of the documents, one after another, on any device.
    lengths : array, shape (n_docs,), int64
        Tokens of each; they sum to ``n_tokens``.
    vectors : sequence of arrays, shape (n_query_tokens, dim), float32
        Of the queries, at least one of them with tokens.
    device : str or torch.device
        Where it is computed.

    Returns
    -------
    array, shape (n_queries, n_docs), float32
        0 for a query or a document without tokens.
    """
    queries = torch.from_numpy(np.concatenate(list(vectors))).to(device)
    products = tokens.to(device).float() @ queries.T
    of_docs = torch.from_numpy(lengths).to(device)
    best = torch.segment_reduce(products, "max", lengths=of_docs)
    best[of_docs == 0] = 0.0
    of_queries = torch.tensor([len(own) for own in vectors], device=device)
    scores = torch.segment_reduce(best.T.contiguous(), "sum", lengths=of_queries, initial=0.0)
    return scores.cpu().numpy()
