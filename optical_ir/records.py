"""The records that all stages exchange, named as ir_datasets and ir_measures name them."""

from typing import NamedTuple


class Doc(NamedTuple):
    """A unit of retrieval."""

    doc_id: str
    text: str


class Query(NamedTuple):
    """An information need and its identifier."""

    query_id: str
    text: str


class Qrel(NamedTuple):
    """A judged pair; `relevance` 0 is judged and not relevant."""

    query_id: str
    doc_id: str
    relevance: int


class DocPair(NamedTuple):
    """A document that is more relevant to a query (`positive`) than another (`negative`)."""

    query_id: str
    positive: str
    negative: str


class ScoredDoc(NamedTuple):
    """A row of a run; a higher score is better."""

    query_id: str
    doc_id: str
    score: float


class BitextPair(NamedTuple):
    """A sentence in the query language (`source`) and its translation (`target`, English)."""

    source: str
    target: str
