"""Laws of the distillation losses on tiny encoders."""

import copy

import numpy as np
import pytest
import torch

from optical_ir.models import encode_queries
from optical_ir.training import BitextLoss, GreedyLoss, PooledLoss, TransportLoss
from optical_ir.training.collator import BitextCollator
from optical_ir.training.token_batch import TokenBatch
from optical_ir.transport import cosine_cost, solve_plan, uniform_weights

ENGLISH = ["the red dog sees a cat", "old water, near the house!", "a bird", "the big tree and"]
FOREIGN = ["mbwa nyekundu ona paka", "maji zee karibu, nyumba", "ndege", "mti kubwa na"]


def self_cost(encoder, texts, *, epsilon):
    """Mean over texts of <P*, C> of a text's token vectors with themselves."""
    values = []
    for rows in encode_queries(encoder, texts):
        tokens = torch.from_numpy(rows)[None]
        weights = uniform_weights(torch.ones(tokens.shape[:2], dtype=torch.bool))
        cost = cosine_cost(tokens, tokens)
        values.append(float((solve_plan(cost, weights, weights, epsilon=epsilon) * cost).sum()))
    return float(np.mean(values))


@pytest.mark.parametrize("epsilon", [0.1, 0.02])
def test_identical_encoders_of_identical_text_cost_what_entropy_costs(
    loss_of, student, teacher, epsilon
):
    loss = TransportLoss(student, teacher, epsilon=epsilon)
    expected = self_cost(teacher, ENGLISH, epsilon=epsilon)
    assert loss_of(loss, ENGLISH, ENGLISH).item() == pytest.approx(expected, abs=1e-3)


def test_identical_encoders_of_identical_text_cost_nothing_without_entropy(
    loss_of, student, teacher
):
    loss = TransportLoss(student, teacher, epsilon=0)
    assert loss_of(loss, ENGLISH, ENGLISH).item() == pytest.approx(0, abs=1e-6)


def test_loss_equals_transport_between_separately_encoded_tokens(loss_of, stranger, teacher):
    student = copy.deepcopy(stranger)
    values = []
    for pair in zip(
        encode_queries(student, FOREIGN), encode_queries(teacher, ENGLISH), strict=True
    ):
        source, target = (torch.from_numpy(rows)[None] for rows in pair)
        weights = [torch.full(t.shape[:2], 1 / t.shape[1]) for t in (source, target)]
        cost = cosine_cost(source, target)
        values.append(float((solve_plan(cost, *weights, epsilon=0) * cost).sum()))
    loss = TransportLoss(student, teacher, epsilon=0)
    assert loss_of(loss, FOREIGN, ENGLISH).item() == pytest.approx(np.mean(values), abs=1e-5)


@pytest.mark.parametrize("make", [TransportLoss, GreedyLoss, PooledLoss])
def test_pairs_with_nothing_to_score_are_left_out(loss_of, student, teacher, make):
    loss = make(student, teacher)
    alone = loss_of(loss, FOREIGN, ENGLISH)
    more = loss_of(loss, [*FOREIGN, "...", "paka", "!"], [*ENGLISH, "a dog", "", "?"])
    assert more.item() == pytest.approx(alone.item(), abs=1e-4)


@pytest.mark.parametrize("make", [TransportLoss, GreedyLoss, PooledLoss])
def test_batch_with_nothing_to_score_at_all_costs_0(loss_of, student, teacher, make):
    loss = loss_of(make(student, teacher), ["...", "paka"], ["a dog", "!"])
    assert loss.item() == 0
    loss.backward()


@pytest.mark.parametrize("score_weight", [0, 0.5])
def test_order_of_the_batch_does_not_matter(loss_of, student, teacher, score_weight):
    loss = TransportLoss(student, teacher, score_weight=score_weight)
    one, other = loss_of(loss, FOREIGN, ENGLISH), loss_of(loss, FOREIGN[::-1], ENGLISH[::-1])
    assert one.item() == pytest.approx(other.item(), abs=1e-4)


