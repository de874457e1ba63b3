"""Word embeddings cut to the pieces in use train as whole ones do, and leave the rest alone."""

import copy
import dataclasses

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import TrainerCallback

from optical_ir.models import encode_queries, load_encoder
from optical_ir.models.folder import fingerprint
from optical_ir.training import DistillationSettings, distil
from optical_ir.training.vocabulary import (
    CutEmbedding,
    cut_word_embeddings,
    fold_word_embeddings,
    word_embeddings,
)

NAME = "embeddings.word_embeddings.weight"
SETTINGS = DistillationSettings(
    max_steps=4,
    batch_size=8,
    learning_rate=2e-3,
    dev_pairs=0,
    save_every=3,
    embedding_learning_rate=1e-2,
)


@pytest.fixture(autouse=True)
def no_curves(monkeypatch):
    monkeypatch.setattr("optical_ir.training.distillation.plot_curves", lambda log, path: None)


def test_a_cut_is_the_whole_embedding_to_all_who_look(student):
    before, vectors = fingerprint(student), encode_queries(student, ["paka mbwa", "the cat"])
    cut_word_embeddings(student, ["paka mbwa"], max_length=64)
    assert isinstance(word_embeddings(student), CutEmbedding)
    assert fingerprint(student) == before
    for one, other in zip(vectors, encode_queries(student, ["paka mbwa", "the cat"]), strict=True):
        np.testing.assert_array_equal(one, other)
    fold_word_embeddings(student)
    assert fingerprint(student) == before


def test_the_cut_has_the_pieces_of_texts_prompt_and_specials(student):
    cut_word_embeddings(student, ["paka mbwa"], max_length=64)
    tokenizer = student[0].tokenizer
    pieces = {tokenizer.convert_ids_to_tokens(int(i)) for i in word_embeddings(student).ids}
    assert {"paka", "mbwa", "query", "[CLS]", "[SEP]"} <= pieces
    assert not pieces & {"[PAD]", "maji", "cat"}


def test_gradients_are_those_of_the_whole_embedding():
    torch.manual_seed(0)
    whole = torch.nn.Embedding(9, 4)
    cut = CutEmbedding(copy.deepcopy(whole), torch.tensor([7, 2, 5]))
    ids, weights = torch.tensor([[2, 5, 5], [0, 7, 8]]), torch.randn(2, 3, 4)
    for module in (whole, cut):
        (module(ids) * weights).sum().backward()
    torch.testing.assert_close(cut.rows.grad, whole.weight.grad[[7, 2, 5]])
    assert [name for name, _ in cut.named_parameters()] == ["rows"]


@pytest.fixture(scope="module")
def finished(tiny_encoder, bitext, tmp_path_factory):
    folder = tmp_path_factory.mktemp("cut") / "student"
    student = distil(copy.deepcopy(tiny_encoder), bitext, folder, settings=SETTINGS)
    return folder, student


def test_rows_not_in_use_are_saved_bit_equal_and_all_others_moved(
    finished, plain_folder, tiny_encoder, bitext
):
    folder, _ = finished
    before, after = (load_file(f / "model.safetensors") for f in (plain_folder, folder))
    assert before.keys() == after.keys()
    moved = (before[NAME] != after[NAME]).any(-1).nonzero().flatten().tolist()
    texts = [f"query: {pair.source}" for pair in bitext]
    used = {i for ids in tiny_encoder[0].tokenizer(texts)["input_ids"] for i in ids}
    assert set(moved) == used


def test_saved_student_embeds_as_the_one_in_memory(finished):
    folder, student = finished
    texts = ["paka mbwa", "the old cat"]
    loaded = load_encoder(folder, device="cpu")
    pairs = zip(encode_queries(student, texts), encode_queries(loaded, texts), strict=True)
    for one, other in pairs:
        np.testing.assert_array_equal(one, other)


def test_killed_run_goes_on_to_the_same_bytes(finished, teacher, bitext, tmp_path, kill_after):
    output = tmp_path / "student"
    kill_after(SETTINGS.max_steps - 1, distil, teacher, bitext, output, settings=SETTINGS)
    (checkpoint,) = (tmp_path / "student.tmp" / "checkpoints").iterdir()
    assert not {"model.safetensors", "tokenizer.json"} & {f.name for f in checkpoint.iterdir()}
    saved = load_file(checkpoint / "trained.safetensors")
    whole = word_embeddings(teacher)
    assert max(len(w) for name, w in saved.items() if "word" in name) < whole.num_embeddings
    distil(teacher, bitext, output, settings=SETTINGS)
    one, other = (folder / "model.safetensors" for folder in (finished[0], output))
    assert one.read_bytes() == other.read_bytes()


def test_word_embeddings_have_a_learning_rate_of_their_own(teacher, bitext, tmp_path):
    rates = {}

    class Spy(TrainerCallback):
        def on_step_end(self, args, state, control, **kwargs: object):
            for group in kwargs["optimizer"].param_groups:
                rates.update({tuple(p.shape): group["initial_lr"] for p in group["params"]})

    settings = dataclasses.replace(SETTINGS, max_steps=1)
    student = distil(teacher, bitext, tmp_path / "s", settings=settings, callbacks=[Spy()])
    n_pieces, dim = student[0].model.get_input_embeddings().weight.shape
    rows = [shape for shape, rate in rates.items() if rate == 1e-2]
    assert len(rows) == 1 and rows[0][0] < n_pieces and rows[0][1] == dim
    assert set(rates.values()) == {1e-2, 2e-3}
