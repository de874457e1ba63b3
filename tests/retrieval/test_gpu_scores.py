"""MaxSim on a device against brute force."""

import numpy as np
import pytest
import torch

from optical_ir.models.maxsim import maxsim_scores
from optical_ir.retrieval.gpu_scores import document_scores

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]


@pytest.mark.parametrize("device", DEVICES)
def test_scores_are_those_of_brute_force(device):
    generator = np.random.default_rng(0)
    lengths = np.array([3, 0, 5, 1, 0], np.int64)
    vectors = [generator.normal(size=(n, 8)).astype(np.float32) for n in (4, 0, 2)]
    docs = [generator.normal(size=(n, 8)).astype(np.float32) for n in lengths]
    tokens = torch.from_numpy(np.concatenate(docs))

    scores = document_scores(tokens, lengths, vectors, device=device)

    expected = np.where(lengths > 0, maxsim_scores(vectors, docs), 0)
    np.testing.assert_allclose(scores, expected, rtol=1e-5, atol=1e-5)
