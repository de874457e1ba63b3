"""How near machine translations of queries are to those by people: BLEU and chrF by sacreBLEU."""

import logging
from collections.abc import Sequence
from typing import NamedTuple

from optical_ir.errors import DataError, DependencyError
from optical_ir.records import Query

logger = logging.getLogger(__name__)


class TranslationScore(NamedTuple):
    """Score of a whole topics file, 0 to 100, with sacreBLEU's signature."""

    metric: str
    score: float
    signature: str


def score_translation(
    translated: Sequence[Query], *references: Sequence[Query]
) -> tuple[int, list[TranslationScore]]:
    """Score translated queries against one or more translations by people.

    Queries that only one side has are left out and counted in a warning.

    Parameters
    ----------
    translated : sequence of Query
    references : sequence of Query
        With the same ids; several are alternatives of each other.

    Returns
    -------
    int
        Number of queries scored.
    list of TranslationScore
        Corpus BLEU (Papineni et al. 2002, as by Post 2018) and chrF (Popovic 2015), in
        sacreBLEU's default settings, which the signatures tell.

    Raises
    ------
    DataError
        If no query is in all files.
    DependencyError
        If sacreBLEU is missing.
    """
    try:
        from sacrebleu.metrics import BLEU, CHRF
    except ImportError as err:
        raise DependencyError(
            "Scoring translations needs sacreBLEU. Run: pip install 'optical-ir[translate]'"
        ) from err
    found = {query.query_id: query.text for query in translated}
    known = [{query.query_id: query.text for query in reference} for reference in references]
    shared = [query_id for query_id in found if all(query_id in by_id for by_id in known)]
    if not shared or not known:
        raise DataError(
            "expected translated queries and references with the same ids, found none in all "
            f"of {1 + len(known)} files. Check that they are of one set of topics."
        )
    n_all = len(set(found).union(*known))
    if len(shared) < n_all:
        logger.warning(
            "%d of %d queries are not in all files and are left out.", n_all - len(shared), n_all
        )
    hypotheses = [found[query_id] for query_id in shared]
    parallel = [[by_id[query_id] for query_id in shared] for by_id in known]
    scores = []
    for name, metric in (("BLEU", BLEU()), ("chrF", CHRF())):
        score = metric.corpus_score(hypotheses, parallel).score
        scores.append(TranslationScore(name, score, str(metric.get_signature())))
    return len(shared), scores
