"""Why a document was found: the document token that each query token matched.

The document's tokens come from its text and the teacher that wrote the index, and are checked
against the vectors there; the similarities come from the index, as in search.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from sentence_transformers import MultiVectorEncoder

from optical_ir.collections import load_collection
from optical_ir.columns import layout_columns
from optical_ir.errors import ConfigError, DataError
from optical_ir.files import read_json_object
from optical_ir.models import embedding_space, encode_documents, encode_queries, load_encoder
from optical_ir.models.encoder import TokenVectors
from optical_ir.models.tokens import Token, scored_tokens, scored_words
from optical_ir.records import Doc, Query
from optical_ir.retrieval.index import MultiVectorIndex
from optical_ir.retrieval.search import score_exactly, search_index
from optical_ir.texts import printable

_SAME_TOKEN = 0.9
"""Cosine of a token's vectors, in the index and anew; rounding to bfloat16 leaves over 0.99."""


class TokenMatch(NamedTuple):
    """A query token and its best token of a document, each with the word it is of.

    A place is where the word starts and ends in its text, in characters; (-1, -1) where the token
    is not of the text.
    """

    query_token: str
    query_word: str
    doc_token: str
    doc_word: str
    similarity: float
    query_place: tuple[int, int]
    doc_place: tuple[int, int]


@dataclass(frozen=True)
class Explanation:
    """A document's score, taken apart.

    Attributes
    ----------
    doc_id : str
    score : float
        Of exact search, the sum of the similarities.
    matches : tuple of TokenMatch
        A query token each, in their order.
    """

    doc_id: str
    score: float
    matches: tuple[TokenMatch, ...]


def _settings(index: MultiVectorIndex) -> dict[str, Any]:
    """Give the settings that an index says it was encoded with."""
    origin = read_json_object(index.folder / "index.json").get("origin")
    settings = origin.get("settings") if isinstance(origin, dict) else None
    return settings if isinstance(settings, dict) else {}


def _named(index: MultiVectorIndex, role: str, option: str) -> str:
    name = _settings(index).get(role)
    if not name:
        raise ConfigError(
            f"{index.folder}: expected an index that names its {role}, found none. "
            f"Name it with {option}."
        )
    return str(name)


def open_docs(index: MultiVectorIndex, collection: str | None = None) -> Iterator[Doc]:
    """Documents of a collection, given by name, by default the one that the index names.

    Raises
    ------
    ConfigError
        If the index names none and none is given, or there is no such collection.
    """
    name = collection or _named(index, "collection", "--collection")
    try:
        return load_collection(name).iter_docs()
    except ConfigError as err:
        if collection:
            raise
        raise ConfigError(
            f"{index.folder} names its collection {name}, which does not open ({err}) "
            "Say where it is with --collection."
        ) from err


def load_index_teacher(
    index: MultiVectorIndex, teacher: str | None, *, device: str | None = None
) -> MultiVectorEncoder:
    """Load the encoder of an index's documents, by default the one that the index names.

    Documents are cut as the index says it was done.

    Raises
    ------
    ConfigError
        If the index names none and none is given, or the encoder is not that of the index.
    """
    name = teacher or _named(index, "encoder", "--teacher")
    length = _settings(index).get("max_length")
    if length is not None and type(length) is not int:
        raise DataError(
            f"{index.folder}: expected a whole number as max_length in its index.json, found "
            f"{length!r}. Encode the collection again."
        )
    try:
        model = load_encoder(name, device=device, document_length=length)
    except ConfigError as err:
        if teacher:
            raise
        raise ConfigError(
            f"{index.folder} names its encoder {name}, which does not load ({err}) "
            "Say where it is with --teacher."
        ) from err
    if (space := embedding_space(name, model)) != index.space:
        raise ConfigError(
            f"expected the teacher that encoded index {index.folder}, of embedding space "
            f"{index.space}, found {name} of {space}. Name the right one with --teacher."
        )
    return model


def explain(
    index: MultiVectorIndex,
    encoder: MultiVectorEncoder,
    teacher: MultiVectorEncoder,
    query: str,
    docs: Iterable[Doc],
    *,
    doc_ids: Sequence[str] = (),
    k: int = 3,
) -> list[Explanation]:
    """Take apart the scores of the documents that a query finds first, or of some named ones.

    Parameters
    ----------
    encoder : MultiVectorEncoder
        Of the query, from `optical_ir.retrieval.queries.load_for`.
    teacher : MultiVectorEncoder
        Of the index, from `load_index_teacher`.
    docs : iterable of Doc
        The collection that was indexed; read up to the last document that is needed.
    doc_ids : sequence of str
        The documents in question; the best `k` if there are none.

    Returns
    -------
    list of Explanation
        Best first.

    Raises
    ------
    DataError
        If the query has nothing to score, a document is not in the index or not among `docs`,
        or its text is not what was indexed.
    """
    tokens = scored_tokens(encoder, query)
    if not tokens:
        raise DataError(f"expected a query with words, found {query!r}. Give it some.")
    vectors = encode_queries(encoder, [query])[0]
    record = Query("query", query)
    if doc_ids:
        rows = np.array([_find_row(index, doc_id) for doc_id in dict.fromkeys(doc_ids)])
        ranked = score_exactly(index, record, vectors, rows)
    else:
        ranked = search_index(index, [record], [vectors], k=k)["query"]
    texts = _find_texts(docs, [row.doc_id for row in ranked])
    explanations = []
    for _, doc_id, score in ranked:
        doc, row = texts[doc_id], index.rows[doc_id]
        indexed = indexed_tokens(index, teacher, doc, row), stored_vectors(index, row)
        found = match_tokens((query, doc.text), (tokens, indexed[0]), (vectors, indexed[1]))
        explanations.append(Explanation(doc_id, score, found))
    return explanations


