"""All checkpoint layouts load as late-interaction encoders that score content tokens only."""

import copy
import shutil
import string

import numpy as np
import pytest
import torch
from sentence_transformers import MultiVectorEncoder, SentenceTransformer
from transformers import AutoModel, AutoTokenizer

from optical_ir.errors import ConfigError
from optical_ir.models import embedding_dim, encode_documents, encode_queries, load_encoder
from optical_ir.models.encoder import unscored_tokens

TEXTS = ["the red dog sees a cat.", "old water (near) the house!", "q", "paka mbwa"]


@pytest.fixture(scope="session")
def multi_vector_folder(tiny_encoder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("multi")
    tiny_encoder.save_pretrained(str(folder), create_model_card=False)
    return folder


@pytest.fixture(params=["plain", "sentence", "multi_vector", "stanford", "pylate"])
def any_folder(request):
    return request.getfixturevalue(f"{request.param}_folder")


def contents(encoder, text, task):
    """Pieces of the scored tokens of a text."""
    features = encoder.preprocess([text], prompt=encoder.prompts.get(task), task=task)
    mask = encoder(dict(features), task=task)["attention_mask"].bool()
    ids = features["input_ids"][mask]
    return encoder.tokenizer.convert_ids_to_tokens(ids)


def test_every_checkpoint_layout_gives_unit_rows(any_folder):
    encoder = load_encoder(any_folder, device="cpu")
    assert isinstance(encoder, MultiVectorEncoder)
    assert not encoder.training
    for encode in (encode_queries, encode_documents):
        vectors = encode(encoder, TEXTS)
        assert len(vectors) == len(TEXTS)
        for rows in vectors:
            assert rows.dtype == np.float32
            assert rows.shape[1] == embedding_dim(encoder)
            np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)


@pytest.mark.parametrize(("kind", "dim"), [("plain", 32), ("stanford", 16), ("pylate", 16)])
def test_width_is_the_projection_s_where_there_is_one(kind, dim, request):
    folder = request.getfixturevalue(f"{kind}_folder")
    assert embedding_dim(load_encoder(folder, device="cpu")) == dim


def test_stanford_and_pylate_layouts_of_the_same_weights_agree(stanford_folder, pylate_folder):
    one, other = (load_encoder(f, device="cpu") for f in (stanford_folder, pylate_folder))
    for encode in (encode_queries, encode_documents):
        for rows, same in zip(encode(one, TEXTS), encode(other, TEXTS), strict=True):
            np.testing.assert_allclose(rows, same, atol=1e-5)


def test_stanford_documents_equal_the_projection_computed_by_hand(stanford_folder, plain_folder):
    from safetensors.torch import load_file

    text = "the red dog sees a cat."
    tokenizer = AutoTokenizer.from_pretrained(plain_folder)
    model = AutoModel.from_pretrained(plain_folder, add_pooling_layer=False).eval()
    pieces = ["[CLS]", "[unused1]", *"the red dog sees a cat .".split(), "[SEP]"]
    ids = torch.tensor([tokenizer.convert_tokens_to_ids(pieces)])
    with torch.no_grad():
        hidden = model(ids).last_hidden_state[0]
        rows = hidden @ load_file(stanford_folder / "model.safetensors")["linear.weight"].T
    rows = torch.nn.functional.normalize(rows, dim=-1)
    scored = [i for i, piece in enumerate(pieces) if piece != "."]
    encoder = load_encoder(stanford_folder, device="cpu")
    np.testing.assert_allclose(encode_documents(encoder, [text])[0], rows[scored], atol=1e-5)


def test_plain_checkpoint_keeps_its_own_token_vectors(plain_folder, tiny_encoder):
    tokenizer = AutoTokenizer.from_pretrained(plain_folder)
    model = AutoModel.from_pretrained(plain_folder, add_pooling_layer=False).eval()
    inputs = tokenizer("query: red dog", return_tensors="pt")
    with torch.no_grad():
        hidden = model(**inputs).last_hidden_state[0, 3:5]
    expected = torch.nn.functional.normalize(hidden, dim=-1)
    np.testing.assert_allclose(encode_queries(tiny_encoder, ["red dog"])[0], expected, atol=1e-5)


@pytest.mark.parametrize("task", ["query", "document"])
def test_only_content_tokens_are_scored(tiny_encoder, task):
    text = "the, red! (dog) x-y?"
    assert contents(tiny_encoder, text, task) == ["the", "red", "dog", "x", "y"]


def test_every_punctuation_mark_and_special_token_is_unscored(tiny_encoder):
    assert contents(tiny_encoder, string.punctuation, "query") == []
    special = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"}
    assert special | set(string.punctuation) <= set(tiny_encoder[1].skiplist_words)


