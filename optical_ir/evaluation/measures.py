"""Measures of a run against judgements, by ranx, under the names that ir_measures gives them.

Values equal those of `trec_eval -c` on the same data: linear gains in nDCG (Jarvelin and
Kekalainen 2002), judgements below 1 are not relevant, every judged query counts, and a judged
query that a run does not answer, or that has no relevant document, scores 0.
"""

from __future__ import annotations

import difflib
import logging
import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from optical_ir.errors import ConfigError, DataError
from optical_ir.records import Qrel, ScoredDoc
from optical_ir.threads import keep_torch_threads
from optical_ir.trec import Run, rank_docs

if TYPE_CHECKING:
    import pandas as pd

logger = logging.getLogger(__name__)

DEFAULT_MEASURES = ("nDCG@10", "AP", "RR@10", "R@100")
"""What a table shows unless told otherwise."""

_IR_MEASURES = {
    "nDCG": "ndcg",
    "AP": "map",
    "RR": "mrr",
    "P": "precision",
    "R": "recall",
    "Success": "hit_rate",
    "Rprec": "r-precision",
    "Bpref": "bpref",
}
_CUTOFF_NEEDED = {"P", "R", "Success"}
_CUTOFF_REFUSED = {"Rprec", "Bpref", "r-precision", "bpref"}
_RANX = {"dcg", "dcg_burges", "ndcg_burges", "f1", "hits", *_IR_MEASURES.values()}

_IR_MEASURES_NAME = re.compile(r"([A-Za-z]+)(?:\(rel=([1-9]\d*)\))?(?:@([1-9]\d*))?")
_RANX_NAME = re.compile(r"([a-z0-9_]+|r-precision)(@[1-9]\d*)?(?:-l[1-9]\d*)?")
_RANX_BPREF = re.compile(r"bpref(?:-l([1-9]\d*))?")
_RANX_RBP = re.compile(r"rbp\.\d+(?:-l[1-9]\d*)?")


def evaluate(
    qrels: Iterable[Qrel],
    run: Run,
    *,
    measures: Sequence[str] = DEFAULT_MEASURES,
    name: str = "run",
) -> pd.DataFrame:
    """Values of a run per query and measure.

    The first call on a machine compiles ranx's measures (10 to 30 seconds) into numba's cache.

    Parameters
    ----------
    qrels : iterable of Qrel
        Judgements; documents without one count as not relevant.
    run : mapping of str to sequence of ScoredDoc
        Rows by query id. They are ranked as `optical_ir.trec.rank_docs` ranks them.
    measures : sequence of str
        Names as ir_measures writes them: ``nDCG`` and ``nDCG@10``, ``AP``, ``RR``, ``P@5``,
        ``R@100``, ``Success@10``, ``Rprec``, ``Bpref``, and all but nDCG with a least relevance,
        as in ``RR(rel=2)@10``. ranx's own names (``f1@5``, ``ndcg_burges@10``, ``rbp.95``) are
        taken as they are.
    name : str
        What warnings and errors call the run.

    Returns
    -------
    DataFrame, shape (n_judged_queries, n_measures), float64
        Index `query_id` in the order of the judgements, one column per measure. The mean over
        rows is the value of the run.

    Raises
    ------
    ConfigError
        If a measure is unknown.
    DataError
        If there are no judgements or they contradict each other, if the run has rows but shares
        no query with them, or has a document twice or a score that is not finite.
    """
    import pandas as pd

    ranx_names = check_measures(measures)
    judgements = _judgements_by_query(qrels)
    answered = _answered_queries(judgements, run, name)
    values = _ranx_values(
        [judgements[query_id] for query_id in answered],
        [_checked_ranking(run[query_id], f"{name}, query {query_id!r}") for query_id in answered],
        list(ranx_names.values()),
    )
    frame = pd.DataFrame(
        {measure: values[ranx_name] for measure, ranx_name in ranx_names.items()},
        index=pd.Index(answered, name="query_id"),
    )
    return frame.reindex(pd.Index(list(judgements), name="query_id"), fill_value=0.0)


