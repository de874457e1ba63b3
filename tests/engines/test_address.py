"""Addresses of engines' collections."""

import pytest

from optical_ir.engines import Address, parse_address
from optical_ir.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "expected", "is_url"),
    [
        ("qdrant:http://h:6333/en", Address("qdrant", "http://h:6333", "en"), True),
        ("qdrant:stores/a/en-1", Address("qdrant", "stores/a", "en-1"), False),
        ("lancedb:/abs/en", Address("lancedb", "/abs", "en"), False),
        ("lancedb:s3://bucket/a/en", Address("lancedb", "s3://bucket/a", "en"), True),
        ("lancedb:en", Address("lancedb", ".", "en"), False),
        ("vespa:https://h/en_1", Address("vespa", "https://h", "en_1"), True),
    ],
)
def test_addresses_name_engine_place_and_name(text, expected, is_url):
    assert parse_address(text) == expected
    assert parse_address(text).is_url == is_url


@pytest.mark.parametrize(
    "text", ["", "en", "faiss:a/en", "qdrant:", "qdrant:a/", "qdrant:http://localhost:6333"]
)
def test_other_texts_are_refused_with_an_example(text):
    with pytest.raises(ConfigError, match=r"expected ENGINE:PLACE/NAME .*lancedb:stores/english"):
        parse_address(text)


@pytest.mark.parametrize("text", ["vespa:a/en-1", "vespa:a/1en", "qdrant:a/e n", "lancedb:a/.."])
def test_names_that_an_engine_cannot_take_are_refused(text):
    with pytest.raises(ConfigError, match="expected a name of letters"):
        parse_address(text)
