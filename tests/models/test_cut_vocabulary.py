"""A cut vocabulary leaves covered text as it was, and reads the rest in smaller pieces."""

import copy

import numpy as np
import pytest
from sentence_transformers import MultiVectorEncoder

from optical_ir.errors import ConfigError
from optical_ir.models import (
    embedding_space,
    encode_documents,
    encode_queries,
    load_encoder,
)
from optical_ir.models.cut_vocabulary import cut_vocabulary, export_cut_vocabulary
from optical_ir.models.folder import fingerprint

TEXTS = ["paka na mbwa", "maji ya mti?", "the cat sees a bird", "nyumba " * 40]
OTHERS = ["mbaka ndaka", "tebird", "nyumti"]


@pytest.fixture(scope="module", params=["Bert", "XLMRoberta"])
def encoder(request, make_unigram_checkpoint, tmp_path_factory):
    folder = make_unigram_checkpoint(tmp_path_factory.mktemp("unigram"), request.param)
    return load_encoder(folder, device="cpu", query_prompt="query: ", document_prompt="passage: ")


@pytest.fixture(scope="module")
def small(encoder):
    return cut_vocabulary(encoder, TEXTS)


def n_rows(encoder):
    return encoder[0].model.get_input_embeddings().num_embeddings


def same_vectors(one, other, texts):
    for encode in (encode_queries, encode_documents):
        for before, after in zip(encode(one, texts), encode(other, texts), strict=True):
            np.testing.assert_array_equal(before, after)


def test_covered_text_is_embedded_bit_for_bit_as_before(encoder, small):
    same_vectors(encoder, small, TEXTS)
    # Words of covered text are covered in any order, here with each prompt.
    same_vectors(encoder, small, ["cat maji paka", "a bird nyumba", "ya na"])


def test_little_is_left(encoder, small):
    assert n_rows(small) == len(small.tokenizer) == small[0].model.config.vocab_size
    assert n_rows(small) < n_rows(encoder) / 2


def test_other_words_are_read_in_smaller_pieces_not_as_unknown(encoder, small):
    for text in OTHERS:
        ids = small.tokenizer(text)["input_ids"]
        assert small.tokenizer.unk_token_id not in ids
        assert len(ids) >= len(encoder.tokenizer(text)["input_ids"])
    assert small.tokenizer.unk_token_id in small.tokenizer("\u00e9")["input_ids"]


def test_special_tokens_stay_what_they_are(encoder, small):
    assert small.tokenizer.special_tokens_map == encoder.tokenizer.special_tokens_map
    assert small.tokenizer.pad_token_id == encoder.tokenizer.pad_token_id
    assert small.tokenizer.mask_token_id == n_rows(small) - 1
    config = small[0].model.config
    assert [config.bos_token_id, config.pad_token_id, config.eos_token_id] == [0, 1, 2]


def test_encoder_itself_is_left_as_it_is(encoder):
    before, rows = fingerprint(encoder), n_rows(encoder)
    cut_vocabulary(encoder, TEXTS)
    assert (fingerprint(encoder), n_rows(encoder)) == (before, rows)


def test_exported_folder_loads_as_what_it_was(encoder, small, tmp_path):
    space = embedding_space("x", encoder)
    export_cut_vocabulary(encoder, tmp_path / "s", TEXTS, space=space, origin={})
    loaded = load_encoder(tmp_path / "s", device="cpu")
    same_vectors(small, loaded, TEXTS + OTHERS)
    same_vectors(small, MultiVectorEncoder(str(tmp_path / "s"), device="cpu"), TEXTS)
    assert embedding_space(tmp_path / "s", loaded) == space
    assert fingerprint(loaded) == fingerprint(small)


def test_unscored_tokens_that_are_left_are_unscored(encoder, small):
    left = set(small.tokenizer.get_vocab())
    assert small[1].skiplist_words == [w for w in encoder[1].skiplist_words if w in left]
    assert "?" in small[1].skiplist_words
    assert encode_queries(small, ["?"])[0].shape == (0, 16)


def test_pieces_that_are_added_tokens_are_kept(encoder):
    encoder = copy.deepcopy(encoder)
    encoder.tokenizer.add_tokens(["<sw>"])
    small = cut_vocabulary(encoder, TEXTS)
    assert small.tokenizer.convert_tokens_to_ids("<sw>") == n_rows(small) - 1
    same_vectors(encoder, small, ["<sw> paka"])


def test_other_tokenizers_are_refused(tiny_encoder):
    with pytest.raises(ConfigError, match=r"with a Unigram model, found WordPiece: others build"):
        cut_vocabulary(tiny_encoder, TEXTS)


def test_no_texts_are_refused(encoder):
    with pytest.raises(ConfigError, match="needs the texts to keep it for, found none"):
        cut_vocabulary(encoder, [])
