"""Distillation end to end on tiny encoders: results, resumption and refusals."""

import copy
import dataclasses
import json
import logging
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from sentence_transformers import MultiVectorEncoder
from transformers import TrainerCallback

from optical_ir.errors import ConfigError, DataError
from optical_ir.models import (
    center_encoder,
    embedding_space,
    encode_documents,
    encode_queries,
    load_encoder,
    maxsim_scores,
    read_description,
    save_teacher,
)
from optical_ir.records import BitextPair
from optical_ir.training import DistillationSettings, PooledLoss, distil, read_log

SETTINGS = DistillationSettings(
    max_steps=8,
    batch_size=8,
    learning_rate=2e-3,
    dev_pairs=10,
    log_every=2,
    evaluate_every=4,
    save_every=3,
)
CLOCKS = ("seconds", "cpu_seconds")
WORDS = "the a cat dog bird house water tree red big small old sees eats near under and".split()


@pytest.fixture(autouse=True)
def no_curves(monkeypatch):
    """Skip the drawing, half of a tiny distillation's time, in all runs but `finished`."""
    monkeypatch.setattr("optical_ir.training.distillation.plot_curves", lambda log, path: None)


@pytest.fixture
def teacher(tiny_encoder):
    return copy.deepcopy(tiny_encoder)


@pytest.fixture(scope="module")
def finished(tiny_encoder, bitext, tmp_path_factory):
    """Folder of an uninterrupted distillation."""
    folder = tmp_path_factory.mktemp("finished") / "student"
    distil(copy.deepcopy(tiny_encoder), bitext, folder, settings=SETTINGS)
    return folder


def log_of(folder):
    """Give the rows of a log without what differs from time to time."""
    rows = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [{key: row[key] for key in row if key not in CLOCKS} for row in rows]


def weights(folder):
    return (folder / "model.safetensors").read_bytes()


def test_student_keeps_the_head_of_its_teacher(teacher, bitext, tmp_path):
    centred = center_encoder(teacher, [pair.target for pair in bitext])
    student = distil(centred, bitext, tmp_path / "student", settings=SETTINGS)
    unchanged = {
        name
        for name, weight in centred.state_dict().items()
        if torch.equal(weight, student.state_dict()[name])
    }
    assert {name for name in unchanged if "linear" in name} == {"2.linear.weight", "2.linear.bias"}
    assert not [name for name in unchanged if "attention" in name and "key.bias" not in name]


