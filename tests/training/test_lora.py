"""Students of adapters: what is trained, saved and resumed, beside which teacher."""

import dataclasses
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import TrainerCallback

from optical_ir.errors import ConfigError, DependencyError
from optical_ir.files import sha256_file
from optical_ir.models import encode_queries, load_encoder, read_description, save_teacher
from optical_ir.models.folder import fingerprint
from optical_ir.stages import weights_hash
from optical_ir.training import DistillationSettings, distil, read_log

SETTINGS = DistillationSettings(
    max_steps=6,
    batch_size=8,
    learning_rate=2e-2,
    dev_pairs=10,
    log_every=2,
    evaluate_every=4,
    save_every=2,
    lora_rank=4,
)
TEXTS = ["paka mbwa", "the old cat"]


class Keep(TrainerCallback):
    """Keeps what the student in training gives after its last step, and what of it is trained."""

    def on_train_end(self, args, state, control, model, **_: object):  # noqa: D102
        self.trained = {name for name, p in model.named_parameters() if p.requires_grad}
        self.state = {name: w.clone() for name, w in model.state_dict().items()}
        model.eval()
        self.vectors = encode_queries(model, TEXTS)


@pytest.fixture(autouse=True)
def float32(monkeypatch):
    """Train in float32 on all machines: vectors of bfloat16 products agree to two digits only."""
    monkeypatch.setattr("optical_ir.training.trainer.has_fast_bfloat16", lambda device: False)


@pytest.fixture(autouse=True)
def no_curves(monkeypatch):
    monkeypatch.setattr("optical_ir.training.distillation.plot_curves", lambda log, path: None)


