"""Token embeddings of a batch of sentences, as the losses see them."""

from typing import Any, NamedTuple

from sentence_transformers.util.similarity import mean_maxsim
from torch import Tensor, nn

from optical_ir.transport import uniform_weights


class TokenBatch(NamedTuple):
    """Token embeddings of sentences.

    Attributes
    ----------
    embeddings : Tensor, shape (batch, n_tokens, dim), float32
        Unit vectors.
    mask : Tensor, shape (batch, n_tokens), bool
        True where a token is scored.
    token_ids : Tensor, shape (batch, n_tokens), int64
        In the encoder's own vocabulary.
    """

    embeddings: Tensor
    mask: Tensor
    token_ids: Tensor


def embed_tokens(
    encoder: nn.Module, features: dict[str, Any], *, task: str = "query"
) -> TokenBatch:
    """Run an encoder over a batch of model inputs, as queries or as documents."""
    inputs = {name: value for name, value in features.items() if name != "task"}
    token_ids = inputs["input_ids"]
    output = encoder(inputs, task=task)
    return TokenBatch(
        output["token_embeddings"].float(), output["attention_mask"].bool(), token_ids
    )


def select_rows(batch: TokenBatch, kept: Tensor) -> TokenBatch:
    """Sentences where `kept`, shape (batch,), is true."""
    return TokenBatch(*(part[kept] for part in batch))


def score_documents(queries: TokenBatch, documents: TokenBatch) -> Tensor:
    """Mean MaxSim over the query's tokens; shape (n_queries, n_documents), between -1 and 1."""
    scores: Tensor = mean_maxsim(
        queries.embeddings, documents.embeddings, a_mask=queries.mask, b_mask=documents.mask
    )
    return scores


def mean_pool(batch: TokenBatch) -> Tensor:
    """Mean of the scored tokens of each sentence; shape (batch, dim)."""
    return (uniform_weights(batch.mask).unsqueeze(-1) * batch.embeddings).sum(1)
