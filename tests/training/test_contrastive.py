"""The contrastive rival: equal to the stock loss where that applies, and trained by `distil`."""

import copy
from functools import partial

import numpy as np
import pytest
import torch
from sentence_transformers.multi_vector_encoder.data_collator import (
    MultiVectorEncoderDataCollator,
)
from sentence_transformers.multi_vector_encoder.losses import (
    CachedMultiVectorMultipleNegativesRankingLoss,
)
from sentence_transformers.multi_vector_encoder.scoring import mean_colbert_scores

from optical_ir.collections import Lexicon
from optical_ir.errors import ConfigError
from optical_ir.models import encode_documents, encode_queries, read_description
from optical_ir.records import BitextPair
from optical_ir.training import (
    CodeSwitcher,
    ContrastiveLoss,
    DistillationSettings,
    contrastive_loss,
    distil,
)
from optical_ir.training.collator import BitextCollator

QUERIES = ["paka nyekundu", "old maji", "ndege", "the mti"]
PASSAGES = ["the red dog sees a cat", "old water, near the house!", "a bird", "big tree and"]


def inputs_of(loss, queries, passages):
    collator = BitextCollator(
        preprocess_fn=None,
        student=loss.model,
        teacher=loss.teacher,
        max_length=64,
        target_task=loss.target_task,
        target_length=loss.target_length,
    )
    return split_columns(
        collator([{"source": q, "target": p} for q, p in zip(queries, passages, strict=True)]),
        ("source", "target"),
    )


def split_columns(batch, columns):
    return [
        {
            key.removeprefix(f"{column}_"): value
            for key, value in batch.items()
            if key.startswith(f"{column}_")
        }
        for column in columns
    ]


def stock_loss(encoder, queries, passages, *, temperature):
    """Contrastive loss of sentence-transformers, which reads both sides with one encoder."""
    collator = MultiVectorEncoderDataCollator(
        preprocess_fn=encoder.preprocess,
        prompts={"query": encoder.prompts["query"], "positive": encoder.prompts["document"]},
    )
    rows = [{"query": q, "positive": p} for q, p in zip(queries, passages, strict=True)]
    loss = CachedMultiVectorMultipleNegativesRankingLoss(
        encoder, scale=1 / temperature, similarity_fct=mean_colbert_scores
    )
    return loss(split_columns(collator(rows), ("query", "positive")), None)


def test_equals_the_stock_loss_where_student_and_teacher_are_one(student, teacher):
    loss = ContrastiveLoss(student, teacher, temperature=0.1, document_length=64)
    value = loss(inputs_of(loss, QUERIES, PASSAGES)).item()
    expected = stock_loss(copy.deepcopy(teacher), QUERIES, PASSAGES, temperature=0.1).item()
    assert value == pytest.approx(expected, abs=1e-4)


def brute_force(student, teacher, queries, passages, *, temperature):
    """Mean of -log softmax over the own passage and those that are not the same."""
    documents = encode_documents(teacher, passages)
    values = []
    for rows, passage in zip(encode_queries(student, queries), passages, strict=True):
        scores = np.float64([(rows @ d.T).max(1).mean() for d in documents]) / temperature
        own = scores[passages.index(passage)]
        others = [s for s, p in zip(scores, passages, strict=True) if p != passage]
        values.append(np.log(np.exp([own, *others]).sum()) - own)
    return float(np.mean(values))


def test_copies_of_the_own_passage_are_no_negatives(stranger, teacher):
    student = copy.deepcopy(stranger)
    loss = ContrastiveLoss(student, teacher, temperature=0.1)
    queries, passages = [*QUERIES, "house", "dog"], [*PASSAGES, PASSAGES[1], PASSAGES[0]]
    expected = brute_force(student, teacher, queries, passages, temperature=0.1)
    loss.eval()
    assert loss(inputs_of(loss, queries, passages)).item() == pytest.approx(expected, abs=1e-4)
    assert loss.statistics["contrastive"] == pytest.approx(expected, abs=1e-4)


