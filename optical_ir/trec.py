"""The three TREC-style files: topics (TSV), qrels and runs, read strictly and written exactly.

Both `collections` and `evaluation` read them, so they stand below both. Runs are written with
strictly decreasing scores, ties broken by doc id in trec_eval's order, so that every evaluation
tool ranks them alike; trec_eval holds scores in single precision, so all of this is judged there.
"""

import logging
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from ctypes import c_float
from pathlib import Path

from optical_ir.errors import DataError
from optical_ir.files import iter_lines, write_file
from optical_ir.records import Qrel, Query, ScoredDoc

logger = logging.getLogger(__name__)

Run = Mapping[str, Sequence[ScoredDoc]]
"""Rows of each query by query id, best first."""

_SCORE_STEP = 1e-6
_LONGEST_NUMBER = 4300

_INTEGER = re.compile(r"[+-]?[0-9]{1,9}")
"""What trec_eval reads as one, too: Python's `int` takes `1_0` and digits of other scripts."""

_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")


def read_topics(path: Path | str) -> list[Query]:
    """Read the queries of a TSV file with lines `query_id TAB query`, in file order.

    Raises
    ------
    DataError
        For a line without exactly two fields, an empty field, an id with white space, or an id
        seen before.
    """
    queries: dict[str, Query] = {}
    for number, line in iter_lines(path):
        fields = line.split("\t")
        if len(fields) != 2:
            raise DataError(
                f"{path}, line {number}: expected 2 tab-separated fields 'query_id query', "
                f"found {len(fields)}."
            )
        query_id, text = (field.strip() for field in fields)
        if not query_id or not text or len(query_id.split()) != 1:
            raise DataError(
                f"{path}, line {number}: expected an id without white space and a query that is "
                f"not empty, found {query_id!r} and {text!r}."
            )
        if query_id in queries:
            raise DataError(
                f"{path}, line {number}: query id {query_id!r} is used twice. "
                "Give every query its own id."
            )
        queries[query_id] = Query(query_id, text)
    return list(queries.values())


def write_topics(path: Path | str, queries: Iterable[Query], *, overwrite: bool = False) -> None:
    """Write queries as `query_id TAB query`; white space inside a query becomes one blank.

    Ids that Pyserini would change when it reads the file are counted in a warning.

    Raises
    ------
    DataError
        If an id is empty or has white space, or a query is blank.
    """
    queries = list(queries)
    changed = [query.query_id for query in queries if changed_by_pyserini(query.query_id)]
    if changed:
        logger.warning(
            "%s: Pyserini reads digits as numbers and would change %d query ids, as %r to %r; its "
            "runs would match no judgements. Rename them if you search with Pyserini.",
            *(path, len(changed), changed[0], _read_by_pyserini(changed[0])),
        )
    with write_file(path, overwrite=overwrite) as stream:
        for query in queries:
            _check_words(path, query.query_id)
            if not query.text.strip():
                raise DataError(f"{path}: query {query.query_id!r} is blank. Leave it out.")
            stream.write(f"{query.query_id}\t{' '.join(query.text.split())}\n")


def changed_by_pyserini(query_id: str) -> bool:
    """Whether Pyserini's topic readers turn an id into another one, as `001` into `1`.

    Ids of digits become integers, those with a sign too if all ids of a file are like that.
    """
    return _read_by_pyserini(query_id) != query_id


def _read_by_pyserini(query_id: str) -> str:
    # Python refuses longer numbers, and so Pyserini leaves them as they are.
    is_number = re.fullmatch(r"[+-]?\d+", query_id) and len(query_id) <= _LONGEST_NUMBER
    return str(int(query_id)) if is_number else query_id


def read_qrels(path: Path | str) -> list[Qrel]:
    """Judgements of a TREC qrels file, four columns `query_id 0 doc_id relevance`.

    Raises
    ------
    DataError
        For a wrong number of columns, a relevance that is no integer of nine digits at most, or
        a pair judged twice.
    """
    qrels: dict[tuple[str, str], Qrel] = {}
    for number, line in iter_lines(path):
        fields = line.split()
        if len(fields) != 4:
            raise DataError(
                f"{path}, line {number}: expected 4 fields 'query_id 0 doc_id relevance', "
                f"found {len(fields)}."
            )
        query_id, _, doc_id, relevance = fields
        if not _INTEGER.fullmatch(relevance):
            raise DataError(
                f"{path}, line {number}: expected an integer relevance, found {relevance!r}. "
                "Write it in digits, nine at most."
            )
        qrel = Qrel(query_id, doc_id, int(relevance))
        if (query_id, doc_id) in qrels:
            raise DataError(
                f"{path}, line {number}: query {query_id!r} and document {doc_id!r} are judged "
                "twice. Keep one of the lines."
            )
        qrels[query_id, doc_id] = qrel
    return list(qrels.values())