def test_folder_holds_student_description_log_and_curves(finished, tiny_encoder):
    assert not list(finished.parent.glob("*.tmp"))
    names = {path.name for path in finished.iterdir()}
    assert {"model.safetensors", "modules.json", "optical.json", "curves.png"} <= names
    assert not names & {"checkpoints", "claim.json"}
    assert (finished / "curves.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    description = read_description(finished)
    assert description["role"] == "student"
    assert description["loss"] == "TransportLoss"
    assert description["pairs"] == 50
    assert DistillationSettings(**description["settings"]) == SETTINGS
    assert embedding_space(finished, load_encoder(finished)) == embedding_space(
        "teacher", tiny_encoder
    )


def test_log_has_the_due_steps_once_with_loss_rate_and_entropy(finished):
    log = log_of(finished)
    steps = [row for row in log if "transport" in row]
    assert [row["step"] for row in steps] == [2, 4, 6, 8]
    for row in steps:
        assert {"loss", "learning_rate", "plan_entropy", "marginal_error"} <= set(row)
        weighted = row["transport"] + SETTINGS.score_weight * row["score_divergence"]
        assert row["loss"] == pytest.approx(weighted)
        assert all(np.isfinite(value) for value in row.values())
    dev = [row for row in log if "dev_rr@10" in row]
    assert [row["step"] for row in dev] == [0, 4, 8]
    assert all(0 <= row["dev_rr@10"] <= 1 for row in dev)


def test_training_lowers_the_cost_of_transport(teacher, bitext, tmp_path):
    settings = dataclasses.replace(SETTINGS, max_steps=40, learning_rate=1e-3, log_every=1)
    distil(teacher, bitext, tmp_path / "student", settings=settings)
    costs = [row["transport"] for row in log_of(tmp_path / "student") if "transport" in row]
    assert np.mean(costs[-10:]) < np.mean(costs[:10])


def test_same_seed_gives_the_same_bytes(finished, teacher, bitext, tmp_path):
    distil(teacher, bitext, tmp_path / "student", settings=SETTINGS)
    assert weights(tmp_path / "student") == weights(finished)
    assert log_of(tmp_path / "student") == log_of(finished)


def test_other_seed_gives_other_weights(finished, teacher, bitext, tmp_path):
    settings = DistillationSettings(**{**read_description(finished)["settings"], "seed": 1})
    distil(teacher, bitext, tmp_path / "student", settings=settings)
    assert weights(tmp_path / "student") != weights(finished)


@pytest.mark.parametrize("step", [1, 3, 5])
def test_killed_run_goes_on_to_the_same_bytes(
    finished, teacher, bitext, kill_after, tmp_path, step
):
    output = tmp_path / "student"
    kill_after(step, distil, teacher, bitext, output, settings=SETTINGS)
    assert not output.exists()
    distil(teacher, bitext, output, settings=SETTINGS)
    assert weights(output) == weights(finished)
    assert log_of(output) == log_of(finished)


def test_seconds_go_on_from_those_before_a_kill(teacher, bitext, kill_after, tmp_path):
    settings = dataclasses.replace(SETTINGS, save_every=2)
    kill_after(5, distil, teacher, bitext, tmp_path / "student", settings=settings)
    log = tmp_path / "student.tmp" / "log.jsonl"
    # As if the first attempt had been slow, so that clocks which start anew would show.
    rows = [{key: row[key] + 1000 * (key in CLOCKS) for key in row} for row in read_log(log)]
    log.write_text("".join(json.dumps(row) + "\n" for row in rows))
    distil(teacher, bitext, tmp_path / "student", settings=settings)
    timed = [row for row in read_log(tmp_path / "student" / "log.jsonl") if "seconds" in row]
    assert [row["step"] for row in timed] == [2, 4, 6, 8]
    for clock in CLOCKS:
        values = [row[clock] for row in timed]
        assert values == sorted(values)
        assert values[:2] == [row[clock] for row in rows if clock in row]
        assert values[-1] < 2000, "the seconds before the kill are counted once"


def test_run_killed_twice_and_while_saving_goes_on(finished, teacher, bitext, tmp_path, kill_after):
    output = tmp_path / "student"
    for step in (4, 7):
        kill_after(step, distil, teacher, bitext, output, settings=SETTINGS)
    # A save that was cut short leaves weights but not the file that is written last.
    torn = tmp_path / "student.tmp" / "checkpoints" / "checkpoint-7"
    torn.mkdir()
    (torn / "model.safetensors").write_bytes(b"half")
    distil(teacher, bitext, output, settings=SETTINGS)
    assert weights(output) == weights(finished)
    assert log_of(output) == log_of(finished)


def test_run_killed_after_the_last_step_goes_on(finished, teacher, bitext, tmp_path, monkeypatch):
    def kill(log, path):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("optical_ir.training.distillation.plot_curves", kill)
        distil(teacher, bitext, tmp_path / "student", settings=SETTINGS)
    distil(teacher, bitext, tmp_path / "student", settings=SETTINGS)
    assert weights(tmp_path / "student") == weights(finished)
    assert log_of(tmp_path / "student") == log_of(finished)


SCRIPT = """
import json, os, signal, sys
from pathlib import Path
from transformers import TrainerCallback
from optical_ir.models import load_encoder
from optical_ir.records import BitextPair
from optical_ir.training import DistillationSettings, distil

class Death(TrainerCallback):
    def on_save(self, args, state, control, **kwargs):
        if state.global_step == int(sys.argv[2]):
            os.kill(os.getpid(), signal.SIGKILL)

folder, given = Path(sys.argv[1]), json.loads(sys.stdin.read())
teacher = load_encoder(given["teacher"], device="cpu", query_prompt="query: ",
                       document_prompt="passage: ")
bitext = [BitextPair(*pair) for pair in given["bitext"]]
distil(teacher, bitext, folder, settings=DistillationSettings(**given["settings"]),
       callbacks=[Death()])
"""


@pytest.mark.slow
def test_killed_process_goes_on_to_the_same_bytes(finished, plain_folder, bitext, tmp_path):
    output = tmp_path / "student"
    settings = read_description(finished)["settings"]
    given = {"teacher": str(plain_folder), "bitext": bitext, "settings": settings}
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}

    def start(dies_at):
        return subprocess.run(
            [sys.executable, "-c", SCRIPT, str(output), str(dies_at)],
            input=json.dumps(given),
            text=True,
            env=environment,
            timeout=240,
        ).returncode

    assert start(dies_at=3) == -signal.SIGKILL
    assert not output.exists()
    assert start(dies_at=0) == 0
    assert weights(output) == weights(finished)
    assert log_of(output) == log_of(finished)


