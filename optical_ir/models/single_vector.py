"""One vector a text, for engines that hold no more: Pyserini's Faiss and Lucene indexes.

Three ways, by what the encoder's folder is:

* a plain checkpoint made by `optical_ir.models.export`: its pooled vector, which stock Pyserini
  computes too;
* an encoder with settings of MUVERA in its `optical.json`: fixed-dimensional encodings;
* any other encoder: the mean of its scored token embeddings.

All give unit vectors, or the zero vector for a text with nothing to score. All are approximations
of late interaction, which compares every query token with every document token.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from sentence_transformers import MultiVectorEncoder, SentenceTransformer

from optical_ir.errors import ConfigError, DataError
from optical_ir.models.encoder import (
    TokenVectors,
    check_vectors,
    embedding_dim,
    encode_documents,
    encode_queries,
    load_encoder,
)
from optical_ir.models.folder import read_description
from optical_ir.models.muvera import Muvera, MuveraSettings
from optical_ir.models.trust import ONLY_SAFETENSORS, check_checkpoint
from optical_ir.texts import check_texts

Vectors = npt.NDArray[np.float32]

PLAIN, MEAN = "plain", "mean"
"""Names of the first and the last of these forms; the others are called as ``muvera-20x1x64``."""


def is_muvera(form: str) -> bool:
    """Whether a form is one of fixed-dimensional encodings, made to find candidates for MaxSim."""
    return form not in (PLAIN, MEAN)


def check_form(form: str) -> None:
    """Raise `ConfigError` for a name that is no form."""
    if is_muvera(form):
        MuveraSettings.from_name(form)


class SingleVectorEncoder(Protocol):
    """What gives one vector a text: arrays of shape (n_texts, dim), float32."""

    @property
    def dim(self) -> int:
        """Width of the vectors."""

    def encode_queries(self, texts: Sequence[str], *, batch_size: int = 32) -> Vectors:
        """Vectors of queries."""

    def encode_documents(self, texts: Sequence[str], *, batch_size: int = 32) -> Vectors:
        """Vectors of documents."""


class TokenPooling(Protocol):
    """What makes one vector out of the token embeddings of a text."""

    @property
    def dim(self) -> int:
        """Width of the vectors."""

    def pool_queries(self, token_vectors: Sequence[TokenVectors]) -> Vectors:
        """Vectors of queries, shape (n_texts, dim), float32."""

    def pool_documents(self, token_vectors: Sequence[TokenVectors]) -> Vectors:
        """Vectors of documents, shape (n_texts, dim), float32."""


class MeanPooling:
    """The L2-normalised mean of the token embeddings.

    Parameters
    ----------
    dim : int
        Their width.
    """

    def __init__(self, dim: int) -> None:
        self.dim = dim

    def pool_queries(self, token_vectors: Sequence[TokenVectors]) -> Vectors:
        """Give unit vectors, of queries and documents alike; zero for a text without tokens."""
        vectors = np.zeros((len(token_vectors), self.dim), np.float32)
        for row, tokens in zip(vectors, token_vectors, strict=True):
            # The mean's length is normalised away, so the sum serves.
            total = tokens.sum(axis=0)
            row[:] = total / max(float(np.linalg.norm(total)), 1e-12)
        return vectors

    pool_documents = pool_queries


class PoolingEncoder:
    """A late-interaction encoder whose token embeddings are pooled."""

    def __init__(self, encoder: MultiVectorEncoder, pooling: TokenPooling) -> None:
        self.encoder, self.pooling = encoder, pooling

    @property
    def dim(self) -> int:
        """Width of the vectors."""
        return self.pooling.dim

    def encode_queries(self, texts: Sequence[str], *, batch_size: int = 32) -> Vectors:
        """Vectors of queries, shape (n_texts, dim)."""
        return self.pooling.pool_queries(encode_queries(self.encoder, texts, batch_size=batch_size))

    def encode_documents(self, texts: Sequence[str], *, batch_size: int = 32) -> Vectors:
        """Vectors of documents, shape (n_texts, dim)."""
        tokens = encode_documents(self.encoder, texts, batch_size=batch_size)
        return self.pooling.pool_documents(tokens)


class CheckpointEncoder:
    """A plain checkpoint that pools by itself, as `fold_encoder` makes it."""

    def __init__(self, model: SentenceTransformer) -> None:
        self.model = model

    @property
    def dim(self) -> int:
        """Width of the vectors."""
        return int(self.model.get_embedding_dimension() or 0)

    def encode_queries(self, texts: Sequence[str], *, batch_size: int = 32) -> Vectors:
        """Vectors of queries, shape (n_texts, dim)."""
        return self._encode(self.model.encode_query, texts, batch_size)

    def encode_documents(self, texts: Sequence[str], *, batch_size: int = 32) -> Vectors:
        """Vectors of documents, shape (n_texts, dim)."""
        return self._encode(self.model.encode_document, texts, batch_size)

    def _encode(self, encode: Any, texts: Sequence[str], batch_size: int) -> Vectors:
        check_texts(texts)
        vectors: Vectors = encode(list(texts), batch_size=batch_size, show_progress_bar=False)
        vectors = np.ascontiguousarray(vectors, np.float32)
        check_vectors([vectors])
        return vectors


def load_single_vector(name: str | Path, *, device: str | None = None) -> SingleVectorEncoder:
    """Load an encoder by name as one that gives one vector a text; see the module's header.

    Raises
    ------
    ConfigError
        See `load_encoder`; also if the settings of MUVERA in its `optical.json` are impossible.
    DataError
        If its `optical.json` is damaged.
    """
    description = read_description(name)
    if description.get("role") == "single-vector":
        return CheckpointEncoder(_load_checkpoint(name, device))
    encoder = load_encoder(name, device=device)
    dim = embedding_dim(encoder)
    if "muvera" in description:
        return PoolingEncoder(encoder, Muvera(_read_settings(name, description["muvera"]), dim))
    return PoolingEncoder(encoder, MeanPooling(dim))


def _load_checkpoint(name: str | Path, device: str | None) -> SentenceTransformer:
    check_checkpoint(name)
    kwargs = dict(ONLY_SAFETENSORS)
    try:
        model = SentenceTransformer(str(name), device=device, model_kwargs=kwargs).eval()
        # What does not fit together shows when it is used.
        model.encode(["a"], show_progress_bar=False)
        return model
    # A damaged folder makes the libraries that read it raise whatever comes to them.
    except Exception as err:
        reason = str(err).strip().split("\n")[0] or type(err).__name__
        raise ConfigError(
            f"Encoder {str(name)!r}: expected a plain checkpoint, but it does not load ({reason}). "
            "Export the encoder again."
        ) from err


def _read_settings(name: str | Path, values: Any) -> MuveraSettings:
    try:
        return MuveraSettings(**values)
    except TypeError as err:
        raise DataError(
            f"{name}: expected repetitions, bits, projection and seed of MUVERA in its "
            f"optical.json, found {values!r}. Export the encoder again."
        ) from err
