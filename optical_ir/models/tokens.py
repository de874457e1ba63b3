"""The scored tokens of a text as readable parts of it, in the order of their embeddings."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from sentence_transformers import MultiVectorEncoder
from sentence_transformers.multi_vector_encoder.modules import BaseTokenPooling, MultiVectorMask

from optical_ir.errors import ConfigError
from optical_ir.models.encoder import WORD_MARKS
from optical_ir.texts import check_texts

_NOWHERE = -1
_BLANK = "\u2423"
"""Open box, for a token that is white space only."""


class Token(NamedTuple):
    """A scored token.

    Attributes
    ----------
    text : str
        As the text has it, without the marks of the tokenizer; of a token that is not of the
        text (a special one, the masks of ColBERT's query expansion) its name.
    start, end : int
        Its characters in the text; both -1 for a token that is not of the text.
    word : int
        Number of its word among those with a scored token. Words are what white space separates,
        so a text in Thai or Japanese is one word; a token that is not of the text is a word.
    """

    text: str
    start: int
    end: int
    word: int


def scored_tokens(encoder: MultiVectorEncoder, text: str, *, task: str = "query") -> list[Token]:
    """Tokens of a text that take part in MaxSim; token i has row i of the text's embeddings.

    Parameters
    ----------
    text : str
    task : {"query", "document"}
        Which of `encode_queries` and `encode_documents` the text is for: prompts and lengths
        differ.

    Raises
    ------
    ConfigError
        If the encoder merges tokens, or its tokenizer does not tell where tokens stand.
    """
    check_texts([text])
    prompt = encoder.prompts.get(task) or ""
    try:
        features: Any = encoder.preprocess(
            [text],
            prompt=prompt or None,
            task=task,
            processing_kwargs={"text": {"return_offsets_mapping": True}},
        )
    except NotImplementedError as err:
        raise ConfigError(
            "expected a tokenizer that tells where its tokens stand in the text, found "
            f"{type(encoder.tokenizer).__name__}. Save the encoder with a fast tokenizer."
        ) from err
    spans = [(start, end) for start, end in features.pop("offset_mapping")[0].tolist()]
    for module in encoder:
        if isinstance(module, BaseTokenPooling):
            raise ConfigError(
                "expected an encoder that gives a vector for each token, found one that merges "
                f"them ({type(module).__name__}). Its vectors belong to no token."
            )
        if isinstance(module, MultiVectorMask):
            features = module(features, task=task)
    pieces = encoder.tokenizer.convert_ids_to_tokens(features["input_ids"][0])
    # Query expansion may have added tokens after those of the tokenizer.
    spans += [(0, 0)] * (len(pieces) - len(spans))
    places = [
        _place(text, piece, start - len(prompt), end - len(prompt))
        for piece, (start, end), scored in zip(
            pieces, spans, features["attention_mask"][0].tolist(), strict=True
        )
        if scored
    ]
    return _number_words(text, places)


def _place(text: str, piece: str, start: int, end: int) -> tuple[str, int, int]:
    """Text of a piece and its place, without the white space that some tokenizers count to it."""
    found = text[max(start, 0) : max(end, 0)]
    start = max(start, 0) + len(found) - len(found.lstrip())
    found = found.strip()
    if found:
        return found, start, start + len(found)
    for mark in WORD_MARKS:
        piece = piece.removeprefix(mark)
    return piece or _BLANK, _NOWHERE, _NOWHERE


def _number_words(text: str, places: Sequence[tuple[str, int, int]]) -> list[Token]:
    tokens: list[Token] = []
    for found, start, end in places:
        word = 0
        if tokens:
            last = tokens[-1]
            apart = _NOWHERE in (start, last.start) or any(map(str.isspace, text[last.end : start]))
            word = last.word + int(apart)
        tokens.append(Token(found, start, end, word))
    return tokens


def scored_words(text: str, tokens: Sequence[Token]) -> list[Token]:
    """Words of a text that have scored tokens, in order; word i is that of ``token.word == i``.

    A word reaches from its first to its last scored token, so punctuation around it is left out
    and a hyphen inside is kept.
    """
    words: list[Token] = []
    for token in tokens:
        if words and words[-1].word == token.word:
            start, end = words[-1].start, max(words[-1].end, token.end)
            words[-1] = Token(text[start:end], start, end, token.word)
        else:
            words.append(token)
    return words
