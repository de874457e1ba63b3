"""The loaded systems: what answers a query, and what says why.

Everything here computes, in the worker that calls it; nothing here knows of HTTP.
"""

import logging
import threading
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from sentence_transformers import MultiVectorEncoder

from optical_ir.errors import DataError
from optical_ir.glosses import TranslationProbabilities, add_gloss
from optical_ir.matches import Explanation, indexed_tokens, match_tokens, stored_vectors
from optical_ir.models import encode_queries
from optical_ir.models.tokens import Token, scored_tokens
from optical_ir.records import Doc, Query, ScoredDoc
from optical_ir.retrieval.index import MultiVectorIndex
from optical_ir.retrieval.search import score_exactly, search_index
from optical_ir.serving.passages import PassageStore
from optical_ir.serving.refusals import Refusal
from optical_ir.serving.settings import BM25, STUDENT, ZERO_SHOT
from optical_ir.serving.sharing import lock_tokenizer
from optical_ir.serving.translations import Translations
from optical_ir.words import WORD

if TYPE_CHECKING:
    from optical_ir.retrieval.bm25 import Bm25Index

logger = logging.getLogger(__name__)

_REMEMBERED = 1000
"""Documents whose tokens are kept; their texts are checked against the index once each."""

_REMEMBERED_WORDS = 50_000


@dataclass(frozen=True)
class Answer:
    """What a system finds.

    Attributes
    ----------
    hits : sequence of ScoredDoc
        Best first.
    translation : str or None
        What BM25 was asked.
    """

    hits: Sequence[ScoredDoc]
    translation: str | None = None


