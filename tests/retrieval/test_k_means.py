"""Means of vectors against brute force, and what must hold however the nearest is searched."""

import numpy as np
import pytest
import torch

from optical_ir.retrieval.k_means import NearestMeans, k_means, nearest_rows

DIM = 16


def draw(seed: int, n: int) -> torch.Tensor:
    """Make unit vectors around 60 centres, as token vectors lie."""
    generator = np.random.default_rng(seed)
    centres = np.random.default_rng(0).standard_normal((60, DIM))
    rows = centres[generator.integers(60, size=n)] + 0.6 * generator.standard_normal((n, DIM))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return torch.from_numpy(rows.astype(np.float32))


def squared_distances(vectors: torch.Tensor, means: torch.Tensor) -> torch.Tensor:
    """Subtract each mean, in float64."""
    return torch.stack([(vectors.double() - mean).square().sum(dim=1) for mean in means], dim=1)


@pytest.mark.parametrize("n_means", [1, 7, 2048])
def test_few_means_are_all_compared(n_means):
    vectors, means = draw(1, 300), draw(2, n_means)
    distances = squared_distances(vectors, means)
    found = NearestMeans(means).find(vectors)
    own = distances.gather(1, found[:, None])[:, 0]
    torch.testing.assert_close(own, distances.min(dim=1).values, atol=1e-6, rtol=0)


def test_of_many_means_one_near_the_nearest_is_found():
    vectors, means = draw(1, 3000), draw(2, 5000)
    found, nearest = NearestMeans(means).find(vectors), nearest_rows(vectors, means)
    assert (found == nearest).float().mean() > 0.9
    errors = [(vectors - means[rows]).square().sum(dim=1).mean() for rows in (found, nearest)]
    assert errors[0] < 1.02 * errors[1]


def test_every_mean_of_many_finds_itself():
    means = draw(2, 5000)
    assert NearestMeans(means).find(means).tolist() == list(range(5000))


def test_many_vectors_are_compared_part_by_part():
    means, vectors = draw(2, 2500), draw(1, (1 << 14) + 5)
    searched = NearestMeans(means)
    whole = searched.find(vectors)
    parts = torch.cat([searched.find(vectors[: 1 << 14]), searched.find(vectors[1 << 14 :])])
    assert whole.equal(parts)


def test_clusters_far_apart_are_found():
    centres = 10 * torch.eye(4)
    sample = centres.repeat_interleave(50, dim=0) + 0.1 * draw(3, 200)[:, :4]
    # This seed starts from a row of each cluster.
    generator = np.random.default_rng(0)
    means = k_means(sample, 4, 5, generator)
    expected = sample.view(4, 50, 4).mean(dim=1)
    torch.testing.assert_close(means[means.argmax(dim=1).argsort()], expected)