@pytest.fixture(scope="module")
def teacher_folder(tiny_encoder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("lora") / "teacher"
    save_teacher(tiny_encoder, folder, origin={})
    return folder


@pytest.fixture
def teacher(teacher_folder):
    return load_encoder(teacher_folder, device="cpu")


@pytest.fixture(params=[True, False], ids=["frozen", "rows"])
def settings(request):
    """Give settings with frozen word embeddings, and with trained ones."""
    return dataclasses.replace(SETTINGS, embedding_learning_rate=0 if request.param else 1e-3)


def weights(folder):
    return (folder / "adapter.safetensors").read_bytes()


def test_adapters_alone_are_trained_and_the_returned_encoder_has_them(
    teacher, teacher_folder, bitext, tmp_path, settings
):
    keep, output = Keep(), tmp_path / "student"
    student = distil(
        teacher, bitext, output, settings=settings, base=teacher_folder, callbacks=[keep]
    )
    kinds = {name.rsplit(".", 2)[-2] for name in keep.trained if "lora_" not in name}
    assert kinds == (set() if settings.rate_of_embeddings == 0 else {"word_embeddings"})
    own = teacher.state_dict()
    for name, weight in keep.state.items():
        plain = name.replace(".base_layer", "")
        if "lora_" not in name and "word_embeddings" not in name:
            assert torch.equal(weight, own[plain])
    for trained, merged, start in zip(
        keep.vectors, encode_queries(student, TEXTS), encode_queries(teacher, TEXTS), strict=True
    ):
        np.testing.assert_allclose(trained, merged, atol=1e-4)
        assert np.abs(merged - start).max() > 1e-2
    assert student.state_dict().keys() == own.keys()
    assert fingerprint(load_encoder(output, device="cpu")) == fingerprint(student)


def test_the_folder_is_small_and_names_its_base(
    teacher, teacher_folder, bitext, tmp_path, settings
):
    output = tmp_path / "student"
    distil(teacher, bitext, output, settings=settings, base=teacher_folder)
    names = {path.name for path in output.iterdir()}
    assert names == {"adapter.safetensors", "optical.json", "log.jsonl"}
    assert read_description(output)["base"]["fingerprint"] == fingerprint(teacher)
    assert read_description(output)["space"] == fingerprint(teacher)
    tensors = load_file(output / "adapter.safetensors")
    assert tensors["scaling"].item() == 2
    # Six linear layers in each of two blocks.
    assert len([name for name in tensors if name.endswith("lora_A.weight")]) == 12
    assert ("word_embeddings.rows" in tensors) == (settings.rate_of_embeddings > 0)
    assert weights_hash(output) == sha256_file(output / "adapter.safetensors")
    assert weights_hash(teacher_folder) == sha256_file(teacher_folder / "model.safetensors")


@pytest.mark.parametrize("step", [1, 3, 5])
def test_killed_run_goes_on_to_the_same_bytes(
    teacher, teacher_folder, bitext, tmp_path, settings, step, kill_after
):
    given = {"settings": settings, "base": teacher_folder}
    distil(teacher, bitext, tmp_path / "whole", **given)
    kill_after(step, distil, teacher, bitext, tmp_path / "cut", **given)
    checkpoints = tmp_path / "cut.tmp" / "checkpoints"
    assert not list(checkpoints.glob("*/model.safetensors"))
    distil(teacher, bitext, tmp_path / "cut", **given)
    assert weights(tmp_path / "cut") == weights(tmp_path / "whole")


def test_scale_is_alpha_over_rank(teacher, teacher_folder, bitext, tmp_path):
    settings = dataclasses.replace(SETTINGS, max_steps=1, lora_alpha=1.0)
    distil(teacher, bitext, tmp_path / "s", settings=settings, base=teacher_folder)
    assert load_file(tmp_path / "s" / "adapter.safetensors")["scaling"].item() == 0.25


def test_training_lowers_the_loss(teacher, teacher_folder, bitext, tmp_path):
    settings = dataclasses.replace(SETTINGS, max_steps=40, log_every=1, learning_rate=1e-2)
    distil(teacher, bitext, tmp_path / "s", settings=settings, base=teacher_folder)
    costs = [
        row["transport"] for row in read_log(tmp_path / "s" / "log.jsonl") if "transport" in row
    ]
    assert np.mean(costs[-10:]) < np.mean(costs[:10])


def test_without_a_rank_the_base_changes_nothing(teacher, teacher_folder, bitext, tmp_path):
    settings = dataclasses.replace(SETTINGS, lora_rank=0)
    for name, base in (("without", None), ("with", teacher_folder)):
        distil(teacher, bitext, tmp_path / name, settings=settings, base=base)
    one, other = (tmp_path / name / "model.safetensors" for name in ("without", "with"))
    assert one.read_bytes() == other.read_bytes()
    assert not (tmp_path / "with" / "adapter.safetensors").exists()


def test_a_base_that_is_not_the_teacher_is_refused(
    teacher, make_checkpoint, bitext, tmp_path, teacher_folder
):
    other = make_checkpoint(tmp_path / "backbone", seed=3)
    with pytest.raises(ConfigError, match="expected the teacher's folder or name, found none"):
        distil(teacher, bitext, tmp_path / "s", settings=SETTINGS)
    with pytest.raises(ConfigError, match=r"base: expected .* of the teacher, .* Save the teacher"):
        distil(teacher, bitext, tmp_path / "s", settings=SETTINGS, base=other)
    with pytest.raises(ConfigError, match="adapters lie beside the teacher, found another student"):
        distil(
            teacher,
            bitext,
            tmp_path / "s",
            settings=SETTINGS,
            base=teacher_folder,
            student=load_encoder(other, device="cpu"),
        )


@pytest.mark.parametrize("name", ["query_length", "document_length"])
def test_a_base_of_other_lengths_is_refused(teacher_folder, bitext, tmp_path, name):
    teacher = load_encoder(teacher_folder, device="cpu", **{name: 8})
    with pytest.raises(ConfigError, match=rf"base: expected {name} 8 .* found \d+ in .* Save the"):
        distil(teacher, bitext, tmp_path / "s", settings=SETTINGS, base=teacher_folder)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("task", ["query", "document"])
def test_a_base_of_another_prompt_is_refused(teacher_folder, bitext, tmp_path, task):
    teacher = load_encoder(teacher_folder, device="cpu", **{f"{task}_prompt": "cat: "})
    with pytest.raises(ConfigError, match=r"base: expected .* with fingerprint"):
        distil(teacher, bitext, tmp_path / "s", settings=SETTINGS, base=teacher_folder)


def test_without_peft_its_extra_is_named(teacher, teacher_folder, bitext, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(DependencyError, match=r"pip install 'optical-ir\[lora\]'"):
        distil(teacher, bitext, tmp_path / "s", settings=SETTINGS, base=teacher_folder)
