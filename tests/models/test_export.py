"""A plain checkpoint holds what the encoder was, or is refused."""

import copy
import json
import shutil

import numpy as np
import pytest
import torch
from torch import nn

from optical_ir.errors import ConfigError
from optical_ir.models import center_encoder, load_encoder, load_single_vector
from optical_ir.models.export import export_single_vector, fold_encoder

TEXTS = ["the cat sees a small bird", "old house near the water", "?!"]


@pytest.fixture(scope="module")
def centred(tiny_encoder):
    return center_encoder(tiny_encoder, ["the cat sees a bird near the old house"] * 20)


@pytest.fixture(scope="module")
def folder(centred, tmp_path_factory):
    path = tmp_path_factory.mktemp("export") / "plain"
    export_single_vector(centred, path, origin={"settings": {}})
    return path


def pooled_by_hand(folder, centred, texts, prompt):
    """Mean over all tokens of the backbone's last states, less the centre, at unit length."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    vectors = []
    for text in texts:
        inputs = tokenizer(prompt + text, return_tensors="pt")
        with torch.inference_mode():
            states = centred[0].model(**inputs).last_hidden_state[0]
            mean = (states + centred[2].linear.bias).mean(0)
        vectors.append(mean.numpy() / np.linalg.norm(mean.numpy()))
    return np.stack(vectors)


def test_vector_is_the_mean_of_the_centred_states_of_all_tokens(folder, centred):
    model = load_single_vector(folder, device="cpu")
    expected = pooled_by_hand(folder, centred, TEXTS, "query: ")
    assert model.encode_queries(TEXTS) == pytest.approx(expected, abs=1e-5)
    expected = pooled_by_hand(folder, centred, TEXTS, "passage: ")
    assert model.encode_documents(TEXTS) == pytest.approx(expected, abs=1e-5)


def test_centring_is_not_lost(centred, tiny_encoder):
    with_centre = fold_encoder(centred).encode(TEXTS)
    assert np.abs(with_centre - fold_encoder(tiny_encoder).encode(TEXTS)).max() > 0.01


def test_encoder_itself_is_left_as_it_is(centred):
    before = {name: weight.clone() for name, weight in centred.state_dict().items()}
    fold_encoder(centred)
    assert all(torch.equal(weight, before[name]) for name, weight in centred.state_dict().items())


def test_folder_is_a_plain_checkpoint(folder):
    from transformers import AutoModel

    assert AutoModel.from_pretrained(folder, add_pooling_layer=False).config.model_type == "bert"
    assert json.loads((folder / "optical.json").read_text())["role"] == "single-vector"


def test_damaged_checkpoint_is_told(folder, tmp_path):
    damaged = shutil.copytree(folder, tmp_path / "damaged")
    (damaged / "model.safetensors").write_bytes(b"short")
    with pytest.raises(ConfigError, match=r"does not load .* Export the encoder again"):
        load_single_vector(damaged, device="cpu")


def test_length_of_documents_goes_into_the_tokenizer(tiny_encoder):
    encoder = copy.deepcopy(tiny_encoder)
    encoder[0].document_length, encoder[0].query_length = 48, 16
    assert fold_encoder(encoder).tokenizer.model_max_length == 48


def test_projection_is_refused(tiny_encoder, stanford_folder):
    texts = ["the cat sees a bird near the old house"] * 20
    for encoder in (center_encoder(tiny_encoder, texts, dim=8), load_encoder(stanford_folder)):
        with pytest.raises(ConfigError, match=r"also has a Dense that projects.*--muvera"):
            fold_encoder(encoder)


def test_backbone_without_a_last_bias_is_refused(centred):
    encoder = copy.deepcopy(centred)
    for module in encoder.modules():
        if isinstance(module, nn.LayerNorm):
            module.bias = None
    with pytest.raises(ConfigError, match="ends in a layer norm with a bias"):
        fold_encoder(encoder)


def test_backbone_whose_last_layer_norm_is_not_its_output_is_refused(centred):
    encoder = copy.deepcopy(centred)
    encoder[0].model.extra = nn.LayerNorm(32)
    with pytest.raises(ConfigError, match="its last layer norm is not its output"):
        fold_encoder(encoder)


@pytest.mark.parametrize("name", ["Eclipse-so", "goddse"])
def test_name_that_misleads_pyserini_is_refused(centred, tmp_path, name):
    with pytest.raises(ConfigError, match="from which Pyserini infers arguments"):
        export_single_vector(centred, tmp_path / name, origin={})
    assert not list(tmp_path.iterdir())
