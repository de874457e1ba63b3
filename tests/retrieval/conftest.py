"""A fast encoder for tests of indexes, and settings that make many small shards."""

import zlib
from collections.abc import Callable

import numpy as np
import pytest

from optical_ir.records import Doc
from optical_ir.retrieval import index_build, shard_writer

WORDS = "the a cat dog bird house water tree red big small old sees eats near under and".split()


class WordEncoder:
    """A random unit vector for each word, whatever stands beside it."""

    dim = 32
    longest = 16

    def __init__(self) -> None:
        self.encoded: list[str] = []

    def encode_documents(self, texts, *, batch_size=32):
        """Give the vectors of the words, without full stops, of each text."""
        self.encoded.extend(texts)
        return [self.embed(text) for text in texts]

    def embed(self, text):
        """Give the vectors of a text's words, shape (n_words, dim)."""
        rows = [
            np.random.default_rng(zlib.crc32(word.encode())).standard_normal(self.dim)
            for word in text.replace(".", "").split()
        ]
        vectors = np.array(rows, np.float32).reshape(-1, self.dim)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.fixture
def word_encoder() -> WordEncoder:
    return WordEncoder()


@pytest.fixture
def small_blocks(monkeypatch) -> None:
    """Blocks of 5 documents, shards of about 40 tokens in bfloat16."""
    monkeypatch.setattr(index_build, "_BLOCK", 5)
    monkeypatch.setattr(index_build, "_LEAST_MEMORY", 0)
    monkeypatch.setattr(shard_writer, "_SHARD_SHARE", 2560 / index_build.DEFAULT_MEMORY)


@pytest.fixture(scope="session")
def make_docs() -> Callable[..., list[Doc]]:
    """Make documents of 0 to 11 words; some have punctuation only."""

    def make(n: int, *, first: int = 0, seed: int = 0) -> list[Doc]:
        generator = np.random.default_rng(seed)
        texts = [" ".join(generator.choice(WORDS, number % 12)) + "." for number in range(n)]
        return [Doc(f"d\u00e9{first + number}", text) for number, text in enumerate(texts)]

    return make
