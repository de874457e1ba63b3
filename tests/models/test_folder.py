"""Descriptions and names of embedding spaces."""

import copy
import json

import numpy as np
import pytest
import torch

from optical_ir.errors import ConfigError, DataError
from optical_ir.models import (
    embedding_space,
    encode_queries,
    load_encoder,
    read_description,
    save_teacher,
)
from optical_ir.models.folder import fingerprint


def test_teacher_comes_back_with_its_space(tiny_encoder, tmp_path):
    save_teacher(tiny_encoder, tmp_path / "t", origin={"command": "x"})
    encoder = load_encoder(tmp_path / "t", device="cpu")
    description = read_description(tmp_path / "t")
    assert (description["role"], description["origin"]) == ("teacher", {"command": "x"})
    assert embedding_space(tmp_path / "t", encoder) == fingerprint(tiny_encoder)
    assert fingerprint(encoder) == fingerprint(tiny_encoder)
    np.testing.assert_array_equal(
        encode_queries(encoder, ["red dog"])[0], encode_queries(tiny_encoder, ["red dog"])[0]
    )


def test_space_of_an_encoder_without_description_is_its_fingerprint(plain_folder, tiny_encoder):
    assert read_description(plain_folder) == read_description("embedded") == {}
    assert embedding_space(plain_folder, tiny_encoder) == fingerprint(tiny_encoder)


def test_fingerprint_tells_weights_prompts_and_masks_apart(tiny_encoder):
    weights, prompts, mask = (copy.deepcopy(tiny_encoder) for _ in range(3))
    with torch.no_grad():
        weights[0].model.encoder.layer[1].output.dense.bias[3] += 1e-6
    prompts.prompts["query"] = "q: "
    mask[1].skiplist_words = mask[1].skiplist_words[1:]
    found = {fingerprint(e) for e in (tiny_encoder, weights, prompts, mask)}
    assert len(found) == 4
    assert fingerprint(copy.deepcopy(tiny_encoder)) in found


@pytest.mark.parametrize("kind", ["plain", "sentence", "stanford", "pylate"])
def test_encoder_has_the_same_fingerprint_whenever_it_is_loaded(kind, request, caplog):
    folder = request.getfixturevalue(f"{kind}_folder")
    caplog.clear()
    one, other = (fingerprint(load_encoder(folder, device="cpu")) for _ in range(2))
    assert one == other
    assert "MISSING" not in caplog.text


def test_existing_folder_is_replaced_only_on_request(tiny_encoder, tmp_path):
    (tmp_path / "t").mkdir()
    with pytest.raises(ConfigError, match=r"exists\. Choose another output or pass --overwrite"):
        save_teacher(tiny_encoder, tmp_path / "t", origin={})
    save_teacher(tiny_encoder, tmp_path / "t", origin={}, overwrite=True)
    assert json.loads((tmp_path / "t/optical.json").read_text())["role"] == "teacher"


def test_damaged_description_is_refused(tmp_path):
    (tmp_path / "optical.json").write_text("{")
    with pytest.raises(DataError, match=r"optical\.json: is not JSON .*Take the folder from"):
        read_description(tmp_path)
