"""How much each token weighs in the transport problem; tensors only, nothing is differentiated.

Every function gives weights that sum to 1 over the scored tokens of a sentence and are 0
elsewhere; a sentence with nothing to score has no weight at all.
"""

from collections.abc import Iterable

import torch
from torch import Tensor

TOKEN_WEIGHTS = ("uniform", "idf", "importance")
"""Kinds of weights that a distillation can use."""

_LEAST = 1e-6
"""Keeps weights positive where no token of a sentence is more important than another."""


def uniform_weights(mask: Tensor) -> Tensor:
    """Equal weight for every token that is scored, zero for the others.

    Parameters
    ----------
    mask : Tensor, shape (batch, n_tokens), bool
        True where a token is scored.

    Returns
    -------
    Tensor, shape (batch, n_tokens), float32
        Rows sum to 1, or to 0 where nothing is scored.
    """
    counts = mask.sum(dim=-1, keepdim=True).clamp(min=1)
    return mask.to(torch.float32) / counts


def inverse_document_frequency(batches: Iterable[Tensor], vocabulary_size: int) -> Tensor:
    """Inverse document frequency of every piece of a vocabulary over sentences.

    ``log(1 + (N - n + 0.5) / (n + 0.5))`` for a piece in n of N sentences: positive even for a
    piece that stands in all of them.

    Parameters
    ----------
    batches : iterable of Tensor, shape (n_sentences, n_tokens), int64
        Token ids, padded within a batch.
    vocabulary_size : int
        Larger than any token id.

    Returns
    -------
    Tensor, shape (vocabulary_size,), float32

    References
    ----------
    Robertson and Zaragoza (2009), section 3; with 1 added in the logarithm, as Lucene does.
    """
    n_sentences = 0
    frequency = torch.zeros(vocabulary_size, dtype=torch.int64)
    for token_ids in batches:
        rows = torch.arange(len(token_ids))[:, None]
        occurring = torch.unique(token_ids.cpu() + vocabulary_size * rows) % vocabulary_size
        frequency += torch.bincount(occurring, minlength=vocabulary_size)
        n_sentences += len(token_ids)
    return torch.log1p((n_sentences - frequency + 0.5) / (frequency + 0.5))


def idf_weights(token_ids: Tensor, mask: Tensor, idf: Tensor) -> Tensor:
    """Weights in proportion to the inverse document frequency of the pieces.

    Parameters
    ----------
    token_ids : Tensor, shape (batch, n_tokens), int64
    mask : Tensor, shape (batch, n_tokens), bool
        True where a token is scored.
    idf : Tensor, shape (vocabulary_size,), float32
        Positive; see `inverse_document_frequency`.

    Returns
    -------
    Tensor, shape (batch, n_tokens), float32
    """
    return _normalize(idf.to(token_ids.device)[token_ids], mask)


@torch.no_grad()
def importance_weights(embeddings: Tensor, mask: Tensor) -> Tensor:
    """Weights in proportion to how much a token tells the sentences of the batch apart.

    A token's importance is the standard deviation, over the sentences j of the batch, of what it
    adds to MaxSim as part of a query, ``max_k <t_i, d_jk>``. Its own sentence is one of them: a
    rare word is found there and nowhere else, a common one is found everywhere.

    Parameters
    ----------
    embeddings : Tensor, shape (batch, n_tokens, dim)
        The teacher's, unit vectors.
    mask : Tensor, shape (batch, n_tokens), bool
        True where a token is scored; at least one in every row.

    Returns
    -------
    Tensor, shape (batch, n_tokens), float32
        Uniform where all tokens are equally important, as in a batch of one sentence.
    """
    embeddings = embeddings.float()
    # A sentence at a time: all at once would need (batch * n_tokens) ** 2 numbers.
    found = [
        (embeddings @ sentence[scored].mT).amax(-1)
        for sentence, scored in zip(embeddings, mask, strict=True)
    ]
    return _normalize(torch.stack(found).std(0, correction=0) + _LEAST, mask)


@torch.no_grad()
def propagated_weights(
    source: Tensor,
    mask: Tensor,
    target: Tensor,
    target_weights: Tensor,
    *,
    temperature: float = 0.05,
) -> Tensor:
    """Weights of source tokens that are like those of the target tokens they resemble.

    Source token i weighs in proportion to ``sum_j softmax_j(<s_i, t_j> / temperature) w_j``: no
    plan is needed, which would need the weights first, and a student that resembles nothing yet
    has uniform weights.

    Parameters
    ----------
    source, target : Tensor, shape (batch, n_tokens, dim)
        Unit vectors.
    mask : Tensor, shape (batch, n_source), bool
        True where a source token is scored.
    target_weights : Tensor, shape (batch, n_target), float32
        Zero for target tokens that are not scored; at least one is positive in every row.

    Returns
    -------
    Tensor, shape (batch, n_source), float32
    """
    similarity = source.float() @ target.float().mT / temperature
    similarity = similarity.masked_fill((target_weights == 0).unsqueeze(-2), -torch.inf)
    attention = similarity.softmax(-1)
    return _normalize((attention @ target_weights.unsqueeze(-1)).squeeze(-1), mask)


def _normalize(weights: Tensor, mask: Tensor) -> Tensor:
    weights = weights.masked_fill(~mask, 0.0)
    return weights / weights.sum(-1, keepdim=True).clamp(min=torch.finfo(weights.dtype).tiny)
