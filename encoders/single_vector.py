"""One vector a text, from a late-interaction encoder, for Pyserini's dense commands.

The vector is the L2-normalised mean of the scored token embeddings. It is an approximation that
fits an index of one vector a document; it is not late interaction, which compares every query
token with every document token (`optical-ir search` does). A text with nothing to score, such as
one of punctuation only, gets the zero vector.
"""

from collections.abc import Sequence
from functools import cache
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from optical_ir.errors import ConfigError
from optical_ir.models import embedding_dim, encode_documents, encode_queries, load_encoder
from optical_ir.models.encoder import TokenVectors

Vectors = npt.NDArray[np.float32]


class EncoderClasses(NamedTuple):
    """What Pyserini constructs: a class for documents and one for queries."""

    document: type
    query: type


def mean_vectors(token_vectors: Sequence[TokenVectors], dim: int) -> Vectors:
    """L2-normalised mean of the token embeddings of each text.

    Parameters
    ----------
    token_vectors : sequence of arrays, shape (n_tokens, dim)
        From `encode_documents` or `encode_queries`.

    Returns
    -------
    array, shape (n_texts, dim), float32, C-contiguous
        Unit rows; zero rows for texts without tokens.
    """
    vectors = np.zeros((len(token_vectors), dim), np.float32)
    for row, tokens in zip(vectors, token_vectors, strict=True):
        # The mean's length is normalised away, so the sum serves.
        total = tokens.sum(axis=0)
        row[:] = total / max(float(np.linalg.norm(total)), 1e-12)
    return vectors


@cache
def encoder_classes(pyserini_encode: ModuleType) -> EncoderClasses:
    """Derive our classes from the bases in the module `pyserini.encode`."""

    class OpticalDocumentEncoder(pyserini_encode.DocumentEncoder):  # type: ignore[misc, name-defined]
        """Documents as single vectors; see the module's header.

        Constructed by Pyserini as ``(model_name=..., device=...)``. Prompts and lengths are the
        checkpoint's own; `--max-length`, `--fp16` and `--add-sep` change nothing.
        """

        def __init__(self, model_name: str, device: str = "cpu", **kwargs: Any) -> None:
            super().__init__()
            self.model = load_encoder(model_name, device=device)

        def encode(
            self, texts: Sequence[str], titles: Sequence[str] | None = None, **kwargs: Any
        ) -> Vectors:
            """Vectors of documents, shape (n_texts, dim); titles, where given, go before."""
            if titles is not None:
                texts = [f"{title} {text}" for title, text in zip(titles, texts, strict=True)]
            tokens = encode_documents(self.model, texts, batch_size=max(1, len(texts)))
            return mean_vectors(tokens, embedding_dim(self.model))

    class OpticalQueryEncoder(pyserini_encode.QueryEncoder):  # type: ignore[misc, name-defined]
        """Queries as single vectors; see the module's header.

        Raises
        ------
        ConfigError
            If a prefix or another tokenizer is given: both belong to the checkpoint.
        """

        def __init__(
            self,
            encoder_dir: str | None = None,
            tokenizer_name: str | None = None,
            device: str = "cpu",
            prefix: str | None = None,
            **kwargs: Any,
        ) -> None:
            super().__init__()
            if encoder_dir is None:
                raise ConfigError("Expected the folder of an encoder, found none. Pass --encoder.")
            for flag, value in (("--query-prefix", prefix), ("--tokenizer", tokenizer_name)):
                if value:
                    raise ConfigError(
                        f"{flag} {value!r}: expected none, since {encoder_dir} holds its own. "
                        "Leave the flag out."
                    )
            self.model = load_encoder(encoder_dir, device=device)
            self.has_model = True

        def encode(self, query: str, **kwargs: Any) -> Vectors:
            """Vector of a query, shape (dim,)."""
            vector: Vectors = self.encode_batch([query])[0]
            return vector

        def encode_batch(self, queries: Sequence[str], **kwargs: Any) -> Vectors:
            """Vectors of queries, shape (n_queries, dim)."""
            tokens = encode_queries(self.model, queries, batch_size=max(1, len(queries)))
            return mean_vectors(tokens, embedding_dim(self.model))

    return EncoderClasses(OpticalDocumentEncoder, OpticalQueryEncoder)
