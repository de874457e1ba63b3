"""Retrieval on what is held out of training, which tells how far an encoder has come: RR@10."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt
import torch
from sentence_transformers import MultiVectorEncoder

from optical_ir.models.encoder import TokenVectors, encode_documents, encode_queries
from optical_ir.models.maxsim import maxsim_scores
from optical_ir.models.precision import has_fast_bfloat16
from optical_ir.records import BitextPair
from optical_ir.training.triples import Triples


class DevRetrieval:
    """Translation retrieval on held-out pairs: each foreign sentence seeks its English one.

    The English sentences are encoded once, by the teacher, as documents; the student encodes the
    foreign ones as queries. The measure is RR@10. It needs no judgements.
    """

    def __init__(self, teacher: MultiVectorEncoder, pairs: Sequence[BitextPair]) -> None:
        self.queries = [pair.source for pair in pairs]
        self.documents: list[TokenVectors] = encode_documents(
            teacher, [pair.target for pair in pairs]
        )

    def __call__(self, student: MultiVectorEncoder) -> float:
        """Mean RR@10 over the pairs, between 0 and 1."""
        with _evaluating(student):
            queries = encode_queries(student, self.queries)
        scores = maxsim_scores(queries, self.documents)
        return _mean_reciprocal_rank(scores, scores.diagonal())


class DevSearch:
    """Search for held-out queries in a sample of the documents.

    Each query is searched among the same documents; any document relevant to it counts. The
    measure is RR@10.
    """

    def __init__(self, dev: Triples, doc_ids: Sequence[str]) -> None:
        self.query_ids = sorted({row.query_id for row in dev.rows})
        self.queries = [dev.queries[query_id] for query_id in self.query_ids]
        self.documents = [dev.document(doc_id) for doc_id in doc_ids]
        pairs = {(row.query_id, row.positive) for row in dev.rows}
        self.relevant = np.array(
            [[(query_id, doc_id) in pairs for doc_id in doc_ids] for query_id in self.query_ids]
        )

    def __call__(self, encoder: MultiVectorEncoder) -> float:
        """Mean RR@10 over the queries, between 0 and 1."""
        with _evaluating(encoder):
            queries = encode_queries(encoder, self.queries)
            documents = encode_documents(encoder, self.documents)
        scores = maxsim_scores(queries, documents)
        return _mean_reciprocal_rank(scores, np.where(self.relevant, scores, -np.inf).max(1))


@contextmanager
def _evaluating(encoder: MultiVectorEncoder) -> Iterator[None]:
    """Let an encoder in training encode without dropout, in the precision it is trained in."""
    was_training = encoder.training
    fast = has_fast_bfloat16(encoder.device)
    encoder.eval()
    try:
        with torch.autocast(encoder.device.type, torch.bfloat16, enabled=fast):
            yield
    finally:
        encoder.train(was_training)


def _mean_reciprocal_rank(
    scores: npt.NDArray[np.float32], relevant: npt.NDArray[np.float32]
) -> float:
    """Mean RR@10 of queries, given the highest score of a relevant document for each."""
    ranks = (scores > relevant[:, None]).sum(1) + 1
    return float(np.where(ranks <= 10, 1 / ranks, 0).mean())
