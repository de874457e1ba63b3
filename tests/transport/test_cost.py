"""Costs against numpy."""

import numpy as np
import torch

from optical_ir.transport import cosine_cost


def test_cost_is_one_minus_the_inner_product():
    generator = np.random.default_rng(0)
    source, target = generator.normal(size=(2, 3, 5)), generator.normal(size=(2, 4, 5))
    source /= np.linalg.norm(source, axis=-1, keepdims=True)
    target /= np.linalg.norm(target, axis=-1, keepdims=True)
    cost = cosine_cost(torch.from_numpy(source), torch.from_numpy(target))
    assert cost.dtype == torch.float32
    np.testing.assert_allclose(cost, 1 - np.einsum("bid,bjd->bij", source, target), atol=1e-6)


def test_cost_of_a_vector_is_0_to_itself_and_2_to_its_opposite():
    vector = torch.tensor([[[0.6, 0.8]]])
    assert abs(cosine_cost(vector, vector).item()) < 1e-6
    assert abs(cosine_cost(vector, -vector).item() - 2) < 1e-6


def test_cost_takes_bfloat16_and_answers_in_float32():
    vector = torch.tensor([[[0.6, 0.8]]], dtype=torch.bfloat16)
    assert cosine_cost(vector, vector).dtype == torch.float32


def test_cost_is_differentiable_in_the_source():
    source = torch.tensor([[[0.6, 0.8]]], requires_grad=True)
    target = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])
    cosine_cost(source, target).sum().backward()
    assert source.grad.tolist() == [[[-1.0, -1.0]]]
