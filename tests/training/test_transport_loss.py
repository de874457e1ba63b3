"""Plans, token weights and added terms of the transport loss on tiny encoders."""

import copy

import numpy as np
import pytest
import torch

from optical_ir.models import encode_queries
from optical_ir.records import BitextPair
from optical_ir.training import (
    DistillationSettings,
    GreedyLoss,
    PooledLoss,
    TransportLoss,
    make_loss,
)
from optical_ir.transport import PLANS, TOKEN_WEIGHTS

ENGLISH = ["the red dog sees a cat", "old water, near the house!", "a bird", "the big tree and"]
FOREIGN = ["mbwa nyekundu ona paka", "maji zee karibu, nyumba", "ndege", "mti kubwa na"]
BITEXT = [BitextPair(*pair) for pair in zip(FOREIGN, ENGLISH, strict=True)]
VARIANTS = [
    *({"plan": plan} for plan in PLANS),
    *({"token_weights": weights} for weights in TOKEN_WEIGHTS),
    {"plan": "dustbin", "token_weights": "importance", "pooled_weight": 0.5},
]


@pytest.fixture(params=VARIANTS, ids=lambda variant: "-".join(map(str, variant.values())))
def loss(request, stranger, teacher):
    """Give the loss in each of its variants, with the bitext read."""
    made = TransportLoss(copy.deepcopy(stranger), teacher, **request.param)
    made.prepare(BITEXT)
    return made


def gradients(loss):
    return [p.grad for p in loss.model.parameters() if p.grad is not None]


def test_pairs_with_nothing_to_score_are_left_out(loss_of, loss):
    alone = loss_of(loss, FOREIGN, ENGLISH).item()
    more = loss_of(loss, [*FOREIGN, "...", "paka", "!"], [*ENGLISH, "a dog", "", "?"]).item()
    assert more == pytest.approx(alone, abs=1e-4)


def test_padding_does_not_matter(loss_of, loss):
    together = loss_of(loss, FOREIGN, ENGLISH).item()
    alone = [loss_of(loss, [f], [e]).item() for f, e in zip(FOREIGN, ENGLISH, strict=True)]
    if loss.token_weights == "importance":
        # It looks at the batch, so sentences alone are weighted uniformly: near, not equal.
        assert together == pytest.approx(np.mean(alone), rel=0.2)
    else:
        assert together == pytest.approx(np.mean(alone), abs=1e-3)


@pytest.mark.parametrize(
    ("foreign", "english"),
    [
        (["ndege"], ["a bird"]),
        (["ndege", "mbwa nyekundu ona paka"], ["the red dog sees a cat", "bird"]),
        (["ndege", "ndege"], ["bird", "bird"]),
    ],
)
def test_gradients_are_finite_whatever_the_lengths(loss_of, loss, foreign, english):
    loss_of(loss, foreign, english).backward()
    assert gradients(loss)
    assert all(gradient.isfinite().all() for gradient in gradients(loss))
    assert all(np.isfinite(value) for value in loss.statistics.values())


def test_a_few_steps_reduce_the_loss(loss_of, loss):
    optimizer = torch.optim.AdamW(loss.parameters(), lr=2e-3)
    values = []
    for _ in range(12):
        value = loss_of(loss, FOREIGN, ENGLISH)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        values.append(value.item())
    assert values[-1] < 0.8 * values[0]


def test_statistics_add_up(loss_of, loss):
    value = loss_of(loss, FOREIGN, ENGLISH).item()
    pooled = loss.pooled_weight * loss.statistics.get("pooled", 0)
    assert loss.statistics["transport"] + pooled == pytest.approx(value)
    balanced = loss.solver["plan"] not in ("unbalanced", "dustbin")
    assert 0 < loss.statistics["moved_mass"] <= 1 + 1e-3
    assert (loss.statistics["moved_mass"] > 0.999) == balanced


def test_pooled_term_is_the_pooled_loss(loss_of, stranger, teacher):
    values = [
        loss_of(make(stranger, teacher), FOREIGN, ENGLISH).item()
        for make in (
            TransportLoss,
            PooledLoss,
            lambda s, t: TransportLoss(s, t, pooled_weight=3.0),
        )
    ]
    assert values[2] == pytest.approx(values[0] + 3 * values[1], abs=1e-4)


@pytest.mark.parametrize("plan", ["unbalanced", "dustbin"])
def test_less_is_moved_between_sentences_that_do_not_match(loss_of, student, teacher, plan):
    """The student is the teacher, so a sentence matches itself."""
    loss, moved = TransportLoss(student, teacher, plan=plan, dustbin_cost=0.05), []
    for english in (ENGLISH, ENGLISH[1:] + ENGLISH[:1]):
        loss_of(loss, ENGLISH, english)
        moved.append(loss.statistics["moved_mass"])
    assert moved[1] < 0.9 * moved[0]


def test_idf_weights_make_common_words_cheap(loss_of, stranger, teacher):
    loss = TransportLoss(stranger, teacher, plan="exact", token_weights="idf")
    loss.prepare([*BITEXT, *[BitextPair("na", "the")] * 10_000])
    of_all = loss_of(loss, ["na paka"], ["the cat"]).item()
    foreign, english = encode_queries(stranger, ["na paka"]), encode_queries(teacher, ["the cat"])
    assert of_all == pytest.approx(1 - float(foreign[0][1] @ english[0][1]), abs=1e-2)


def test_idf_weights_without_a_bitext_are_refused(loss_of, student, teacher):
    loss = TransportLoss(student, teacher, token_weights="idf")
    with pytest.raises(ValueError, match=r"call prepare\(bitext\) first"):
        loss_of(loss, FOREIGN, ENGLISH)


@pytest.mark.parametrize(
    ("name", "kind"),
    [("transport", TransportLoss), ("greedy", GreedyLoss), ("pooled", PooledLoss)],
)
def test_settings_choose_the_loss(student, teacher, name, kind):
    settings = DistillationSettings(loss=name, score_weight=0.3, temperature=0.2)
    loss = make_loss(student, teacher, settings)
    assert type(loss) is kind
    assert (loss.score_weight, loss.temperature) == (0.3, 0.2)


def test_settings_reach_the_transport_loss(loss_of, student, teacher):
    settings = DistillationSettings(
        plan="dustbin", dustbin_cost=1e-3, token_weights="importance", pooled_weight=2.0
    )
    loss = make_loss(student, teacher, settings)
    loss_of(loss, FOREIGN, ENGLISH)
    expected = {
        "plan": "dustbin",
        "epsilon": settings.epsilon,
        "max_iter": settings.sinkhorn_iterations,
        "marginal_relaxation": settings.marginal_relaxation,
        "dustbin_cost": 1e-3,
    }
    assert loss.solver == expected
    assert (loss.token_weights, loss.pooled_weight) == ("importance", 2.0)
