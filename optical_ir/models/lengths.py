"""How many tokens of a query an encoder keeps."""

from typing import Any

from sentence_transformers import MultiVectorEncoder


def read_up_to(encoder: MultiVectorEncoder, length: int) -> None:
    """Make an encoder, in place, keep so many tokens of a query, or as many as it can read.

    What a student was trained on it reads as a query too: glossed queries are longer than others.
    An encoder that keeps more goes on to do so.
    """
    transformer: Any = encoder[0]
    if transformer.query_length is not None:
        longest = transformer.tokenizer.model_max_length
        transformer.query_length = max(transformer.query_length, min(length, longest))
