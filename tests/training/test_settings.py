"""Settings refuse what no distillation could use."""

import dataclasses

import pytest

from optical_ir.errors import ConfigError
from optical_ir.training import DistillationSettings


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"epochs": 0}, r"epochs: expected more than 0, found 0"),
        ({"batch_size": -1}, r"batch_size: expected more than 0, found -1"),
        ({"learning_rate": float("nan")}, "learning_rate: expected more than 0, found nan"),
        ({"epsilon": -0.1}, r"epsilon: expected 0 or more, found -0\.1"),
        ({"dev_pairs": -1}, "dev_pairs: expected 0 or more"),
        ({"max_steps": 0}, "max_steps: expected 1 or more, found 0"),
        ({"loss": "ot"}, "loss: expected one of transport, greedy, pooled, found 'ot'"),
        ({"plan": "sliced"}, "plan: expected one of entropic, .*, dustbin, found 'sliced'"),
        ({"token_weights": "bm25"}, "token_weights: expected one of uniform, idf, importance"),
        ({"dustbin_cost": 0}, "dustbin_cost: expected more than 0, found 0"),
        ({"marginal_relaxation": -1}, "marginal_relaxation: expected more than 0, found -1"),
        ({"embedding_learning_rate": -1e-3}, "embedding_learning_rate: expected 0 or more"),
        ({"dropout": 1}, "dropout: expected 0 or more and less than 1, found 1"),
        ({"lora_rank": -1}, "lora_rank: expected 0 or more, found -1"),
        ({"lora_rank": 4, "lora_alpha": 0.0}, r"lora_alpha: expected more than 0, found 0\.0"),
        ({"lora_alpha": 8.0}, "lora_alpha: expected none without adapters"),
        ({"pooled_weight": -1}, "pooled_weight: expected 0 or more, found -1"),
        ({"plan": "proximal", "epsilon": 0}, "more than 0 for proximal plans, .* plan to exact"),
        ({"plan": "unbalanced", "epsilon": 0}, "more than 0 for unbalanced plans"),
        (
            {"token_weights": "importance", "batch_size": 1, "score_weight": 0},
            "Importance weights need batches of 2 pairs or more, found 1",
        ),
        ({"batch_size": 1}, "Score distillation needs batches of 2 pairs or more, found 1"),
    ],
)
def test_impossible_settings_are_refused(values, message):
    with pytest.raises(ConfigError, match=message):
        DistillationSettings(**values)


def test_settings_survive_their_dictionary():
    settings = DistillationSettings(epsilon=0, score_weight=0, batch_size=1, max_steps=3)
    assert DistillationSettings(**dataclasses.asdict(settings)) == settings


def test_word_embeddings_move_ten_times_as_fast_unless_told_otherwise():
    assert DistillationSettings(learning_rate=2e-5).rate_of_embeddings == pytest.approx(2e-4)
    assert DistillationSettings(embedding_learning_rate=5e-5).rate_of_embeddings == 5e-5
    assert DistillationSettings(embedding_learning_rate=0).rate_of_embeddings == 0