@pytest.mark.parametrize("lora_rank", [0, 2])
@pytest.mark.parametrize(("max_length", "kept"), [(16, 20), (48, 48)])
def test_a_student_reads_queries_as_long_as_its_sentences_were(
    plain_folder, tmp_path, bitext, lora_rank, max_length, kept
):
    encoder = load_encoder(plain_folder, query_length=20)
    save_teacher(encoder, tmp_path / "teacher", origin={})
    settings = {"max_steps": 1, "max_length": max_length, "lora_rank": lora_rank}
    distil(
        load_encoder(tmp_path / "teacher"),
        bitext,
        tmp_path / "student",
        settings=dataclasses.replace(SETTINGS, **settings),
        base=tmp_path / "teacher",
    )
    assert load_encoder(tmp_path / "student")[0].query_length == kept
    assert load_encoder(tmp_path / "teacher")[0].query_length == 20


def test_teacher_is_not_changed_and_nothing_printed(
    teacher, tiny_encoder, bitext, tmp_path, capsys
):
    distil(teacher, bitext, tmp_path / "student", settings=SETTINGS)
    assert capsys.readouterr().out == ""
    for own, before in zip(
        teacher.state_dict().values(), tiny_encoder.state_dict().values(), strict=True
    ):
        assert torch.equal(own, before)


@pytest.mark.parametrize("frozen", [True, False])
def test_word_embeddings_stay_as_they_are_when_frozen(
    teacher, bitext, tmp_path, plain_folder, frozen
):
    settings = DistillationSettings(
        max_steps=2,
        batch_size=8,
        dev_pairs=0,
        learning_rate=1e-3,
        embedding_learning_rate=0 if frozen else None,
    )
    distil(teacher, bitext, tmp_path / "student", settings=settings)
    name = "embeddings.word_embeddings.weight"
    before = load_file(plain_folder / "model.safetensors")
    after = load_file(tmp_path / "student" / "model.safetensors")
    assert torch.equal(before[name], after[name]) == frozen
    other = "encoder.layer.0.attention.self.query.weight"
    assert not torch.equal(before[other], after[other])


def test_every_due_setting_reaches_the_trainer(teacher, bitext, tmp_path):
    seen = []

    class Spy(TrainerCallback):
        def on_step_end(self, args, state, control, **kwargs: object):
            seen.append((kwargs["lr_scheduler"].get_last_lr()[0], state.max_steps))

    settings = DistillationSettings(
        epochs=2, batch_size=12, dev_pairs=10, learning_rate=1e-3, warmup=0.25
    )
    distil(teacher, bitext, tmp_path / "student", settings=settings, callbacks=[Spy()])
    rates = [rate for rate, _ in seen]
    # 50 pairs make 4 whole batches of 12; two epochs of them; 2 of the 8 steps warm up.
    assert {steps for _, steps in seen} == {8}
    assert len(rates) == 8
    assert rates == pytest.approx([0.0005, 0.001, *(0.001 * n / 6 for n in (5, 4, 3, 2, 1, 0))])


