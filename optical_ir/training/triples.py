"""Queries with a relevant document and hard negatives: what a teacher learns from.

Triples hold ids. Texts of documents are looked up batch by batch, so that a corpus of any size
stays where it is.
"""

import hashlib
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, NamedTuple

import torch
from datasets import Dataset
from sentence_transformers import MultiVectorEncoder
from sentence_transformers.multi_vector_encoder.data_collator import (
    MultiVectorEncoderDataCollator,
)
from sentence_transformers.util.similarity import mean_maxsim_pairwise
from torch import Tensor

from optical_ir.errors import DataError
from optical_ir.models.encoder import encode_documents, encode_queries
from optical_ir.records import Qrel
from optical_ir.trec import Run


class Triple(NamedTuple):
    """Ids of a query, a relevant document and documents that are not judged relevant."""

    query_id: str
    positive: str
    negatives: tuple[str, ...]


@dataclass(frozen=True)
class Triples:
    """Triples and the texts that their ids stand for.

    Attributes
    ----------
    rows : sequence of Triple
        All with the same number of negatives.
    queries : mapping
        Text by query id.
    document : callable
        Gives the text of a document id.
    """

    rows: Sequence[Triple]
    queries: Mapping[str, str]
    document: Callable[[str], str]

    @property
    def n_negatives(self) -> int:
        """Hard negatives of each row; a `DataError` if rows differ."""
        numbers = {len(row.negatives) for row in self.rows}
        if len(numbers) != 1:
            raise DataError(
                f"expected triples with the same number of negatives, found {sorted(numbers)}. "
                "Give each as many."
            )
        return numbers.pop()

    def digest(self) -> str:
        """SHA-256 of ids and queries."""
        digest = hashlib.sha256()
        for row in self.rows:
            ids = "\t".join((row.query_id, row.positive, *row.negatives))
            digest.update(f"{ids}\t{self.queries[row.query_id]}\n".encode())
        return digest.hexdigest()


def draw_triples(
    qrels: Iterable[Qrel],
    run: Run,
    doc_ids: Sequence[str],
    *,
    n_negatives: int,
    first_rank: int,
    last_rank: int,
    seed: int,
) -> list[Triple]:
    """Draw hard negatives for each judged pair from the ranks of a run.

    Documents judged relevant to the query are skipped. Where the ranks hold too few others, the
    rest are any documents. What is drawn depends on the seed and the pair, not on their order.

    Parameters
    ----------
    qrels : iterable of Qrel
        Pairs with relevance 0 are left out.
    run : mapping
        Ranked documents by query id; may lack queries, and may be empty.
    doc_ids : sequence of str
        All documents.
    first_rank, last_rank : int
        From 1, inclusive.

    Raises
    ------
    DataError
        If there are too few documents, or the judgements or the run name other ones.
    """
    pairs = [qrel for qrel in dict.fromkeys(qrels) if qrel.relevance > 0]
    positives: dict[str, set[str]] = {}
    for pair in pairs:
        positives.setdefault(pair.query_id, set()).add(pair.doc_id)
    known, triples = set(doc_ids), []
    for pair in pairs:
        relevant = positives[pair.query_id]
        if len(known) - len(relevant) < n_negatives:
            raise DataError(
                f"expected at least {n_negatives + len(relevant)} documents to draw negatives "
                f"from, found {len(known)}. Lower n_negatives."
            )
        ranked = [row.doc_id for row in run.get(pair.query_id, [])[first_rank - 1 : last_rank]]
        if unknown := {pair.doc_id, *ranked} - known:
            raise DataError(
                f"query {pair.query_id}: document {min(unknown)!r} is not in the collection. "
                "Check that judgements and run belong to it."
            )
        candidates = [doc_id for doc_id in ranked if doc_id not in relevant]
        generator = random.Random(f"{seed} {pair.query_id} {pair.doc_id}")
        drawn = generator.sample(candidates, min(n_negatives, len(candidates)))
        while len(drawn) < n_negatives:
            other = generator.choice(doc_ids)
            if other not in relevant and other not in drawn:
                drawn.append(other)
        triples.append(Triple(pair.query_id, pair.doc_id, tuple(drawn)))
    return triples


def split_triples(triples: Triples, n_queries: int) -> tuple[Triples, Triples]:
    """Split off the queries with the smallest hashes of their ids: (train, dev)."""
    ids = sorted({row.query_id for row in triples.rows}, key=_hash)
    dev = set(islice(ids, n_queries))
    train = [row for row in triples.rows if row.query_id not in dev]
    held_out = [row for row in triples.rows if row.query_id in dev]
    return replace(triples, rows=train), replace(triples, rows=held_out)


def dev_documents(train: Triples, dev: Triples, n_documents: int) -> list[str]:
    """Ids of the documents of `dev`, and up to `n_documents` in all with others of `train`."""
    own = {doc_id for row in dev.rows for doc_id in (row.positive, *row.negatives)}
    others = {doc_id for row in train.rows for doc_id in (row.positive, *row.negatives)} - own
    return sorted(own) + sorted(others, key=_hash)[: max(0, n_documents - len(own))]


def _hash(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()


def as_dataset(triples: Triples) -> Dataset:
    """Columns `query` (text), `positive`, `negative_1`, ... (ids) for the trainer."""
    columns: dict[str, list[str]] = {
        "query": [triples.queries[row.query_id] for row in triples.rows],
        "positive": [row.positive for row in triples.rows],
    }
    for number in range(triples.n_negatives):
        columns[f"negative_{number + 1}"] = [row.negatives[number] for row in triples.rows]
    return Dataset.from_dict(columns)


@dataclass
class TripleCollator(MultiVectorEncoderDataCollator):
    """Stock collator that looks the documents up; a scorer's scores become the labels."""

    document: Callable[[str], str] | None = None
    scorer: MultiVectorEncoder | None = None

    def __call__(self, features: list[dict[str, Any]]) -> dict[str, Any]:
        """Turn rows of `as_dataset` into model inputs by column."""
        if self.document is None:
            raise ValueError("TripleCollator needs a function that gives documents.")
        rows: list[dict[str, Any]] = [
            {
                column: value if column == "query" else self.document(value)
                for column, value in row.items()
            }
            for row in features
        ]
        batch: dict[str, Any] = super().__call__(rows)
        if self.scorer is not None:
            batch["label"] = score_rows(self.scorer, rows)
        return batch


def score_rows(scorer: MultiVectorEncoder, rows: Sequence[Mapping[str, str]]) -> Tensor:
    """Score each row's documents for its query by another encoder.

    Returns
    -------
    Tensor, shape (n_rows, n_documents), float32
        Means over the query's tokens of their maximal similarity.
    """
    names = [name for name in rows[0] if name != "query"]
    with torch.no_grad():
        queries = encode_queries(scorer, [row["query"] for row in rows])
        columns = [encode_documents(scorer, [row[name] for row in rows]) for name in names]
    scores = [mean_maxsim_pairwise(queries, column) for column in columns]
    return torch.stack(scores, dim=1).float().cpu()
