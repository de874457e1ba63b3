"""Encoders that share weights give the same vectors, to the bit, as apart."""

import copy
import gc
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from optical_ir.models import encode_queries
from optical_ir.serving.sharing import ChangedEmbedding, lock_tokenizer, share_weights

TEXTS = ["paka mweusi na mbwa", "the red dog sees a cat", "q", "nyumba ndogo karibu na maji"]


def change(encoder, *, rows=(), everything=False):
    """Copy an encoder, with other word embeddings in some rows, or with all weights changed."""
    student = copy.deepcopy(encoder)
    with torch.no_grad():
        table = student[0].model.get_input_embeddings().weight
        for row in rows:
            table[row] += 0.5
        for weight in student.parameters() if everything else ():
            weight += 0.01
    return student


@pytest.mark.parametrize("rows", [(), (40, 41, 45), range(30, 60)])
def test_vectors_are_the_same_to_the_bit(tiny_encoder, rows):
    student = change(tiny_encoder, rows=rows)
    expected = encode_queries(student, TEXTS)
    table = student[0].model.get_input_embeddings().weight
    tokenizer = weakref.ref(student.tokenizer)
    saved = share_weights(student, tiny_encoder)
    for found, own in zip(encode_queries(student, TEXTS), expected, strict=True):
        np.testing.assert_array_equal(found, own)
    held = sum(w.nbytes for w in tiny_encoder.parameters())
    assert saved == held - (len(rows) and len(rows) * table[0].nbytes + 4 * len(table))
    assert student.tokenizer is tiny_encoder.tokenizer
    gc.collect()
    assert tokenizer() is None, "nothing holds the student's own"
    assert isinstance(student[0].model.get_input_embeddings(), ChangedEmbedding) is bool(rows)


def test_what_has_nothing_in_common_stays_apart(tiny_encoder):
    student = change(tiny_encoder, everything=True)
    expected = encode_queries(student, TEXTS)
    assert share_weights(student, tiny_encoder) == 0
    for found, own in zip(encode_queries(student, TEXTS), expected, strict=True):
        np.testing.assert_array_equal(found, own)


def test_the_base_is_not_changed(tiny_encoder):
    expected = encode_queries(tiny_encoder, TEXTS)
    share_weights(change(tiny_encoder, rows=[40]), tiny_encoder)
    for found, own in zip(encode_queries(tiny_encoder, TEXTS), expected, strict=True):
        np.testing.assert_array_equal(found, own)


def test_threads_that_share_a_tokenizer_give_what_one_thread_does(tiny_encoder):
    student = change(tiny_encoder, rows=[40, 45])
    share_weights(student, tiny_encoder)
    base = copy.copy(tiny_encoder)
    base[0].query_length, lock = 8, threading.Lock()
    try:
        encoders = [student, base]
        texts = [" ".join(TEXTS), *TEXTS]
        expected = [[encode_queries(one, [text])[0] for text in texts] for one in encoders]
        for encoder in encoders:
            lock_tokenizer(encoder, lock)
        jobs = [(one, text) for one in range(2) for text in range(len(texts))] * 20
        with ThreadPoolExecutor(4) as pool:
            found = list(
                pool.map(lambda job: encode_queries(encoders[job[0]], [texts[job[1]]])[0], jobs)
            )
    finally:
        base[0].query_length = 64
    for (one, text), vectors in zip(jobs, found, strict=True):
        # Threads of their own may have another number of cores, and other last digits.
        np.testing.assert_allclose(vectors, expected[one][text], rtol=0, atol=1e-6)