@pytest.mark.parametrize("make", [TransportLoss, GreedyLoss, PooledLoss])
def test_padding_does_not_matter(loss_of, student, teacher, make):
    loss = make(student, teacher)
    together = loss_of(loss, FOREIGN, ENGLISH).item()
    alone = [loss_of(loss, [f], [e]).item() for f, e in zip(FOREIGN, ENGLISH, strict=True)]
    assert together == pytest.approx(np.mean(alone), abs=1e-4)


@pytest.mark.parametrize("make", [TransportLoss, GreedyLoss, PooledLoss])
def test_gradient_reaches_the_student_only(loss_of, stranger, teacher, make):
    loss = make(copy.deepcopy(stranger), teacher)
    loss_of(loss, FOREIGN, ENGLISH).backward()
    gradients = [p.grad for p in loss.model.parameters() if p.grad is not None]
    assert sum(float(g.abs().sum()) for g in gradients) > 0
    assert all(p.grad is None and not p.requires_grad for p in teacher.parameters())
    names = {name for name, _ in loss.named_parameters()}
    assert names == {f"model.{name}" for name, _ in loss.model.named_parameters()}


def test_teacher_stays_in_evaluation_mode(student, teacher):
    loss = TransportLoss(student, teacher).train()
    assert loss.model.training
    assert not loss.teacher.training


def test_pooled_loss_equals_numpy(loss_of, stranger, teacher):
    loss = PooledLoss(copy.deepcopy(stranger), teacher)
    distances = []
    for s, t in zip(
        encode_queries(stranger, FOREIGN), encode_queries(teacher, ENGLISH), strict=True
    ):
        distances.append(((s.mean(0) - t.mean(0)) ** 2).sum())
    assert loss_of(loss, FOREIGN, ENGLISH).item() == pytest.approx(np.mean(distances), abs=1e-5)
    assert loss.statistics["loss"] == pytest.approx(np.mean(distances), abs=1e-5)


def test_greedy_loss_equals_numpy(loss_of, stranger, teacher):
    loss = GreedyLoss(copy.deepcopy(stranger), teacher)
    nearest = []
    for s, t in zip(
        encode_queries(stranger, FOREIGN), encode_queries(teacher, ENGLISH), strict=True
    ):
        nearest.append((1 - s @ t.T).min(1).mean())
    assert loss_of(loss, FOREIGN, ENGLISH).item() == pytest.approx(np.mean(nearest), abs=1e-5)
    assert loss.statistics["greedy"] == pytest.approx(np.mean(nearest), abs=1e-5)


def test_greedy_alignment_costs_no_more_than_any_plan(loss_of, stranger, teacher):
    values = [
        loss_of(make(stranger, teacher), FOREIGN, ENGLISH).item()
        for make in (GreedyLoss, lambda s, t: TransportLoss(s, t, plan="exact"))
    ]
    assert values[0] < values[1]


@pytest.mark.parametrize("make", [TransportLoss, GreedyLoss, PooledLoss])
def test_score_distillation_can_be_added_to_every_loss(loss_of, stranger, teacher, make):
    alone = make(copy.deepcopy(stranger), teacher)
    scored = make(copy.deepcopy(stranger), teacher, score_weight=0.5)
    values = [loss_of(loss, FOREIGN, ENGLISH).item() for loss in (alone, scored)]
    assert "score_divergence" not in alone.statistics
    divergence = scored.statistics["score_divergence"]
    assert divergence > 0
    assert values[1] == pytest.approx(values[0] + 0.5 * divergence, abs=1e-5)


def test_score_distillation_is_0_where_student_and_teacher_agree(loss_of, student, teacher):
    loss = TransportLoss(student, teacher, score_weight=0.5)
    loss_of(loss, ENGLISH, ENGLISH)
    assert loss.statistics["score_divergence"] == pytest.approx(0, abs=1e-6)


