"""Token weights: they sum to 1, and say what their formulas say."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import normalize

from optical_ir.transport import (
    idf_weights,
    importance_weights,
    inverse_document_frequency,
    propagated_weights,
    uniform_weights,
)


def random_batch(seed, shape=(5, 7), dim=6):
    """Make unit vectors, masks with at least one scored token a row, and token ids."""
    generator = torch.Generator().manual_seed(seed)
    embeddings = normalize(torch.randn(*shape, dim, generator=generator), dim=-1)
    mask = torch.rand(shape, generator=generator) < 0.6
    mask[:, 0] = True
    return embeddings, mask, torch.randint(0, 20, shape, generator=generator)


def test_scored_tokens_share_the_weight_equally():
    mask = torch.tensor([[1, 1, 0, 1, 1], [0, 1, 0, 0, 0], [0, 0, 0, 0, 0]]).bool()
    expected = [[0.25, 0.25, 0, 0.25, 0.25], [0, 1, 0, 0, 0], [0, 0, 0, 0, 0]]
    assert uniform_weights(mask).tolist() == expected


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 4), st.integers(1, 5))
def test_weights_sum_to_1_over_the_scored_tokens(seed, n_sentences, n_tokens):
    embeddings, mask, token_ids = random_batch(seed, (n_sentences, n_tokens))
    others, other_mask, _ = random_batch(seed + 1, (n_sentences, n_tokens + 2))
    importance = importance_weights(others, other_mask)
    for weights, scored in (
        (uniform_weights(mask), mask),
        (idf_weights(token_ids, mask, inverse_document_frequency([token_ids], 20)), mask),
        (importance, other_mask),
        (propagated_weights(embeddings, mask, others, importance), mask),
    ):
        assert weights.dtype == torch.float32
        assert (weights[scored] > 0).all()
        assert (weights[~scored] == 0).all()
        torch.testing.assert_close(weights.sum(-1), torch.ones(n_sentences))


def test_idf_equals_a_count_by_hand_whatever_the_batches():
    sentences = [[3, 3, 5], [3, 4, 0], [5, 4, 3], [3, 6, 7]]
    frequency = np.array([sum(piece in set(s) for s in sentences) for piece in range(9)])
    expected = np.log(1 + (4 - frequency + 0.5) / (frequency + 0.5))
    ids = torch.tensor(sentences)
    for batches in ([ids], [ids[:1], ids[1:]], ids.split(1)):
        np.testing.assert_allclose(inverse_document_frequency(batches, 9), expected, rtol=1e-6)
    assert (expected > 0).all()


def test_idf_weights_are_in_proportion_to_the_idf():
    token_ids, mask = torch.tensor([[0, 1, 2, 2]]), torch.tensor([[True, True, True, False]])
    weights = idf_weights(token_ids, mask, torch.tensor([1.0, 2.0, 5.0]))
    torch.testing.assert_close(weights, torch.tensor([[0.125, 0.25, 0.625, 0.0]]))


def test_importance_equals_numpy():
    embeddings, mask, _ = random_batch(0)
    found = np.array(
        [
            [
                [(token @ other[scored].T).max() for other, scored in zip(*batch, strict=True)]
                for token in sentence
            ]
            for batch in [(embeddings.numpy(), mask.numpy())]
            for sentence in embeddings.numpy()
        ]
    )
    deviation = np.where(mask, found.std(-1), 0)
    expected = deviation / deviation.sum(-1, keepdims=True)
    np.testing.assert_allclose(importance_weights(embeddings, mask), expected, atol=1e-4)


def test_token_of_one_sentence_is_more_important_than_one_of_all():
    common, *rare = torch.eye(4)
    embeddings = torch.stack([torch.stack([common, own]) for own in rare])
    weights = importance_weights(embeddings, torch.ones(3, 2, dtype=torch.bool))
    assert (weights[:, 0] < 1e-4).all()


@pytest.mark.parametrize("n_sentences", [1, 3])
def test_importance_is_uniform_where_sentences_cannot_be_told_apart(n_sentences):
    embeddings, mask, _ = random_batch(1, (1, 7))
    embeddings, mask = embeddings.repeat(n_sentences, 1, 1), mask.repeat(n_sentences, 1)
    torch.testing.assert_close(importance_weights(embeddings, mask), uniform_weights(mask))


def test_uniform_weights_stay_uniform_when_propagated():
    source, mask, _ = random_batch(2)
    target, target_mask, _ = random_batch(3, (5, 9))
    weights = propagated_weights(source, mask, target, uniform_weights(target_mask))
    torch.testing.assert_close(weights, uniform_weights(mask))


def test_weights_are_handed_to_the_same_tokens_in_another_order():
    target, mask, _ = random_batch(4)
    given_weights = importance_weights(target, mask)
    source, source_mask = target.flip(1), mask.flip(1)
    weights = propagated_weights(source, source_mask, target, given_weights, temperature=1e-3)
    torch.testing.assert_close(weights, given_weights.flip(1), atol=1e-5, rtol=0)


def test_padding_changes_no_weight():
    embeddings, mask, _ = random_batch(5)
    others, other_mask, _ = random_batch(6, (5, 9))
    importance = importance_weights(others, other_mask)
    wide = torch.nn.functional.pad(others, (0, 0, 0, 3), value=9.0)
    wide_mask = torch.nn.functional.pad(other_mask, (0, 3))
    wide_importance = importance_weights(wide, wide_mask)
    torch.testing.assert_close(wide_importance[:, :9], importance)
    torch.testing.assert_close(
        propagated_weights(embeddings, mask, wide, wide_importance),
        propagated_weights(embeddings, mask, others, importance),
    )