def _find_row(index: MultiVectorIndex, doc_id: str) -> int:
    if doc_id not in index.rows:
        raise DataError(
            f"{index.folder}: expected a document {doc_id!r}, found none of that id among "
            f"{len(index.rows)}, such as {next(iter(index.rows), None)!r}. Check the id."
        )
    row = index.rows[doc_id]
    if index.offsets[row] == index.offsets[row + 1]:
        raise DataError(
            f"{index.folder}: expected a document with scored tokens, found {doc_id!r} without "
            "any. It cannot match; name another."
        )
    return row


def _find_texts(docs: Iterable[Doc], doc_ids: Sequence[str]) -> dict[str, Doc]:
    wanted = set(doc_ids)
    found: dict[str, Doc] = {}
    for doc in docs:
        if doc.doc_id in wanted:
            found[doc.doc_id] = doc
            if len(found) == len(wanted):
                return found
    missing = [doc_id for doc_id in doc_ids if doc_id not in found]
    raise DataError(
        f"expected the texts of {len(wanted)} documents, found none of {missing[0]!r} in the "
        "collection. Name the collection that was indexed with --collection."
    )


def stored_vectors(index: MultiVectorIndex, row: int) -> TokenVectors:
    """Vectors of a document's tokens in the index, float32 of shape (n_tokens, dim)."""
    vectors: TokenVectors = index.token_vectors(row, row + 1).float().numpy()
    return vectors


def indexed_tokens(
    index: MultiVectorIndex, teacher: MultiVectorEncoder, doc: Doc, row: int
) -> list[Token]:
    """Tokens of a document's text; token i has row i of `stored_vectors`.

    Parameters
    ----------
    teacher : MultiVectorEncoder
        Of the index, from `load_index_teacher`.
    row : int
        The document's place in the index.

    Raises
    ------
    ConfigError
        If the index holds pooled vectors, which are no token's.
    DataError
        If the text, read by this teacher, does not give the vectors in the index.
    """
    if index.pool_factor > 1:
        raise ConfigError(
            f"{index.folder}: expected a vector for each token, found pooled ones (pool factor "
            f"{index.pool_factor:g}), which are no token's. Explain with an index that is not "
            "pooled."
        )
    stored = stored_vectors(index, row)
    tokens = scored_tokens(teacher, doc.text, task="document")
    hint = (
        "Name the collection and the teacher of the index with --collection and --teacher, or "
        "encode the collection again."
    )
    if len(tokens) != len(stored):
        raise DataError(
            f"{index.folder}: document {doc.doc_id!r} has {len(stored)} tokens there, but its "
            f"text has {len(tokens)}. {hint}"
        )
    anew = encode_documents(teacher, [doc.text])[0]
    worst = float((anew * stored).sum(axis=1).min())
    if worst < _SAME_TOKEN:
        raise DataError(
            f"{index.folder}: document {doc.doc_id!r} has other token vectors there than its text "
            f"gives (cosine {worst:.2f}, expected {_SAME_TOKEN} or more). {hint}"
        )
    return tokens


def match_tokens(
    texts: tuple[str, str],
    tokens: tuple[Sequence[Token], Sequence[Token]],
    vectors: tuple[TokenVectors, TokenVectors],
) -> tuple[TokenMatch, ...]:
    """Find the document token that each query token is most similar to.

    Parameters
    ----------
    texts : pair of str
        Of the query and of the document.
    tokens : pair of sequences of Token
        Their scored tokens, from `scored_tokens` and `indexed_tokens`.
    vectors : pair of arrays, shape (n_tokens, dim), float32

    Returns
    -------
    tuple of TokenMatch
        A query token each, in their order.
    """
    similarity = torch.from_numpy(vectors[1]) @ torch.from_numpy(vectors[0]).T
    best = similarity.max(dim=0)
    query_words, doc_words = (scored_words(*pair) for pair in zip(texts, tokens, strict=True))
    found = []
    for token, place, value in zip(
        tokens[0], best.indices.tolist(), best.values.tolist(), strict=True
    ):
        match = tokens[1][place]
        words = query_words[token.word], doc_words[match.word]
        (query_word, doc_word), places = (w.text for w in words), [(w.start, w.end) for w in words]
        found.append(TokenMatch(token.text, query_word, match.text, doc_word, value, *places))
    return tuple(found)


def format_explanations(explanations: Sequence[Explanation]) -> str:
    """Plain text: for each document its score, and a line for each query token.

    A token that is part of a word is followed by the word, in brackets.
    """
    blocks = []
    for number, (doc_id, score, matches) in enumerate(
        ((e.doc_id, e.score, e.matches) for e in explanations), start=1
    ):
        rows = [["query token", "document token", "similarity"]]
        for match in matches:
            rows.append(
                [
                    _in_word(match.query_token, match.query_word),
                    _in_word(match.doc_token, match.doc_word),
                    f"{match.similarity:.4f}",
                ]
            )
        shares = f"score {score:.4f}, {score / len(matches):.4f} a token"
        head = f"{number}  {printable(doc_id)}   {shares}"
        blocks.append("\n".join([head, *(f"   {line}" for line in layout_columns(rows))]))
    return "\n\n".join(blocks) + "\n"


def _in_word(token: str, word: str) -> str:
    return token if token == word else f"{token} [{word}]"
