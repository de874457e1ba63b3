"""What the service answers in JSON; the OpenAPI description is made of these records."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from optical_ir.matches import Explanation
from optical_ir.serving.systems import Answer, Systems


@dataclass(frozen=True)
class Problem:
    """Why a request was not answered."""

    reason: str
    detail: str


@dataclass(frozen=True)
class Health:
    """Whether the models are loaded and warm."""

    status: Literal["ready", "not ready"]


@dataclass(frozen=True)
class Hit:
    """A passage that was found; a higher score is better."""

    rank: int
    doc_id: str
    score: float
    text: str


@dataclass(frozen=True)
class SearchReply:
    """The passages of a query, best first; `translation` is what BM25 was asked."""

    system: str
    lang: str
    translation: str | None
    hits: Sequence[Hit]


@dataclass(frozen=True)
class Match:
    """A query token and the document token that is most similar to it.

    Words are given with their places, start and end in characters; (-1, -1) if not of the text. The
    words of a gloss, where the service has a lexicon, have places behind the end of the query.
    """

    query_token: str
    query_word: str
    query_place: tuple[int, int]
    doc_token: str
    doc_word: str
    doc_place: tuple[int, int]
    similarity: float


@dataclass(frozen=True)
class ExplainedHit:
    """A passage's score, which the similarities of the matches add up to."""

    doc_id: str
    score: float
    matches: Sequence[Match]


@dataclass(frozen=True)
class ExplainReply:
    """The explained passages, best first."""

    system: str
    lang: str
    hits: Sequence[ExplainedHit]


def search_reply(systems: Systems, system: str, lang: str, answer: Answer) -> SearchReply:
    """Put texts to the ids that a system found."""
    texts = systems.passages.texts([hit.doc_id for hit in answer.hits])
    hits = [
        # BM25 may have been built on more documents than the passages; those have no text here.
        Hit(rank, hit.doc_id, hit.score, texts.get(hit.doc_id, ""))
        for rank, hit in enumerate(answer.hits, start=1)
    ]
    return SearchReply(system, lang, answer.translation, hits)


def explain_reply(system: str, lang: str, found: Sequence[Explanation]) -> ExplainReply:
    """Write explanations as the reply has them."""
    hits = [
        ExplainedHit(one.doc_id, one.score, [Match(**match._asdict()) for match in one.matches])
        for one in found
    ]
    return ExplainReply(system, lang, hits)
