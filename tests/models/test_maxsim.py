"""MaxSim against three nested loops."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from optical_ir.models import maxsim_scores


def token_sets(generator, lengths, dim=5):
    return [generator.normal(size=(length, dim)).astype(np.float32) for length in lengths]


def naive(query, document):
    if not len(query):
        return 0.0
    if not len(document):
        return -np.inf
    total = 0.0
    for q in query:
        best = -np.inf
        for d in document:
            best = max(best, float(np.dot(q.astype(float), d.astype(float))))
        total += best
    return total


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**31),
    st.lists(st.integers(0, 4), min_size=1, max_size=6),
    st.lists(st.integers(0, 4), max_size=6),
)
def test_scores_equal_three_nested_loops(seed, query_lengths, doc_lengths):
    generator = np.random.default_rng(seed)
    queries, documents = (token_sets(generator, n) for n in (query_lengths, doc_lengths))
    scores = maxsim_scores(queries, documents)
    assert scores.dtype == np.float32
    assert scores.shape == (len(queries), len(documents))
    for row, query in zip(scores, queries, strict=True):
        np.testing.assert_allclose(row, [naive(query, d) for d in documents], atol=1e-4)


def test_no_queries_give_no_rows():
    assert maxsim_scores([], token_sets(np.random.default_rng(0), [2, 3])).shape == (0, 2)


def test_negative_similarities_are_not_taken_for_0():
    query, document = np.float32([[1, 0]]), np.float32([[-1, 0], [-0.5, 0]])
    assert maxsim_scores([query], [document]).tolist() == [[-0.5]]
