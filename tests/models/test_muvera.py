"""Fixed-dimensional encodings: their definition, spelt out in loops, and their laws."""

import numpy as np
import pytest

from optical_ir.errors import ConfigError
from optical_ir.models import maxsim_scores
from optical_ir.models.muvera import Muvera, MuveraSettings

PLANES = [0.7519388, -0.1538134, 1.0740414]
SIGNS = [1.0, -1.0, -1.0, -1.0, 1.0, 1.0]
SMALL = MuveraSettings(repetitions=3, bits=2, projection=4)


def unit_rows(rng, n, dim):
    vectors = rng.standard_normal((n, dim)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def texts(seed, count=6, dim=8):
    rng = np.random.default_rng(seed)
    return [unit_rows(rng, rng.integers(1, 9), dim) for _ in range(count)]


def encoding_by_definition(muvera, tokens, *, is_document):
    """Section 2.1 of the paper, cell by cell, before the vector is made a unit vector."""
    settings, parts = muvera.settings, []
    for planes, signs in zip(muvera.planes, muvera.signs, strict=True):
        codes = [tuple(float(plane @ token) > 0 for plane in planes) for token in tokens]
        for cell in range(2**settings.bits):
            code = tuple(bool(cell >> bit & 1) for bit in range(settings.bits))
            inside = [token for token, own in zip(tokens, codes, strict=True) if own == code]
            if is_document and not inside:
                distances = [sum(a != b for a, b in zip(own, code, strict=True)) for own in codes]
                inside = [tokens[int(np.argmin(distances))]]
            total = sum(inside, np.zeros(tokens.shape[1]))
            parts.append(signs @ (total / len(inside) if is_document else total))
    return np.concatenate(parts)


@pytest.mark.parametrize("is_document", [True, False])
def test_encodings_are_those_of_the_definition(is_document):
    muvera = Muvera(SMALL, 8)
    pool = muvera.pool_documents if is_document else muvera.pool_queries
    for tokens, found in zip(texts(0), pool(texts(0)), strict=True):
        expected = encoding_by_definition(muvera, tokens, is_document=is_document)
        assert found == pytest.approx(expected / np.linalg.norm(expected), abs=1e-5)


def test_shape_and_type():
    vectors = Muvera(SMALL, 8).pool_documents(texts(1))
    assert vectors.shape == (6, SMALL.dim) == (6, 3 * 4 * 4)
    assert vectors.dtype == np.float32
    assert vectors.flags.c_contiguous


def test_order_of_tokens_does_not_matter():
    muvera, tokens = Muvera(SMALL, 8), unit_rows(np.random.default_rng(2), 7, 8)
    shuffled = tokens[np.random.default_rng(3).permutation(7)]
    queries = muvera.pool_queries([tokens, shuffled])
    assert queries[0] == pytest.approx(queries[1], abs=1e-6)


def test_text_without_tokens_gets_the_zero_vector():
    nothing = np.empty((0, 8), np.float32)
    assert not Muvera(SMALL, 8).pool_queries([nothing]).any()
    assert not Muvera(SMALL, 8).pool_documents([nothing]).any()


def test_without_cells_and_one_token_each_it_estimates_the_cosine():
    query, document = unit_rows(np.random.default_rng(4), 2, 16)[:, None, :]
    muvera = Muvera(MuveraSettings(repetitions=400, bits=0, projection=16), 16)
    estimate = float(muvera.pool_queries([query])[0] @ muvera.pool_documents([document])[0])
    assert estimate == pytest.approx(float(query[0] @ document[0]), abs=0.05)


@pytest.mark.parametrize("seed", [0, 1])
def test_more_dimensions_rank_more_like_maxsim(seed):
    rng = np.random.default_rng(seed)
    topics = unit_rows(rng, 40, 32)
    documents = [topics[rng.choice(40, 6)] + 0.1 * unit_rows(rng, 6, 32) for _ in range(200)]
    queries = [documents[number][:3] + 0.1 * unit_rows(rng, 3, 32) for number in range(30)]
    exact = maxsim_scores(queries, documents)

    def agreement(**settings: int):
        muvera = Muvera(MuveraSettings(**settings), 32)
        scores = muvera.pool_queries(queries) @ muvera.pool_documents(documents).T
        return np.mean([np.corrcoef(*pair)[0, 1] for pair in zip(scores, exact, strict=True)])

    few, many = agreement(repetitions=2, bits=1, projection=2), agreement(repetitions=20, bits=4)
    assert few + 0.2 < many
    assert many > 0.6


def test_same_seed_gives_the_same_numbers_everywhere():
    muvera = Muvera(SMALL, 8)
    # Computed once; a change would make every stored index useless.
    assert muvera.planes.ravel()[:3] == pytest.approx(PLANES, abs=1e-6)
    assert np.sign(muvera.signs.ravel()[:6]).tolist() == SIGNS
    other = Muvera(MuveraSettings(repetitions=3, bits=2, projection=4, seed=1), 8)
    assert not np.allclose(other.planes, muvera.planes)


@pytest.mark.parametrize(
    ("name", "value"), [("repetitions", 0), ("projection", 0), ("bits", 13), ("bits", -1)]
)
def test_impossible_settings_are_refused(name, value):
    with pytest.raises(ConfigError, match=rf"{name}: expected .* found {value}"):
        MuveraSettings(**{name: value})