def test_rows_with_nothing_to_score_are_left_out(student, teacher):
    loss = ContrastiveLoss(student, teacher)
    alone = loss(inputs_of(loss, QUERIES, PASSAGES))
    more = loss(inputs_of(loss, [*QUERIES, "!", "cat"], [*PASSAGES, "a dog", "?"]))
    assert more.item() == pytest.approx(alone.item(), abs=1e-4)


def test_passages_are_read_as_documents_of_their_own_length(stranger, teacher):
    loss = ContrastiveLoss(stranger, teacher, document_length=12)
    query, passage = inputs_of(loss, ["cat " * 30], ["dog " * 30])
    assert query["input_ids"].shape == (1, 33 + 1)
    assert passage["input_ids"].shape == (1, 12)
    assert teacher.tokenizer.decode(passage["input_ids"][0, :4]) == "[CLS] passage : dog"


def test_a_few_steps_reduce_the_loss_of_the_student_only(stranger, teacher):
    before = copy.deepcopy(teacher.state_dict())
    loss = ContrastiveLoss(copy.deepcopy(stranger), teacher)
    optimizer = torch.optim.AdamW(loss.parameters(), lr=2e-3)
    values = []
    for _ in range(8):
        value = loss(inputs_of(loss, QUERIES, PASSAGES))
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        values.append(value.item())
    assert values[-1] < 0.7 * values[0]
    assert all(torch.equal(before[name], now) for name, now in teacher.state_dict().items())


def settings_of(**changes: float):
    defaults = {"max_steps": 4, "batch_size": 8, "dev_pairs": 4, "score_weight": 0.0}
    return DistillationSettings(**{**defaults, "save_every": 2, **changes})


def test_distil_trains_on_code_switched_queries_to_the_same_bytes(
    teacher, bitext, tmp_path, monkeypatch
):
    monkeypatch.setattr("optical_ir.training.distillation.plot_curves", lambda log, path: None)
    switcher = CodeSwitcher(lexicons=[Lexicon([("paka", "cat"), ("mti", "tree")]).inverse()])
    rows = [
        BitextPair(switcher.switch(pair.target, row=number), f"near {pair.target} and water")
        for number, pair in enumerate(bitext)
    ]
    for name in ("one", "two"):
        distil(
            teacher,
            rows,
            tmp_path / name,
            settings=settings_of(),
            loss_factory=partial(contrastive_loss, document_length=16),
        )
    assert read_description(tmp_path / "one")["loss"] == "ContrastiveLoss"
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("one", "two")]
    assert weights[0] == weights[1]


def test_unfinished_run_with_another_document_length_is_refused(
    teacher, bitext, tmp_path, monkeypatch
):
    def kill(log, path):
        raise KeyboardInterrupt

    monkeypatch.setattr("optical_ir.training.distillation.plot_curves", kill)

    def start(length):
        loss = partial(contrastive_loss, document_length=length)
        distil(
            teacher, bitext, tmp_path / "x", settings=settings_of(max_steps=1), loss_factory=loss
        )

    with pytest.raises(KeyboardInterrupt):
        start(16)
    with pytest.raises(ConfigError, match="an unfinished run with other settings"):
        start(24)


def test_settings_that_cannot_be_are_refused(student, teacher):
    with pytest.raises(ConfigError, match=r"score_weight: expected 0 .* found 0\.5\. Set it to 0"):
        contrastive_loss(student, teacher, DistillationSettings())
    with pytest.raises(ConfigError, match=r"english_share: expected 0 .* found 0\.1\. Set it to 0"):
        contrastive_loss(student, teacher, settings_of(english_share=0.1))
    with pytest.raises(ConfigError, match="batches of 2 rows or more, found 1"):
        contrastive_loss(student, teacher, settings_of(batch_size=1))
