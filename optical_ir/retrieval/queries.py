"""Token embeddings of queries for an index: encoded by an encoder of its space, and checked."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, TypedDict

from sentence_transformers import MultiVectorEncoder

from optical_ir.errors import ConfigError
from optical_ir.glosses import TranslationProbabilities, gloss_queries
from optical_ir.models.encoder import TokenVectors, embedding_dim, encode_queries
from optical_ir.models.folder import embedding_space
from optical_ir.models.precision import fast_inference
from optical_ir.models.query_encoder import load_query_encoder
from optical_ir.records import Query


class VectorSpace(Protocol):
    """What an index tells of its token embeddings."""

    @property
    def folder(self) -> Path | str:
        """Where the index is."""

    @property
    def dim(self) -> int:
        """Width of the token embeddings."""

    @property
    def space(self) -> str:
        """Key of the embedding space, see `optical_ir.models.embedding_space`."""


def load_for(
    index: VectorSpace,
    encoder: str,
    *,
    glossed: bool = False,
    max_length: int | None = None,
    device: str | None = None,
) -> MultiVectorEncoder:
    """Load a query encoder, given by name, that writes into the index's space.

    Parameters
    ----------
    glossed, max_length, device
        See `optical_ir.models.query_encoder.load_query_encoder`.

    Raises
    ------
    ConfigError
        If the encoder writes into another embedding space than the index holds.
    """
    model = load_query_encoder(encoder, glossed=glossed, max_length=max_length, device=device)
    if embedding_dim(model) != index.dim:
        raise ConfigError(
            f"Encoder {encoder} gives embeddings of dim {embedding_dim(model)}, index "
            f"{index.folder} has {index.dim}. Encode the collection with this encoder's teacher."
        )
    if embedding_space(encoder, model) != index.space:
        raise ConfigError(
            f"Encoder {encoder} and index {index.folder} belong to different teachers. Encode the "
            "collection with this encoder's teacher, or distil a student of the index's. (If it "
            f'is one, made elsewhere: write {{"space": "{index.space}"}} into its optical.json.)'
        )
    return fast_inference(model)


class QueryEncoding(TypedDict, total=False):
    """What searches hand on to `encode_for`, where it is explained."""

    lexicon: TranslationProbabilities | None
    batch_size: int
    max_length: int | None
    device: str | None


def encode_for(
    index: VectorSpace,
    encoder: str,
    queries: Sequence[Query],
    *,
    lexicon: TranslationProbabilities | None = None,
    batch_size: int = 32,
    max_length: int | None = None,
    device: str | None = None,
) -> list[TokenVectors]:
    """Encode queries with an encoder, given by name, that writes into the index's space.

    Parameters
    ----------
    lexicon : TranslationProbabilities, optional
        The encoder reads each query with its gloss by this lexicon, see `optical_ir.glosses`.
    batch_size : int
        Queries a forward pass.
    max_length, device
        See `load_for`.

    Raises
    ------
    ConfigError
        If the encoder writes into another embedding space than the index holds.
    """
    glossed = lexicon is not None
    model = load_for(index, encoder, glossed=glossed, max_length=max_length, device=device)
    if lexicon is not None:
        queries = gloss_queries(queries, lexicon)
    texts = [query.text for query in queries]
    return encode_queries(model, texts, batch_size=batch_size)


def check_query_vectors(
    index: VectorSpace, queries: Sequence[Query], vectors: Sequence[TokenVectors]
) -> None:
    """Refuse embeddings of other queries, or of another width than the index has.

    Raises
    ------
    ConfigError
        If the embeddings' width is not the index's.
    ValueError
        If `queries` and `vectors` differ in length.
    """
    if len(queries) != len(vectors):
        raise ValueError(f"expected the embeddings of {len(queries)} queries, got {len(vectors)}.")
    for query_vectors in vectors:
        if query_vectors.shape[1] != index.dim:
            raise ConfigError(
                f"The query encoder gives embeddings of dim {query_vectors.shape[1]}, index "
                f"{index.folder} has {index.dim}. Encode the collection with this encoder's "
                "teacher."
            )