def same_scores(student, loaded, documents):
    queries = ["paka mbwa", "maji na nyumba", "ona, mti!"]
    scores = [maxsim_scores(encode_queries(e, queries), documents) for e in (student, loaded)]
    np.testing.assert_allclose(scores[0], scores[1], atol=1e-5)


@pytest.fixture(params=["plain", "centred", "stanford", "pylate"])
def any_teacher(request, teacher):
    """Teachers of several layouts, one of them centred and projected."""
    if request.param == "plain":
        return teacher
    if request.param == "centred":
        generator = np.random.default_rng(0)
        texts = [" ".join(generator.choice(WORDS, 12)) for _ in range(20)]
        return center_encoder(teacher, texts, dim=8)
    return load_encoder(request.getfixturevalue(f"{request.param}_folder"), device="cpu")


def test_student_loads_in_stock_sentence_transformers(any_teacher, bitext, tmp_path, caplog):
    output = tmp_path / "student"
    documents = encode_documents(any_teacher, ["the red dog", "old water", "a bird"])
    student = distil(any_teacher, bitext, output, settings=SETTINGS)
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        stock = MultiVectorEncoder(str(output), device="cpu")
    assert not [
        r.message for r in caplog.records if "initial" in r.message or "MISSING" in r.message
    ]
    same_scores(student, stock, documents)
    same_scores(student, load_encoder(output, device="cpu"), documents)
    assert read_description(output)["space"] == embedding_space("x", any_teacher)


@pytest.mark.parametrize("hidden", [48, 32])
def test_student_of_another_backbone_gets_a_projection(
    make_checkpoint, teacher, bitext, tmp_path, hidden
):
    folder = make_checkpoint(tmp_path / "backbone", hidden=hidden, seed=3)
    backbone = load_encoder(folder, device="cpu", query_prompt="q: ")
    n_modules = len(backbone)
    documents = encode_documents(teacher, ["the red dog", "old water", "a bird"])
    student = distil(teacher, bitext, tmp_path / "s", settings=SETTINGS, student=backbone)
    assert len(backbone) == n_modules
    assert len(student) == n_modules + 1
    assert encode_queries(student, ["paka"])[0].shape == (1, 32)
    same_scores(student, MultiVectorEncoder(str(tmp_path / "s"), device="cpu"), documents)
    steps = [row["transport"] for row in log_of(tmp_path / "s") if "transport" in row]
    assert steps[-1] < steps[0]


def test_killed_run_of_another_backbone_goes_on_to_the_same_bytes(
    make_checkpoint, teacher, bitext, tmp_path, kill_after
):
    folder = make_checkpoint(tmp_path / "backbone", hidden=48, seed=3)
    backbone = load_encoder(folder, device="cpu", query_prompt="q: ")
    given = {"settings": SETTINGS, "student": backbone}
    distil(teacher, bitext, tmp_path / "whole", **given)
    kill_after(5, distil, teacher, bitext, tmp_path / "cut", **given)
    distil(teacher, bitext, tmp_path / "cut", **given)
    assert weights(tmp_path / "cut") == weights(tmp_path / "whole")


def test_projection_goes_before_normalize_wherever_that_is(teacher, bitext, tmp_path):
    transformer, mask, normalize = copy.deepcopy(teacher)
    other = MultiVectorEncoder(
        modules=[transformer, normalize, mask], prompts=teacher.prompts, device="cpu"
    )
    student = distil(teacher, bitext, tmp_path / "s", settings=SETTINGS, student=other)
    rows = student.encode_query("paka mbwa", convert_to_numpy=True)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ({"loss": "greedy", "score_weight": 0.0}, "GreedyLoss"),
        ({"loss": "pooled", "score_weight": 0.0}, "PooledLoss"),
        ({"token_weights": "idf", "plan": "unbalanced"}, "TransportLoss"),
    ],
)
def test_rivals_and_variants_train_through_the_same_door(teacher, bitext, tmp_path, values, kind):
    settings = dataclasses.replace(SETTINGS, max_steps=30, log_every=1, **values)
    distil(teacher, bitext, tmp_path / "student", settings=settings)
    assert read_description(tmp_path / "student")["loss"] == kind
    losses = [row["loss"] for row in log_of(tmp_path / "student") if "loss" in row]
    assert np.mean(losses[-10:]) < np.mean(losses[:10])


