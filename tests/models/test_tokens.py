"""Scored tokens go with the rows of the embeddings and say where in the text they stand."""

import pytest
from sentence_transformers.multi_vector_encoder.modules import HierarchicalTokenPooling

from optical_ir.errors import ConfigError
from optical_ir.models import encode_documents, encode_queries, load_encoder
from optical_ir.models.tokens import Token, scored_tokens, scored_words

TEXTS = ["the red dog sees a cat.", "  old  WATER (near) the-house! q\u00e9", "q: passage", "paka"]


@pytest.fixture(params=["plain", "sentence", "stanford", "pylate"])
def any_encoder(request):
    return load_encoder(request.getfixturevalue(f"{request.param}_folder"), device="cpu")


@pytest.mark.parametrize("text", [*TEXTS, "dog cat " * 50])
def test_every_row_of_the_embeddings_has_a_token(any_encoder, text):
    for task, encode in (("query", encode_queries), ("document", encode_documents)):
        assert len(scored_tokens(any_encoder, text, task=task)) == len(
            encode(any_encoder, [text])[0]
        )


def test_tokens_are_those_of_the_scored_pieces(any_encoder):
    features = any_encoder.preprocess(
        [TEXTS[0]], prompt=any_encoder.prompts.get("query"), task="query"
    )
    mask = any_encoder(dict(features), task="query")["attention_mask"].bool()
    pieces = any_encoder.tokenizer.convert_ids_to_tokens(features["input_ids"][mask])
    tokens = [token.text for token in scored_tokens(any_encoder, TEXTS[0])]
    assert tokens == [piece.removeprefix("##") for piece in pieces]


@pytest.mark.parametrize("text", TEXTS[:2])
def test_tokens_reassemble_to_the_sentence_without_punctuation(tiny_encoder, text):
    tokens = scored_tokens(tiny_encoder, text)
    assert all(text[token.start : token.end] == token.text for token in tokens)
    joined = "".join(token.text for token in tokens)
    assert joined == "".join(char for char in text if char.isalnum())


def test_words_are_what_white_space_separates(tiny_encoder):
    tokens = scored_tokens(tiny_encoder, TEXTS[1])
    words = scored_words(TEXTS[1], tokens)
    assert [word.text for word in words] == ["old", "WATER", "near", "the-house", "q\u00e9"]
    assert [word.word for word in words] == list(range(5)) == sorted({t.word for t in tokens})


def test_unigram_marks_are_removed(make_unigram_checkpoint, tmp_path):
    encoder = load_encoder(make_unigram_checkpoint(tmp_path), device="cpu", query_prompt="q: ")
    tokens = scored_tokens(encoder, "nyumba kubwa")
    assert "".join(token.text for token in tokens) == "nyumbakubwa"
    assert [w.text for w in scored_words("nyumba kubwa", tokens)] == ["nyumba", "kubwa"]


def test_masks_of_query_expansion_are_words_of_their_own(stanford_folder):
    encoder = load_encoder(stanford_folder, device="cpu")
    masks = [token for token in scored_tokens(encoder, "dog") if token.text == "[MASK]"]
    assert len(masks) > 1
    assert len({token.word for token in masks}) == len(masks)
    assert masks[0] == Token("[MASK]", -1, -1, masks[0].word)


def test_a_text_of_punctuation_has_no_token(tiny_encoder):
    assert scored_tokens(tiny_encoder, "?!") == []


def test_an_encoder_that_merges_tokens_is_refused(plain_folder):
    encoder = load_encoder(plain_folder, device="cpu")
    encoder.append(HierarchicalTokenPooling())
    with pytest.raises(ConfigError, match="gives a vector for each token, found one that merges"):
        scored_tokens(encoder, "dog")