def test_score_distillation_equals_numpy(loss_of, stranger, teacher):
    temperature = 0.1
    loss = TransportLoss(
        copy.deepcopy(stranger), teacher, score_weight=2.0, temperature=temperature
    )
    total = loss_of(loss, FOREIGN, ENGLISH).item()
    foreign, english = encode_queries(stranger, FOREIGN), encode_queries(teacher, ENGLISH)

    def log_distribution(queries):
        scores = [[(q @ d.T).max(1).mean() for d in english] for q in queries]
        scaled = np.float64(scores) / temperature
        return scaled - np.log(np.exp(scaled).sum(1, keepdims=True))

    of_student, of_teacher = log_distribution(foreign), log_distribution(english)
    divergence = (np.exp(of_teacher) * (of_teacher - of_student)).sum(1).mean()
    assert loss.statistics["score_divergence"] == pytest.approx(divergence, abs=1e-4)
    assert total == pytest.approx(loss.statistics["transport"] + 2 * divergence, abs=1e-3)


def test_statistics_tell_what_the_plan_is_like(loss_of, student, teacher):
    loss = TransportLoss(student, teacher, sinkhorn_iterations=1000)
    value = loss_of(loss, FOREIGN, ENGLISH).item()
    assert loss.statistics["transport"] == pytest.approx(value)
    assert 0 < loss.statistics["plan_entropy"] < 2 * np.log(64)
    assert 0 <= loss.statistics["marginal_error"] < 1e-3


@pytest.mark.parametrize(
    "make",
    [
        TransportLoss,
        GreedyLoss,
        PooledLoss,
        lambda s, t: TransportLoss(s, t, score_weight=0.5, epsilon=0.02),
    ],
)
def test_a_few_steps_reduce_the_loss(loss_of, stranger, teacher, make):
    loss = make(copy.deepcopy(stranger), teacher)
    optimizer = torch.optim.AdamW(loss.parameters(), lr=2e-3)
    values = []
    for _ in range(12):
        value = loss_of(loss, FOREIGN, ENGLISH)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        values.append(value.item())
    assert values[-1] < 0.7 * values[0]


def test_gradient_in_the_tokens_is_the_plan_times_the_teacher():
    """With P* constant, the loss is linear in the student's tokens: d/ds_i = -sum_j P_ij t_j."""
    generator = torch.Generator().manual_seed(0)
    student, target = (
        torch.nn.functional.normalize(torch.randn(1, n, 4, generator=generator), dim=-1)
        for n in (3, 5)
    )
    student.requires_grad_()
    masks = [torch.ones(1, n, dtype=torch.bool) for n in (3, 5)]
    loss = TransportLoss(torch.nn.Identity(), torch.nn.Identity(), epsilon=0.1)
    sides = (
        TokenBatch(*side, torch.zeros(0)) for side in zip((student, target), masks, strict=True)
    )
    loss.score(*sides).backward()
    weights = [uniform_weights(mask) for mask in masks]
    plan = solve_plan(cosine_cost(student, target), *weights, epsilon=0.1)
    torch.testing.assert_close(student.grad, -plan @ target)


def test_a_loss_must_define_its_score(student, teacher):
    with pytest.raises(TypeError, match="abstract"):
        BitextLoss(student, teacher)


def test_collator_without_encoders_is_refused():
    with pytest.raises(ValueError, match="needs a student and a teacher"):
        BitextCollator(preprocess_fn=None)([{"source": "a", "target": "b"}])


def test_collator_reads_both_sides_as_queries_of_their_own_encoder(
    make_features, stranger, teacher
):
    source, target = make_features(stranger, teacher, ["paka"], ["a cat"])
    tokenizer = teacher.tokenizer
    assert tokenizer.decode(source["input_ids"][0]) == "[CLS] query : paka [SEP]"
    assert tokenizer.decode(target["input_ids"][0]) == "[CLS] query : a cat [SEP]"
