"""Our encoders in the shape that Pyserini constructs and calls.

The classes translate signatures; `optical_ir.models.load_single_vector` decides from the folder
what the one vector of a text is, and computes it.
"""

from collections.abc import Sequence
from functools import cache
from types import ModuleType
from typing import Any, NamedTuple

from optical_ir.errors import ConfigError
from optical_ir.models import load_single_vector
from optical_ir.models.single_vector import Vectors


class EncoderClasses(NamedTuple):
    """What Pyserini constructs: a class for documents and one for queries."""

    document: type
    query: type


@cache
def encoder_classes(pyserini_encode: ModuleType) -> EncoderClasses:
    """Derive our classes from the bases in the module `pyserini.encode`."""

    class OpticalDocumentEncoder(pyserini_encode.DocumentEncoder):  # type: ignore[misc, name-defined]
        """Documents as single vectors.

        Constructed by Pyserini as ``(model_name=..., device=...)``. Prompts and lengths are the
        checkpoint's own; `--max-length`, `--fp16` and `--add-sep` change nothing.
        """

        def __init__(self, model_name: str, device: str = "cpu", **kwargs: Any) -> None:
            super().__init__()
            self.model = load_single_vector(model_name, device=device)

        def encode(
            self, texts: Sequence[str], titles: Sequence[str] | None = None, **kwargs: Any
        ) -> Vectors:
            """Vectors of documents, shape (n_texts, dim); titles, where given, go before."""
            if titles is not None:
                texts = [f"{title} {text}" for title, text in zip(titles, texts, strict=True)]
            return self.model.encode_documents(texts, batch_size=max(1, len(texts)))

    class OpticalQueryEncoder(pyserini_encode.QueryEncoder):  # type: ignore[misc, name-defined]
        """Queries as single vectors.

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
            self.model = load_single_vector(encoder_dir, device=device)
            self.has_model = True

        def encode(self, query: str, **kwargs: Any) -> Vectors:
            """Vector of a query, shape (dim,)."""
            vector: Vectors = self.encode_batch([query])[0]
            return vector

        def encode_batch(self, queries: Sequence[str], **kwargs: Any) -> Vectors:
            """Vectors of queries, shape (n_queries, dim)."""
            return self.model.encode_queries(queries, batch_size=max(1, len(queries)))

    return EncoderClasses(OpticalDocumentEncoder, OpticalQueryEncoder)
