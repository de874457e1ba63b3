"""Transport problems with uneven weights, some of them 0."""

import pytest
import torch
from torch.nn.functional import normalize

from optical_ir.transport import cosine_cost


@pytest.fixture(scope="session")
def uneven_problems():
    """Make costs of random unit vectors, and weights that differ; a third of them are 0."""

    def make(seed, n_problems=4, n_source=6, n_target=8):
        generator = torch.Generator().manual_seed(seed)
        sides, weights = [], []
        for n_tokens in (n_source, n_target):
            sides.append(torch.randn(n_problems, n_tokens, 6, generator=generator))
            uneven = torch.rand(n_problems, n_tokens, generator=generator)
            uneven = uneven.masked_fill(uneven < 0.3, 0)
            uneven[:, 0] = 0.5
            weights.append(uneven / uneven.sum(-1, keepdim=True))
        return cosine_cost(*(normalize(side, dim=-1) for side in sides)), *weights

    return make