def test_loss_of_ones_own_trains_too(teacher, bitext, tmp_path):
    distil(
        teacher,
        bitext,
        tmp_path / "student",
        settings=SETTINGS,
        loss_factory=lambda student, teacher, _: PooledLoss(student, teacher),
    )
    assert read_description(tmp_path / "student")["loss"] == "PooledLoss"


def test_dev_pairs_are_held_out_whatever_the_order(teacher, bitext, tmp_path):
    logs = []
    for name, pairs in (("one", bitext), ("other", bitext[::-1])):
        settings = DistillationSettings(max_steps=1, batch_size=8, dev_pairs=10)
        distil(teacher, pairs, tmp_path / name, settings=settings)
        logs.append([row for row in log_of(tmp_path / name) if row["step"] == 0])
    assert logs[0] == logs[1]


def test_repeats_of_a_dev_pair_are_held_out_too(teacher, bitext, tmp_path):
    settings = DistillationSettings(max_steps=1, batch_size=8, dev_pairs=10)
    distil(teacher, bitext * 3, tmp_path / "student", settings=settings)
    assert read_description(tmp_path / "student")["pairs"] == 150


@pytest.fixture
def unfinished(teacher, bitext, tmp_path, kill_after):
    kill_after(4, distil, teacher, bitext, tmp_path / "s", settings=SETTINGS)
    return tmp_path / "s"


def test_unfinished_run_of_other_settings_is_refused(unfinished, teacher, bitext):
    other = DistillationSettings(batch_size=8, max_steps=9, dev_pairs=10)
    with pytest.raises(
        ConfigError, match=r"unfinished run with other settings .*Remove the folder"
    ):
        distil(teacher, bitext[:-1] + bitext[:1], unfinished, settings=SETTINGS)
    with pytest.raises(
        ConfigError, match=r"unfinished run with other settings .*Remove the folder"
    ):
        distil(teacher, bitext, unfinished, settings=other)


def test_unfinished_run_of_other_encoders_is_refused(unfinished, make_checkpoint, teacher, bitext):
    folder = make_checkpoint(unfinished.parent / "other", seed=5)
    other = load_encoder(folder, device="cpu", query_prompt="query: ")
    for given in ({"teacher": other}, {"teacher": teacher, "student": other}):
        with pytest.raises(ConfigError, match=r"unfinished run with other settings"):
            distil(bitext=bitext, output=unfinished, settings=SETTINGS, **given)


@pytest.mark.parametrize("repeats", [1, 40])
def test_too_little_bitext_is_refused(teacher, bitext, tmp_path, repeats):
    few = bitext[:12] * repeats if repeats == 1 else [BitextPair("paka", "cat")] * repeats
    with pytest.raises(DataError, match=r"expected at least 18 .*lower dev_pairs or batch_size"):
        distil(teacher, few, tmp_path / "student", settings=SETTINGS)
    assert not list(tmp_path.iterdir())


def test_existing_output_is_refused_before_anything_is_done(finished, teacher):
    with pytest.raises(ConfigError, match=r"exists\. Choose another output or pass --overwrite"):
        distil(teacher, [], finished)


def test_existing_output_is_replaced_on_request(teacher, bitext, tmp_path):
    (tmp_path / "student").mkdir()
    (tmp_path / "student" / "old").touch()
    distil(teacher, bitext, tmp_path / "student", settings=SETTINGS, overwrite=True)
    assert not (tmp_path / "student" / "old").exists()
