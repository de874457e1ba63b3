"""One vector a text: pooled token embeddings, encodings of MUVERA, and what a folder asks for."""

import json

import numpy as np
import pytest

from optical_ir.errors import ConfigError, DataError
from optical_ir.models import encode_documents, encode_queries, load_encoder, load_single_vector
from optical_ir.models.export import export_muvera
from optical_ir.models.muvera import Muvera, MuveraSettings
from optical_ir.models.single_vector import MeanPooling

SETTINGS = MuveraSettings(repetitions=2, bits=1, projection=4, seed=3)
TEXTS = ["the cat sees a bird", "old house"]


@pytest.fixture
def muvera_folder(tiny_encoder, tmp_path):
    export_muvera(tiny_encoder, tmp_path / "fde", SETTINGS, space="s", origin={})
    return tmp_path / "fde"


def test_mean_is_that_of_the_tokens_at_unit_length():
    tokens = [np.float32([[3, 0], [0, 4]]), np.empty((0, 2), np.float32)]
    vectors = MeanPooling(2).pool_documents(tokens)
    assert vectors == pytest.approx(np.float32([[0.6, 0.8], [0, 0]]))
    assert vectors.dtype == np.float32


def test_any_encoder_gives_means_of_its_scored_tokens(tiny_encoder, tmp_path):
    tiny_encoder.save_pretrained(str(tmp_path / "e"), create_model_card=False)
    model = load_single_vector(tmp_path / "e", device="cpu")
    for encode, tokens in (
        (model.encode_queries, encode_queries(tiny_encoder, TEXTS)),
        (model.encode_documents, encode_documents(tiny_encoder, TEXTS)),
    ):
        means = np.stack([own.mean(axis=0) for own in tokens])
        expected = means / np.linalg.norm(means, axis=1, keepdims=True)
        assert encode(TEXTS) == pytest.approx(expected, abs=1e-6)
    assert model.dim == 32


def test_folder_with_settings_gives_fixed_dimensional_encodings(tiny_encoder, muvera_folder):
    model = load_single_vector(muvera_folder, device="cpu")
    muvera = Muvera(SETTINGS, 32)
    expected = muvera.pool_documents(encode_documents(tiny_encoder, TEXTS))
    assert model.encode_documents(TEXTS) == pytest.approx(expected, abs=1e-5)
    expected = muvera.pool_queries(encode_queries(tiny_encoder, TEXTS))
    assert model.encode_queries(TEXTS) == pytest.approx(expected, abs=1e-5)
    assert model.dim == SETTINGS.dim


def test_folder_with_settings_is_still_late_interaction(tiny_encoder, muvera_folder):
    tokens = encode_queries(load_encoder(muvera_folder, device="cpu"), TEXTS)
    for found, expected in zip(tokens, encode_queries(tiny_encoder, TEXTS), strict=True):
        assert found == pytest.approx(expected, abs=1e-6)


def test_damaged_settings_are_told(muvera_folder):
    path = muvera_folder / "optical.json"
    description = json.loads(path.read_text())
    path.write_text(json.dumps({**description, "muvera": {"repetitons": 3}}))
    with pytest.raises(DataError, match=r"expected repetitions, bits.*Export the encoder again"):
        load_single_vector(muvera_folder)
    path.write_text(json.dumps({**description, "muvera": {"bits": 40}}))
    with pytest.raises(ConfigError, match="bits: expected 0 to"):
        load_single_vector(muvera_folder)