def mean_values(qrels: Iterable[Qrel], run: Run, *, measures: Sequence[str]) -> dict[str, float]:
    """Means of a run over all judged queries, by measure; see `evaluate`.

    A run may leave judged queries unanswered, which then count as 0 without a warning.
    """
    qrels = list(qrels)
    answers = {qrel.query_id: run.get(qrel.query_id, ()) for qrel in qrels}
    means = evaluate(qrels, answers, measures=measures).mean()
    return {str(measure): float(value) for measure, value in means.items()}


def check_measures(measures: Sequence[str]) -> dict[str, str]:
    """Names that ranx gives to measures; a `ConfigError` if one is unknown or there are none."""
    if not measures:
        raise ConfigError("Expected at least one measure, found none. Try nDCG@10.")
    return {measure: _ranx_name(measure) for measure in measures}


def _ranx_name(measure: str) -> str:
    """Name that ranx gives to a measure."""
    found = _IR_MEASURES_NAME.fullmatch(measure)
    if found and found[1] in _IR_MEASURES:
        name, level, cutoff = found.groups()
        if name in _CUTOFF_NEEDED and not cutoff:
            raise ConfigError(f"Measure {measure!r} needs a cut-off, for example {measure}@10.")
        if name in _CUTOFF_REFUSED and cutoff:
            raise ConfigError(f"Measure {measure!r} takes no cut-off. Use {name}.")
        if name == "nDCG" and level:
            raise ConfigError(f"Measure {measure!r}: nDCG uses all grades. Leave out rel={level}.")
        at_cutoff = f"@{cutoff}" if cutoff else ""
        return _IR_MEASURES[name] + at_cutoff + (f"-l{level}" if level else "")
    found = _RANX_NAME.fullmatch(measure)
    if found and found[1] in _CUTOFF_REFUSED and found[2]:
        raise ConfigError(f"Measure {measure!r} takes no cut-off. Use {found[1]}.")
    if (found and found[1] in _RANX) or _RANX_RBP.fullmatch(measure):
        return measure
    raise ConfigError(_unknown_measure(measure))


_TREC_EVAL_NAMES = {"ndcg_cut": "nDCG", "recall": "R", "P": "P", "success": "Success"}


def _unknown_measure(measure: str) -> str:
    trec_eval = re.fullmatch(r"([A-Za-z_]+)[._](\d+)", measure)
    if trec_eval and trec_eval[1] in _TREC_EVAL_NAMES:
        name = f"{_TREC_EVAL_NAMES[trec_eval[1]]}@{trec_eval[2]}"
        return f"Unknown measure {measure!r}. What trec_eval calls so is {name} here."
    if measure == "recip_rank":
        return f"Unknown measure {measure!r}. What trec_eval calls so is RR here."
    cutoff = re.search(r"@[1-9]\d*$", measure)
    base = measure[: cutoff.start()] if cutoff else measure
    by_lower = {name.lower(): name for name in [*_RANX, *_IR_MEASURES]}
    near = difflib.get_close_matches(base.lower(), by_lower, n=3, cutoff=0.5)
    names = [by_lower[name] + (cutoff[0] if cutoff else "") for name in near]
    hint = f"Did you mean {' or '.join(names)}?" if names else "Try nDCG@10, AP, RR@10 or R@100."
    return f"Unknown measure {measure!r}. {hint}"


def _judgements_by_query(qrels: Iterable[Qrel]) -> dict[str, dict[str, int]]:
    judgements: dict[str, dict[str, int]] = {}
    for query_id, doc_id, relevance in qrels:
        known = judgements.setdefault(query_id, {}).setdefault(doc_id, relevance)
        if known != relevance:
            raise DataError(
                f"Judgements contradict each other: query {query_id!r}, document {doc_id!r} has "
                f"relevance {known} and {relevance}. Keep one."
            )
    if not judgements:
        raise DataError("Expected at least one judgement, found none. Check the qrels.")
    return judgements


