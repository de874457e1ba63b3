"""Fusing runs of several systems into one, by ranx: reciprocal ranks or weighted scores.

References
----------
Cormack, Clarke and Buettcher (2009), Reciprocal rank fusion, SIGIR.
Fox and Shaw (1994), Combination of multiple searches, TREC-2: sums of normalised scores.
"""

import logging
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

from optical_ir.errors import ConfigError, DataError
from optical_ir.records import Qrel, ScoredDoc
from optical_ir.threads import keep_torch_threads
from optical_ir.trec import Run, rank_docs

logger = logging.getLogger(__name__)

METHODS = ("rrf", "wsum")
NORMS = ("min-max", "sum")
"""Those of ranx that are right for queries that a run lacks and for scores below 0."""

_METRIC = "ndcg@10"
# In every run that ranx sees: it cannot hold a run without any document.
_FILLER: dict[str, dict[str, Any]] = {"": {"-" * 10: 0}}


@dataclass(frozen=True, kw_only=True)
class FusionSettings:
    """How runs are fused.

    Attributes
    ----------
    method : str
        ``rrf``, the sum of ``1 / (rrf_k + rank)``, or ``wsum``, the weighted sum of normalised
        scores.
    rrf_k : int
        Of ``rrf``: the larger, the less the first ranks count.
    norm : str
        Of ``wsum``, for each run and query: ``min-max`` (from 0 to 1) or ``sum`` (from 0, with
        sum 1), as ranx does them.
    weights : tuple of float or None
        Of ``wsum``, in the order of the runs; None for equal ones.
    """

    method: str = "rrf"
    rrf_k: int = 60
    norm: str = "min-max"
    weights: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        for name, choices in (("method", METHODS), ("norm", NORMS)):
            if getattr(self, name) not in choices:
                raise ConfigError(
                    f"{name}: expected one of {', '.join(choices)}, found {getattr(self, name)!r}."
                )
        if self.rrf_k < 0:
            raise ConfigError(f"rrf_k: expected 0 or more, found {self.rrf_k!r}.")
        if self.weights is not None and self.method != "wsum":
            raise ConfigError(f"Fusion by {self.method} takes no weights. Use wsum, or leave out.")
        if self.weights is not None and not (
            all(w >= 0 for w in self.weights) and any(self.weights)
        ):
            raise ConfigError(
                f"weights: expected none below 0 and one above, found {self.weights}."
            )


def fuse_runs(
    runs: Sequence[Run], settings: FusionSettings, *, k: int = 1000
) -> dict[str, list[ScoredDoc]]:
    """Fuse runs into one.

    A document that a run does not have for a query gets nothing from it, and a run that lacks a
    query takes no part in that query. Ranks are those of `optical_ir.trec.rank_docs`, before and
    after.

    Parameters
    ----------
    runs : sequence of mappings of str to sequence of ScoredDoc
        Two or more.
    k : int
        Documents kept of a query.

    Returns
    -------
    dict of list of ScoredDoc
        By query id in the order in which the runs first have them, best first.

    Raises
    ------
    ConfigError
        If there are less than two runs, or not as many weights as runs.
    """
    _check_number(runs, settings)
    query_ids = list(dict.fromkeys(chain.from_iterable(runs)))
    if not query_ids:
        return {}
    numbers = _number_docs(row.doc_id for row in _rows(runs))
    with _ranx_conditions():
        import ranx

        given = [_ranx_run(run, query_ids, numbers, settings) for run in runs]
        weights = settings.weights or (1 / len(runs),) * len(runs)
        parameters = {"rrf": {"k": settings.rrf_k}, "wsum": {"weights": weights}}
        fused = ranx.fuse(given, _norm(settings), settings.method, parameters[settings.method])
        names = list(numbers)
        return {
            query_id: rank_docs(
                ScoredDoc(query_id, names[int(number)], score)
                for number, score in fused.run[query_id].items()
            )[:k]
            for query_id in query_ids
        }