def write_qrels(path: Path | str, qrels: Iterable[Qrel], *, overwrite: bool = False) -> None:
    """Write judgements as TREC qrels.

    Raises
    ------
    DataError
        If an id is empty or has white space.
    """
    with write_file(path, overwrite=overwrite) as stream:
        for qrel in qrels:
            _check_words(path, qrel.query_id, qrel.doc_id)
            stream.write(f"{qrel.query_id} 0 {qrel.doc_id} {qrel.relevance}\n")


def _check_words(path: Path | str, *words: str) -> None:
    for word in words:
        if word.split() != [word]:
            raise DataError(f"{path}: expected ids and tags without white space, found {word!r}.")


def read_run(path: Path | str, *, may_be_empty: bool = False) -> dict[str, list[ScoredDoc]]:
    """Rows of a TREC run by query, ordered as trec_eval orders them.

    Like trec_eval this ignores the rank column: score descending, then doc id descending. With
    `may_be_empty` a run without any row is fine: BM25 on another script may find nothing at all.

    Raises
    ------
    DataError
        For a wrong number of columns, a score that is no finite number, or a document that a
        query has twice.
    """
    rows: dict[str, dict[str, ScoredDoc]] = {}
    for number, line in iter_lines(path, may_be_empty=may_be_empty):
        fields = line.split()
        if len(fields) != 6:
            raise DataError(
                f"{path}, line {number}: expected 6 fields 'query_id Q0 doc_id rank score tag', "
                f"found {len(fields)}."
            )
        query_id, _, doc_id, _, score, _ = fields
        query_rows = rows.setdefault(query_id, {})
        if doc_id in query_rows:
            raise DataError(
                f"{path}, line {number}: query {query_id!r} has document {doc_id!r} twice. "
                "Keep the row with the higher score."
            )
        query_rows[doc_id] = ScoredDoc(query_id, doc_id, _finite(path, number, score))
    return {query_id: rank_docs(query_rows.values()) for query_id, query_rows in rows.items()}


def _finite(path: Path | str, number: int, text: str) -> float:
    score = float(text) if _NUMBER.fullmatch(text) else math.nan
    if not _is_finite(score):
        raise DataError(f"{path}, line {number}: expected a finite score, found {text!r}.")
    return score


def _is_finite(score: float) -> bool:
    """Whether a score is a number in single precision, where 1e39 is infinite."""
    return math.isfinite(c_float(score).value)


def rank_docs(rows: Iterable[ScoredDoc]) -> list[ScoredDoc]:
    """Order rows as trec_eval does: score in single precision, then doc id, both descending."""
    return sorted(rows, key=lambda row: (c_float(row.score).value, row.doc_id), reverse=True)


def write_run(path: Path | str, run: Run, *, tag: str, overwrite: bool = False) -> None:
    """Write a TREC run: ranks from 1, strictly decreasing scores with six decimals.

    A score that would not fall below its predecessor's is lowered under it, by 1e-6 or as much
    as single precision tells apart; the order is that of `rank_docs`.

    Raises
    ------
    DataError
        If a score is not finite, a query has a document twice, or an id or the tag is empty or
        has white space.
    """
    _check_words(path, tag)
    with write_file(path, overwrite=overwrite) as stream:
        for query_id, rows in run.items():
            last = math.inf
            _check_rows(path, query_id, rows)
            for rank, row in enumerate(rank_docs(rows), start=1):
                last = min(round(row.score, 6), round(last - _step_below(last), 6))
                stream.write(f"{query_id} Q0 {row.doc_id} {rank} {last:.6f} {tag}\n")


def _check_rows(path: Path | str, query_id: str, rows: Iterable[ScoredDoc]) -> None:
    seen = set()
    for _, doc_id, score in rows:
        _check_words(path, query_id, doc_id)
        if not _is_finite(score):
            raise DataError(
                f"{path}: expected a finite score for query {query_id!r}, document {doc_id!r}, "
                f"found {score!r}."
            )
        if doc_id in seen:
            raise DataError(
                f"{path}: query {query_id!r} has document {doc_id!r} twice. "
                "Keep the row with the higher score."
            )
        seen.add(doc_id)


def _step_below(score: float) -> float:
    """Difference that survives six decimals and single precision."""
    spacing = 2.0 ** (math.frexp(score)[1] - 24)
    return _SCORE_STEP if spacing < _SCORE_STEP else spacing + _SCORE_STEP
