"""Centring and projection against numpy on the raw token vectors."""

import numpy as np
import pytest
import torch
from sentence_transformers import MultiVectorEncoder

from optical_ir.errors import ConfigError
from optical_ir.models import center_encoder, embedding_dim, encode_documents, load_encoder

WORDS = "the a cat dog bird house water tree red big small old sees eats near under and".split()


@pytest.fixture(scope="module")
def texts():
    generator = np.random.default_rng(0)
    return [", ".join(generator.choice(WORDS, 12)) + "." for _ in range(40)]


@pytest.fixture(scope="module")
def raw(tiny_encoder, texts):
    """Scored token vectors before normalisation, one text at a time."""
    rows = []
    for text in texts:
        features = tiny_encoder.preprocess([text], prompt="passage: ", task="document")
        with torch.inference_mode():
            features = tiny_encoder[1](tiny_encoder[0](features), task="document")
        rows.append(features["token_embeddings"][features["attention_mask"].bool()].numpy())
    return rows


def unit(rows):
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def test_mean_of_the_scored_tokens_is_0_before_normalisation(tiny_encoder, texts, raw):
    dense = center_encoder(tiny_encoder, texts)[2]
    with torch.no_grad():
        centred = dense.linear(torch.from_numpy(np.concatenate(raw))).numpy()
    assert abs(np.concatenate(raw).mean(0)).max() > 0.1
    np.testing.assert_allclose(centred.mean(0), 0, atol=1e-5)


def test_centring_subtracts_the_mean_and_nothing_else(tiny_encoder, texts, raw):
    centred = center_encoder(tiny_encoder, texts)
    assert embedding_dim(centred) == embedding_dim(tiny_encoder) == 32
    mean = np.concatenate(raw).mean(0)
    for rows, own in zip(encode_documents(centred, texts), raw, strict=True):
        np.testing.assert_allclose(rows, unit(own - mean), atol=1e-4)


@pytest.mark.parametrize("dim", [1, 8, 32])
def test_projection_is_the_principal_components_up_to_sign(tiny_encoder, texts, raw, dim):
    projected = center_encoder(tiny_encoder, texts, dim=dim, batch_size=7)
    assert embedding_dim(projected) == dim
    tokens = np.concatenate(raw).astype(np.float64)
    mean = tokens.mean(0)
    axes = np.linalg.svd(tokens - mean, full_matrices=False)[2][:dim]
    for rows, own in zip(encode_documents(projected, texts), raw, strict=True):
        expected = unit((own - mean) @ axes.T)
        np.testing.assert_allclose(np.abs(rows), np.abs(expected), atol=1e-3)
        np.testing.assert_allclose(rows @ rows.T, expected @ expected.T, atol=1e-3)


def test_centred_encoder_saves_as_a_stock_checkpoint(tiny_encoder, texts, tmp_path, caplog):
    centred = center_encoder(tiny_encoder, texts, dim=8)
    centred.save_pretrained(str(tmp_path), create_model_card=False)
    stock = MultiVectorEncoder(str(tmp_path), device="cpu")
    assert not [r for r in caplog.records if r.levelname in ("WARNING", "ERROR")]
    again = load_encoder(tmp_path, device="cpu")
    for encoder in (stock, again):
        assert encoder.prompts == tiny_encoder.prompts
        for rows, same in zip(
            encode_documents(centred, texts[:5]), encode_documents(encoder, texts[:5]), strict=True
        ):
            np.testing.assert_allclose(rows, same, atol=1e-6)


def test_original_encoder_stays_as_it_is(tiny_encoder, texts):
    before = encode_documents(tiny_encoder, texts[:3])
    center_encoder(tiny_encoder, texts, dim=4)
    for rows, same in zip(before, encode_documents(tiny_encoder, texts[:3]), strict=True):
        np.testing.assert_array_equal(rows, same)


def test_centring_twice_changes_nothing(tiny_encoder, texts):
    once = center_encoder(tiny_encoder, texts)
    twice = center_encoder(once, texts)
    for rows, same in zip(
        encode_documents(once, texts[:5]), encode_documents(twice, texts[:5]), strict=True
    ):
        np.testing.assert_allclose(rows, same, atol=1e-4)


@pytest.mark.parametrize("kind", ["stanford", "pylate"])
def test_colbert_checkpoints_can_be_centred(kind, texts, request):
    encoder = load_encoder(request.getfixturevalue(f"{kind}_folder"), device="cpu")
    centred = center_encoder(encoder, texts)
    vectors = np.concatenate(encode_documents(centred, texts))
    raw = np.concatenate(encode_documents(encoder, texts))
    assert np.linalg.norm(vectors.mean(0)) < np.linalg.norm(raw.mean(0))


def test_mask_after_normalize_counts_too(tiny_encoder, texts):
    transformer, mask, normalize = tiny_encoder
    other = MultiVectorEncoder(
        modules=[transformer, normalize, mask], prompts=tiny_encoder.prompts, device="cpu"
    ).eval()
    one, two = (center_encoder(encoder, texts) for encoder in (tiny_encoder, other))
    for rows, same in zip(
        encode_documents(one, texts[:5]), encode_documents(two, texts[:5]), strict=True
    ):
        np.testing.assert_allclose(rows, same, atol=1e-5)


@pytest.mark.parametrize("dim", [0, -1, 33])
def test_impossible_widths_are_refused(tiny_encoder, texts, dim):
    with pytest.raises(ConfigError, match=rf"dim: expected 1 to 32, .* found {dim}\."):
        center_encoder(tiny_encoder, texts, dim=dim)


@pytest.mark.parametrize("few", [[], ["the dog."], ["..."]])
def test_too_few_tokens_are_refused(tiny_encoder, few):
    with pytest.raises(
        ConfigError, match=r"at least as many tokens.*Give more or longer documents"
    ):
        center_encoder(tiny_encoder, few)


def test_encoder_without_normalize_is_refused(tiny_encoder, texts):
    bare = MultiVectorEncoder(modules=list(tiny_encoder)[:2], device="cpu")
    with pytest.raises(ConfigError, match=r"this one has none\. Use a checkpoint that normalises"):
        center_encoder(bare, texts)
