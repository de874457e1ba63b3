"""Folders of adapters: what is merged, into which base, and what is refused."""

import json

import pytest
import torch

from optical_ir.errors import ConfigError, DataError
from optical_ir.models import encode_queries, load_encoder, save_teacher
from optical_ir.models.adapter import describe_base, save_adapter
from optical_ir.models.folder import fingerprint, write_description

MODULE = "encoder.layer.1.output.dense"


@pytest.fixture
def teacher_folder(tiny_encoder, tmp_path):
    save_teacher(tiny_encoder, tmp_path / "teacher", origin={})
    return tmp_path / "teacher"


def adapter(seed=0):
    """Give random adapters of rank 2 of one layer, and two rows of the word embeddings."""
    generator = torch.Generator().manual_seed(seed)
    return {
        f"{MODULE}.lora_A.weight": torch.randn(2, 64, generator=generator),
        f"{MODULE}.lora_B.weight": torch.randn(32, 2, generator=generator),
        "scaling": torch.tensor(0.5, dtype=torch.float64),
        "word_embeddings.ids": torch.tensor([7, 9]),
        "word_embeddings.rows": torch.randn(2, 32, generator=generator),
    }


def save_student(folder, base, weights):
    folder.mkdir(parents=True)
    save_adapter(folder, weights)
    encoder = load_encoder(base, device="cpu")
    write_description(folder, {"base": describe_base(base, encoder, folder), "space": "s"})
    return folder


@pytest.fixture
def student_folder(teacher_folder, tmp_path):
    return save_student(tmp_path / "students" / "so", teacher_folder, adapter())


def test_the_weights_are_those_of_the_base_and_the_low_rank_change(student_folder, teacher_folder):
    base, student = (load_encoder(f, device="cpu") for f in (teacher_folder, student_folder))
    expected, weights = base.state_dict(), adapter()
    (layer,) = (name for name in expected if name.endswith(f"{MODULE}.weight"))
    change = (
        weights[f"{MODULE}.lora_B.weight"].double() @ weights[f"{MODULE}.lora_A.weight"].double()
    )
    torch.testing.assert_close(
        student.state_dict()[layer], (expected[layer] + 0.5 * change).float()
    )
    (words,) = (name for name in expected if name.endswith("word_embeddings.weight"))
    expected[words][[7, 9]] = weights["word_embeddings.rows"]
    for name, weight in student.state_dict().items():
        assert name == layer or torch.equal(weight, expected[name])


def test_two_students_beside_one_base_are_different_encoders(
    student_folder, teacher_folder, tmp_path
):
    other = save_student(tmp_path / "students" / "sw", teacher_folder, adapter(seed=1))
    encoders = [load_encoder(f, device="cpu") for f in (teacher_folder, student_folder, other)]
    assert len({fingerprint(encoder) for encoder in encoders}) == 3
    assert fingerprint(encoders[1]) == fingerprint(load_encoder(student_folder, device="cpu"))


def test_teacher_and_student_may_be_moved_together(student_folder, tmp_path):
    before = fingerprint(load_encoder(student_folder, device="cpu"))
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    for name in ("teacher", "students"):
        (tmp_path / name).rename(moved / name)
    assert fingerprint(load_encoder(moved / "students" / "so", device="cpu")) == before


def test_a_relative_name_is_found_from_any_working_folder(student_folder, tmp_path, monkeypatch):
    before = fingerprint(load_encoder(student_folder, device="cpu"))
    for folder, name in ((tmp_path, "students/so"), (tmp_path / "students", "so")):
        monkeypatch.chdir(folder)
        assert fingerprint(load_encoder(name, device="cpu")) == before


def test_given_prompts_come_before_those_of_the_base(student_folder):
    encoder = load_encoder(student_folder, device="cpu", query_prompt="see: ")
    assert encoder.prompts == {"query": "see: ", "document": "passage: "}


def test_a_student_without_its_base_is_refused(student_folder, teacher_folder, tmp_path):
    teacher_folder.rename(tmp_path / "other")
    with pytest.raises(ConfigError, match=r"so: expected its base, .*/teacher', found none that"):
        load_encoder(student_folder)


def test_a_student_beside_another_base_is_refused(
    student_folder, teacher_folder, make_checkpoint, tmp_path
):
    other = load_encoder(make_checkpoint(tmp_path / "backbone", seed=3), device="cpu")
    save_teacher(other, teacher_folder, origin={}, overwrite=True)
    with pytest.raises(ConfigError, match=r"with fingerprint \w{16}, found .* Put the student's"):
        load_encoder(student_folder)


def test_damaged_adapters_are_refused(student_folder):
    (student_folder / "adapter.safetensors").write_bytes(b"damaged" * 9)
    with pytest.raises(ConfigError, match=r"so'.*does not load"):
        load_encoder(student_folder)


@pytest.mark.parametrize("description", [{}, {"base": "teacher"}, {"base": {"path": "../t"}}])
def test_adapters_that_do_not_name_their_base_are_refused(student_folder, description):
    (student_folder / "optical.json").write_text(json.dumps(description))
    with pytest.raises(DataError, match="expected path and fingerprint of a base"):
        load_encoder(student_folder)


def test_a_student_cannot_replace_its_base(teacher_folder, tiny_encoder, tmp_path):
    for output in (teacher_folder, tmp_path):
        with pytest.raises(ConfigError, match="another folder than that of the base"):
            describe_base(teacher_folder, tiny_encoder, output)


def test_a_name_that_is_no_folder_stays_as_it_is(tiny_encoder, tmp_path, monkeypatch):
    (tmp_path / "embedded").mkdir()
    monkeypatch.chdir(tmp_path)
    for name in ("embedded", "someone/a-model"):
        assert describe_base(name, tiny_encoder, tmp_path / "student")["path"] == name


def test_merged_students_encode(student_folder):
    assert encode_queries(load_encoder(student_folder, device="cpu"), ["paka"])[0].shape == (1, 32)