def _answered_queries(judgements: Mapping[str, object], run: Run, name: str) -> list[str]:
    """Judged queries that the run answers; the others are counted in the log."""
    answered = [query_id for query_id in judgements if run.get(query_id)]
    if not answered and any(run.values()):
        raise DataError(
            f"{name}: expected queries of the qrels, such as {_examples(judgements)}, found "
            f"{_examples(run)}. Check that both belong to the same collection and split."
        )
    missing = sum(query_id not in run for query_id in judgements)
    if missing:
        logger.warning(
            "%s: %d of %d judged queries are missing and score 0.", name, missing, len(judgements)
        )
    unjudged = sum(query_id not in judgements for query_id in run)
    if unjudged:
        logger.warning(
            "%s: %d of %d queries have no judgements and are left out.", name, unjudged, len(run)
        )
    return answered


def _examples(ids: Iterable[str]) -> str:
    return ", ".join(repr(query_id) for query_id, _ in zip(ids, range(3), strict=False)) or "none"


def _checked_ranking(rows: Sequence[ScoredDoc], where: str) -> list[ScoredDoc]:
    if len({row.doc_id for row in rows}) != len(rows):
        raise DataError(f"{where}: a document is there twice. Keep its best row.")
    if not np.isfinite([row.score for row in rows]).all():
        raise DataError(f"{where}: expected finite scores, found NaN or infinity.")
    return rank_docs(rows)


def _ranx_values(
    judgements: Sequence[Mapping[str, int]],
    rankings: Sequence[Sequence[ScoredDoc]],
    names: Sequence[str],
) -> dict[str, np.ndarray]:
    """Values by ranx name, each of shape (n_queries,).

    Documents go to ranx as numbers in numba lists, which its measures take as they are: its
    `Qrels` and `Run` would compile for another half minute and sort ties their own way.
    """
    from numba.core.errors import NumbaTypeSafetyWarning

    qrel_arrays, run_arrays = [], []
    for judged, ranking in zip(judgements, rankings, strict=True):
        best_first = sorted(judged.items(), key=lambda item: -item[1])
        numbers = {doc_id: number for number, (doc_id, _) in enumerate(best_first)}
        qrel_arrays.append(np.array([[numbers[doc], grade] for doc, grade in best_first], float))
        run_arrays.append(np.array([[numbers.get(row[1], -1), row[2]] for row in ranking], float))
    bprefs = {name: found for name in names if (found := _RANX_BPREF.fullmatch(name))}
    others = [name for name in names if name not in bprefs]
    with warnings.catch_warnings(), keep_torch_threads():
        warnings.simplefilter("ignore", NumbaTypeSafetyWarning)  # its loop counter, at compilation
        values = _ask_ranx(qrel_arrays, run_arrays, others)
        for name, found in bprefs.items():
            values[name] = _bpref(qrel_arrays, run_arrays, name, level=int(found[1] or 1))
    return values


def _bpref(
    qrels: Sequence[np.ndarray], runs: Sequence[np.ndarray], name: str, level: int
) -> np.ndarray:
    """Values of shape (n_queries,), as trec_eval has them where ranx divides by zero.

    ranx 0.3.21 raises or gives NaN, by chance, for a query without relevant documents (0 here)
    and for one without judged documents that are not (one is added, which no run finds). To
    trec_eval a negative grade is no judgement.
    """
    values = np.zeros(len(qrels))
    defined = [i for i, qrel in enumerate(qrels) if (qrel[:, 1] >= level).any()]
    unfound = [[max(map(len, qrels), default=0), 0]]
    judgements = []
    for i in defined:
        judged = qrels[i][qrels[i][:, 1] >= 0]
        all_relevant = (judged[:, 1] >= level).all()
        judgements.append(np.concatenate([judged, unfound]) if all_relevant else judged)
    values[defined] = _ask_ranx(judgements, [runs[i] for i in defined], [name])[name]
    return values


def _ask_ranx(
    qrels: Sequence[np.ndarray], runs: Sequence[np.ndarray], names: Sequence[str]
) -> dict[str, np.ndarray]:
    """Values by name, each of shape (n_queries,)."""
    if not qrels or not names:
        return {name: np.zeros(0) for name in names}
    import ranx
    from numba.typed import List

    typed = List(), List()
    for target, arrays in zip(typed, (qrels, runs), strict=True):
        for array in arrays:
            target.append(array)
    # ranx 0.3.21 has a KeyError for a single measure with a cut-off and no mean: ask twice
    values: dict[str, np.ndarray] = ranx.evaluate(*typed, [*names, names[0]], return_mean=False)
    return values
