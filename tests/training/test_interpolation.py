"""Laws of interpolated weights."""

import copy
import dataclasses

import pytest
import torch

from optical_ir.errors import ConfigError
from optical_ir.models import encode_queries, load_encoder
from optical_ir.training import DistillationSettings, distil
from optical_ir.training.interpolation import copy_weights, interpolate_weights

SETTINGS = DistillationSettings(batch_size=8, max_steps=4, dev_pairs=10, learning_rate=1e-3)


def test_ends_are_start_and_trained_and_the_middle_is_their_mean():
    torch.manual_seed(0)
    model, trained = torch.nn.Linear(3, 2), torch.nn.Linear(3, 2)
    start = copy_weights(model)
    for share in (0.0, 0.5, 1.0):
        mixed = copy.deepcopy(trained)
        interpolate_weights(mixed, start, share)
        for name, weight in mixed.state_dict().items():
            expected = share * trained.state_dict()[name] + (1 - share) * start[name]
            torch.testing.assert_close(weight, expected)


@pytest.mark.parametrize("freeze", [True, False])
def test_a_student_lies_between_its_start_and_the_one_that_is_all_trained(
    tiny_encoder, bitext, tmp_path, freeze
):
    students = {}
    for share in (1.0, 0.25):
        settings = dataclasses.replace(
            SETTINGS, trained_share=share, embedding_learning_rate=0 if freeze else 1e-2
        )
        distil(copy.deepcopy(tiny_encoder), bitext, tmp_path / str(share), settings=settings)
        students[share] = load_encoder(tmp_path / str(share), device="cpu").state_dict()
    start = tiny_encoder.state_dict()
    for name, weight in students[0.25].items():
        torch.testing.assert_close(weight, 0.75 * start[name] + 0.25 * students[1.0][name])


def test_the_returned_student_is_the_saved_one(tiny_encoder, bitext, tmp_path):
    settings = dataclasses.replace(SETTINGS, trained_share=0.5)
    student = distil(copy.deepcopy(tiny_encoder), bitext, tmp_path / "s", settings=settings)
    saved = load_encoder(tmp_path / "s", device="cpu")
    for ours, theirs in zip(*(encode_queries(e, ["paka"]) for e in (student, saved)), strict=True):
        assert (ours == theirs).all()


@pytest.mark.parametrize("share", [0.0, 1.5])
def test_shares_outside_are_refused(share):
    with pytest.raises(ConfigError, match="trained_share: expected above 0 and at most 1"):
        DistillationSettings(trained_share=share)