class Systems:
    """All systems of a service, ready to answer.

    Parameters
    ----------
    index : MultiVectorIndex
    students : mapping of str to MultiVectorEncoder
        By language.
    passages : PassageStore
    lexicons : mapping of str to TranslationProbabilities
        By language; its student reads queries with their glosses.
    teacher : MultiVectorEncoder, optional
        Answers zero-shot, and reads documents to explain what was found.
    bm25 : Bm25Index, optional
    translations : Translations
    """

    def __init__(
        self,
        index: MultiVectorIndex,
        students: Mapping[str, MultiVectorEncoder],
        passages: PassageStore,
        *,
        lexicons: Mapping[str, TranslationProbabilities],
        teacher: MultiVectorEncoder | None,
        bm25: "Bm25Index | None",
        translations: Translations,
    ) -> None:
        self.index, self.passages = index, passages
        self._students, self._teacher = dict(students), teacher
        self._lexicons = dict(lexicons)
        self._bm25, self._translations = bm25, translations
        self._bm25_lock, self._search_lock = threading.Lock(), threading.Lock()
        self._tokenizer_lock, self._is_parallel = threading.Lock(), False
        # Languages may share an encoder, and locking it twice would lock it for good.
        encoders = {id(one): one for one in (*self._students.values(), teacher) if one is not None}
        for encoder in encoders.values():
            lock_tokenizer(encoder, self._tokenizer_lock)
        self._rows = {doc_id: row for row, doc_id in enumerate(index.doc_ids)}
        self._tokens = lru_cache(_REMEMBERED)(self._read_tokens)
        self._stem = lru_cache(_REMEMBERED_WORDS)(self._analyze)

    @property
    def explains(self) -> bool:
        """Whether there is a teacher to read documents with."""
        return self._teacher is not None

    def search(self, system: str, query: str, lang: str, *, k: int) -> Answer:
        """Rank the passages for a query.

        Raises
        ------
        Refusal
            If the system is not there, the query is longer than its encoder reads, or it has no
            translation.
        """
        if system == BM25:
            return self._search_words(query, lang, k)
        encoder = self._encoder(system, lang)
        self._check_length(encoder, query)
        record = Query("query", self._as_read(system, query, lang))
        vectors = encode_queries(encoder, [record.text])
        with self._search_turn():
            return Answer(search_index(self.index, [record], vectors, k=k)["query"])

    def explain(
        self, system: str, query: str, lang: str, doc_ids: Sequence[str]
    ) -> list[Explanation]:
        """Take apart the scores that a query gives some documents, best first.

        Of a student that reads glosses the query is the one with its gloss.

        Raises
        ------
        Refusal
            If the system is not there or has no tokens to match, the query is too long or has
            none, or a document is unknown or has none.
        """
        if system == BM25:
            raise Refusal("invalid", f"{BM25} matches words, not tokens; ask for another system")
        if self._teacher is None:
            raise Refusal("invalid", "this service has no teacher to explain with")
        encoder = self._encoder(system, lang)
        self._check_length(encoder, query)
        query = self._as_read(system, query, lang)
        tokens = scored_tokens(encoder, query)
        if not tokens:
            raise Refusal("invalid", "expected a query with words, found none")
        rows = self._find_rows(doc_ids)
        (vectors,) = encode_queries(encoder, [query])
        with self._search_turn():
            ranked = score_exactly(self.index, Query("query", query), vectors, rows)
        texts = self.passages.texts(doc_ids)
        found = []
        for _, doc_id, score in ranked:
            row = self._rows[doc_id]
            pair = tokens, self._tokens(doc_id)
            stored = stored_vectors(self.index, row)
            matches = match_tokens((query, texts[doc_id]), pair, (vectors, stored))
            found.append(Explanation(doc_id, score, matches))
        return found

    def word_places(self, translation: str, text: str) -> list[tuple[int, int]]:
        """Places of the words of a text that BM25 takes for words of a translation."""
        asked = {self._stem(word[0]) for word in WORD.finditer(translation)} - {""}
        return [word.span() for word in WORD.finditer(text) if self._stem(word[0]) in asked]

    def warm_up(self) -> None:
        """Ask each system once, so that no request waits for what the first one sets up."""
        import numba

        for lang in self._students:
            self.search(STUDENT, "optical", lang, k=1)
        if self._teacher:
            found = self.search(ZERO_SHOT, "optical", next(iter(self._students)), k=1)
            self.explain(ZERO_SHOT, "optical", "", [hit.doc_id for hit in found.hits])
        if self._bm25:
            self._bm25.search([Query("query", "optical")], k=1)
        self._is_parallel = numba.threading_layer() != "workqueue"

    def _search_turn(self) -> AbstractContextManager[object]:
        # The last of numba's ways to run in threads ends the process if two threads use it.
        return nullcontext() if self._is_parallel else self._search_lock

    def close(self) -> None:
        """Close the files."""
        self.passages.close()
        if self._bm25:
            self._bm25.close()

    def _encoder(self, system: str, lang: str) -> MultiVectorEncoder:
        if system == STUDENT:
            return self._students[lang]
        if system == ZERO_SHOT and self._teacher is not None:
            return self._teacher
        raise Refusal("invalid", f"this service has no system {system}")

    def _as_read(self, system: str, query: str, lang: str) -> str:
        """Give the query as its encoder reads it, with its gloss or without."""
        lexicon = self._lexicons.get(lang) if system == STUDENT else None
        return query if lexicon is None else add_gloss(query, lexicon)

    def _check_length(self, encoder: MultiVectorEncoder, query: str) -> None:
        prompt = encoder.prompts.get("query") or ""
        longest = getattr(encoder[0], "query_length", None)
        backend = getattr(encoder.tokenizer, "backend_tokenizer", None)
        if longest is None or backend is None:
            return
        with self._tokenizer_lock:
            ids = encoder.tokenizer(prompt + query, truncation=False, verbose=False).input_ids
        found = len(ids)
        if found > longest:
            raise Refusal(
                "invalid",
                f"expected a query of at most {longest} tokens, found {found}. Shorten it.",
            )

    def _search_words(self, query: str, lang: str, k: int) -> Answer:
        if self._bm25 is None:
            raise Refusal("invalid", "this service has no BM25 index")
        translation = self._translations.translate(query, lang)
        if translation is None:
            raise Refusal("invalid", "this question has no known translation, and no model is set")
        with self._bm25_lock:
            run = self._bm25.search([Query("query", translation)], k=k)
        return Answer(run["query"], translation)

    def _analyze(self, word: str) -> str:
        """Stem of a word as BM25 has it, empty for a stop word."""
        with self._bm25_lock:
            return " ".join(self._bm25.analyze(word)) if self._bm25 else ""

    def _find_rows(self, doc_ids: Sequence[str]) -> npt.NDArray[np.int64]:
        rows = []
        for doc_id in dict.fromkeys(doc_ids):
            row = self._rows.get(doc_id)
            if row is None:
                raise Refusal("invalid", f"there is no document {doc_id!r}")
            if self.index.offsets[row] == self.index.offsets[row + 1]:
                raise Refusal("invalid", f"document {doc_id!r} has no words that could match")
            rows.append(row)
        return np.array(rows, np.int64)

    def _read_tokens(self, doc_id: str) -> list[Token]:
        assert self._teacher is not None
        doc = Doc(doc_id, self.passages.texts([doc_id])[doc_id])
        try:
            return indexed_tokens(self.index, self._teacher, doc, self._rows[doc_id])
        except DataError as err:
            # The rest is for whoever runs the service, and names its folders.
            logger.error("%s", err)
            message = f"the text of document {doc_id!r} is not what was indexed"
            raise Refusal("invalid", message) from err