def tune_fusion(
    qrels: Iterable[Qrel], runs: Sequence[Run], settings: FusionSettings
) -> FusionSettings:
    """Choose the weights, or `rrf_k`, that give the highest nDCG@10 on judged runs.

    The runs must be of queries that are not reported on. The grid is ranx's: weights in steps of
    .1 that sum to 1, `rrf_k` from 10 to 100 in steps of 10; of equals the last.

    Parameters
    ----------
    qrels : iterable of Qrel
        Every judged query counts; those that no run answers as 0.
    runs : sequence of mappings
        In the order of the runs that are fused later.
    settings : FusionSettings
        The method and norm; its weights and `rrf_k` are replaced.

    Raises
    ------
    ConfigError
        If there are less than two runs.
    DataError
        If no run finds anything relevant.
    """
    settings = replace(settings, weights=None)
    _check_number(runs, settings)
    judged: dict[str, dict[str, int]] = {}
    for query_id, doc_id, relevance in qrels:
        judged.setdefault(query_id, {})[doc_id] = relevance
    if not any(judged.get(row.query_id, {}).get(row.doc_id, 0) > 0 for row in _rows(runs)):
        raise DataError(
            "Tuning: expected runs that find something relevant, found none. Check that runs and "
            "judgements belong to the same collection and split."
        )
    found = (row.doc_id for row in _rows(runs))
    numbers = _number_docs(chain(found, *judged.values()))
    with _ranx_conditions():
        import ranx

        best: dict[str, Any] = ranx.optimize_fusion(
            _ranx_qrels(judged, numbers),
            [_ranx_run(run, list(judged), numbers, settings) for run in runs],
            _norm(settings),
            settings.method,
            _METRIC,
            show_progress=False,
        )
    if settings.method == "rrf":
        tuned = replace(settings, rrf_k=int(best["k"]))
    else:
        tuned = replace(settings, weights=tuple(float(weight) for weight in best["weights"]))
    logger.info("Tuned on %d queries: %s.", len(judged), tuned)
    return tuned


def _check_number(runs: Sequence[Run], settings: FusionSettings) -> None:
    if len(runs) < 2:
        raise ConfigError(f"Fusion: expected two runs or more, found {len(runs)}. Give another.")
    if settings.weights is not None and len(settings.weights) != len(runs):
        raise ConfigError(
            f"Fusion: expected as many weights as runs, found {len(settings.weights)} and "
            f"{len(runs)}. Give one for each run, in their order."
        )


def _rows(runs: Iterable[Run]) -> Iterator[ScoredDoc]:
    return chain.from_iterable(rows for run in runs for rows in run.values())


def _number_docs(doc_ids: Iterable[str]) -> dict[str, str]:
    """Give each document a number of ten digits.

    For ids of another length ranx would compile everything anew, which takes a minute.
    """
    return {doc_id: f"{number:010d}" for number, doc_id in enumerate(dict.fromkeys(doc_ids))}


def _norm(settings: FusionSettings) -> str | None:
    return settings.norm if settings.method == "wsum" else None


def _ranx_run(
    run: Run, query_ids: Iterable[str], numbers: Mapping[str, str], settings: FusionSettings
) -> Any:
    import ranx

    scores: dict[str, dict[str, float]] = {**_FILLER}
    for query_id in query_ids:
        ranked = rank_docs(run.get(query_id, ()))
        # ranx sorts equal scores its own way, so where only ranks matter it gets them as scores.
        by_rank = settings.method == "rrf"
        scores[query_id] = {
            numbers[row.doc_id]: float(-rank) if by_rank else row.score
            for rank, row in enumerate(ranked)
        }
    return ranx.Run(scores)


def _ranx_qrels(judged: Mapping[str, Mapping[str, int]], numbers: Mapping[str, str]) -> Any:
    import ranx

    relevance = {
        query_id: {numbers[doc_id]: grade for doc_id, grade in docs.items()}
        for query_id, docs in judged.items()
    }
    return ranx.Qrels({**_FILLER, **relevance})


@contextmanager
def _ranx_conditions() -> Iterator[None]:
    from numba.core.errors import NumbaTypeSafetyWarning

    with warnings.catch_warnings(), keep_torch_threads():
        warnings.simplefilter("ignore", NumbaTypeSafetyWarning)  # its loop counters
        yield