def test_marked_pieces_of_other_tokenizers_count_as_punctuation():
    class Tokenizer:
        all_special_tokens = ("<s>",)

        def get_vocab(self):
            pieces = ["<s>", "\u2581", "\u2581,", "\u0120.", "##!", "\u3002", "\u00ab", "\u0964"]
            return dict.fromkeys([*pieces, "\u2581a", "##b", "1", "\u0926", "$a"])

        def tokenize(self, text):
            return text.split()

    dropped = unscored_tokens(Tokenizer(), ["pre fix"])
    kept = {"\u2581a", "##b", "1", "\u0926", "$a"}
    assert set(dropped) == set(Tokenizer().get_vocab()) - kept | {"pre", "fix"}


def test_text_with_nothing_to_score_gives_no_rows(tiny_encoder):
    vectors = encode_queries(tiny_encoder, ["...", "", "dog"])
    assert [rows.shape for rows in vectors] == [(0, 32), (0, 32), (1, 32)]


def test_no_texts_give_no_vectors(tiny_encoder):
    assert encode_documents(tiny_encoder, []) == []


def test_vectors_do_not_depend_on_the_batch(tiny_encoder):
    texts = [*TEXTS, "the big cat eats under the red tree near a small house"]
    together = encode_documents(tiny_encoder, texts, batch_size=5)
    for text, rows in zip(texts, together, strict=True):
        np.testing.assert_allclose(encode_documents(tiny_encoder, [text])[0], rows, atol=1e-5)


def test_text_longer_than_the_positions_is_cut(tiny_encoder):
    for encode in (encode_queries, encode_documents):
        (rows,) = encode(tiny_encoder, ["dog " * 500])
        assert 0 < len(rows) <= 64


def test_bfloat16_model_gives_float32_unit_rows(tiny_encoder):
    (rows,) = encode_queries(copy.deepcopy(tiny_encoder).bfloat16(), ["the red dog"])
    assert rows.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)


def test_stored_prompts_of_other_tasks_are_not_taken(sentence_folder):
    encoder = load_encoder(sentence_folder, device="cpu")
    assert encoder.prompts["query"] == "query: "
    # The folder has a prompt "cat dog: " for clustering.
    assert contents(encoder, "cat dog", "query") == ["cat", "dog"]


def test_given_prompts_come_before_stored_ones(sentence_folder, stanford_folder):
    for folder in (sentence_folder, stanford_folder):
        encoder = load_encoder(folder, device="cpu", query_prompt="see: ")
        assert encoder.prompts["query"] == "see: "


def test_single_vector_folder_gives_the_same_tokens_as_its_backbone(sentence_folder, tiny_encoder):
    model = SentenceTransformer(str(sentence_folder), device="cpu")
    pooled = model.encode("query: red dog", output_value="token_embeddings").numpy()[3:5]
    pooled /= np.linalg.norm(pooled, axis=1, keepdims=True)
    np.testing.assert_allclose(encode_queries(tiny_encoder, ["red dog"])[0], pooled, atol=1e-5)


def test_saved_encoder_loads_in_stock_sentence_transformers(
    tiny_encoder, multi_vector_folder, caplog
):
    stock = MultiVectorEncoder(str(multi_vector_folder), device="cpu")
    assert not [r for r in caplog.records if r.levelname in ("WARNING", "ERROR")]
    ours = encode_queries(tiny_encoder, TEXTS)
    for rows, same in zip(ours, stock.encode_query(TEXTS), strict=True):
        np.testing.assert_allclose(rows, same.numpy(), atol=1e-6)


@pytest.mark.parametrize("name", ["nobody/no-such-model", "no-such-model"])
def test_unknown_names_are_refused(name):
    with pytest.raises(ConfigError, match="expected 'embedded', a checkpoint folder or a Hugging"):
        load_encoder(name)


def test_folders_that_hold_no_checkpoint_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="it does not load"):
        load_encoder(tmp_path)


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("config.json", "{"),
        ("config.json", "{}"),
        ("model.safetensors", ""),
        ("model.safetensors", "damaged" * 9),
        ("tokenizer.json", "{"),
    ],
)
def test_damaged_checkpoints_are_refused(plain_folder, tmp_path, file, content):
    folder = shutil.copytree(plain_folder, tmp_path / "damaged")
    (folder / file).write_text(content)
    with pytest.raises(ConfigError, match="it does not load"):
        load_encoder(folder, device="cpu")


def test_checkpoint_without_weights_is_refused(plain_folder, tmp_path):
    folder = shutil.copytree(plain_folder, tmp_path / "damaged")
    (folder / "model.safetensors").unlink()
    with pytest.raises(ConfigError, match="it does not load"):
        load_encoder(folder, device="cpu")


def test_more_tokens_than_the_model_can_read_are_refused(plain_folder):
    with pytest.raises(ConfigError, match=r"reads at most \d+ tokens; ask for fewer"):
        load_encoder(plain_folder, document_length=100_000)
    assert load_encoder(plain_folder, document_length=7)[0].document_length == 7


@pytest.mark.parametrize("name", ["./missing", "/no/such/folder", "a/b/c", "folder/"])
def test_a_path_that_is_no_folder_is_refused_without_asking_a_hub(name):
    with pytest.raises(ConfigError, match="expected a folder, found none"):
        load_encoder(name)
