"""Reported runs and judgements: their facts, and reading them with a check of all promised.

`run.KEY.SYSTEM.trec.gz`, or `.trec`, is judged by `qrels.KEY.txt`. Where they come from stands
beside them, in `run.KEY.SYSTEM.trec.json` and `qrels.KEY.txt.json`.
"""

import json
import math
import re
from collections.abc import Container, Iterator, Mapping, Sequence
from ctypes import c_float
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from optical_ir.errors import ConfigError, DataError
from optical_ir.evaluation.measures import mean_values
from optical_ir.files import iter_lines, sha256_text
from optical_ir.records import Qrel
from optical_ir.signatures import check_signature
from optical_ir.trec import Run, read_qrels, read_run

RUN_NAME = re.compile(r"run\.(.+)\.([^.]+)\.trec(?:\.gz)?")
"""Key and system in the name of a run."""

_CREATED = re.compile(r"\d{4}-\d\d-\d\dT.+")
_TOLERANCE = 0.5e-4 + 1e-9
_RESTORE = "Restore the files as they were written together."


class ReportedRun(NamedTuple):
    """A run, what its file name says, and the means over all judged queries that it tells."""

    path: Path
    key: str
    system: str
    rows: Run
    means: Mapping[str, float]


class _Row(NamedTuple):
    where: str
    query_id: str
    rank: str
    score: float
    tag: str


def is_same_value(reported: float, recomputed: float) -> bool:
    """Whether two values are the same in four decimals, whichever way a tie is rounded."""
    return abs(reported - recomputed) <= _TOLERANCE


def describe_qrels(path: Path) -> dict[str, Any]:
    """Facts of judgements for their provenance: counts and SHA-256."""
    qrels = read_qrels(path)
    return {
        "n_queries": len({qrel.query_id for qrel in qrels}),
        "n_qrels": len(qrels),
        "sha256": sha256_text(path),
    }


def describe_run(path: Path, judged: Path, *, measures: Sequence[str]) -> dict[str, Any]:
    """Facts of a run for its provenance: means over all judged queries, and what they are of.

    Parameters
    ----------
    path, judged : path
        The run and its judgements.
    measures : sequence of str
        See `evaluate`; may be empty.
    """
    rows = read_run(path, may_be_empty=True)
    return _describe_rows(path, rows, judged, read_qrels(judged), measures)


def _describe_rows(
    path: Path, rows: Run, judged: Path, qrels: Sequence[Qrel], measures: Sequence[str]
) -> dict[str, Any]:
    return {
        "n_queries": len({qrel.query_id for qrel in qrels}),
        "measures": mean_values(qrels, rows, measures=measures) if measures else {},
        "qrels_sha256": sha256_text(judged),
        "sha256": sha256_text(path),
    }


def qrels_path(folder: Path, key: str) -> Path:
    """Place of the judgements of a key."""
    return folder / f"qrels.{key}.txt"


def read_reported_qrels(folder: Path) -> dict[str, list[Qrel]]:
    """Read all judgements of a folder by key, checking them against their provenance.

    Raises
    ------
    DataError
        If a file is malformed, its provenance is missing, or the two disagree.
    """
    judgements = {}
    for path in sorted(folder.glob(qrels_path(folder, "*").name)):
        qrels = read_qrels(path)
        provenance = path.with_name(path.name + ".json")
        content = read_provenance(provenance, path)
        _check_facts(provenance, content, describe_qrels(path))
        judgements[path.name.removeprefix("qrels.").removesuffix(".txt")] = qrels
    return judgements


def read_reported_run(
    path: Path, judgements: Mapping[str, Sequence[Qrel]], qrels_folder: Path
) -> ReportedRun:
    """Read a run, checking it against its name, its judgements and its provenance.

    Raises
    ------
    DataError
        If the name has no key or system, the key has no judgements, ranks are not 1, 2, ...,
        scores do not decrease strictly, a tag is not the system, a query is not judged or a
        document is there twice; if the provenance is missing or disagrees with anything of this.
    """
    name = RUN_NAME.fullmatch(path.name)
    if not name:
        raise DataError(
            f"{path}: expected a name as run.KEY.SYSTEM.trec.gz, found {path.name!r}. Rename it."
        )
    key, system = name.groups()
    judged = qrels_path(qrels_folder, key)
    if key not in judgements:
        raise DataError(
            f"{path}: expected its judgements in {judged}, found none. Add them, or remove the run."
        )
    rows = read_run(path, may_be_empty=True)
    _check_rows(path, system, {qrel.query_id for qrel in judgements[key]})
    means = _check_run_provenance(path, system, rows, judged, judgements[key])
    return ReportedRun(path, key, system, rows, means)


def _iter_rows(path: Path) -> Iterator[_Row]:
    for number, line in iter_lines(path, may_be_empty=True):
        query_id, _, _, rank, score, tag = line.split()
        # In single precision, in which trec_eval ranks.
        yield _Row(f"{path}, line {number}", query_id, rank, c_float(float(score)).value, tag)


def _check_rows(path: Path, system: str, judged: Container[str]) -> None:
    """Check what `read_run`, which was here before, leaves open."""
    seen = set()
    for query_id, rows in groupby(_iter_rows(path), key=lambda row: row.query_id):
        last = math.inf
        for rank, row in enumerate(rows, start=1):
            if query_id not in judged:
                raise DataError(f"{row.where}: expected a judged query, found {query_id!r}.")
            if query_id in seen:
                raise DataError(
                    f"{row.where}: expected the rows of query {query_id!r} in one block, found two."
                )
            if row.rank != str(rank):
                raise DataError(f"{row.where}: expected rank {rank}, found {row.rank!r}.")
            if row.score >= last:
                raise DataError(
                    f"{row.where}: expected a score below {last:.6f}, that of the rank before, "
                    f"found {row.score:.6f}."
                )
            if row.tag != system:
                raise DataError(f"{row.where}: expected the tag {system!r}, found {row.tag!r}.")
            last = row.score
        seen.add(query_id)


def read_provenance(path: Path, output: Path) -> dict[str, Any]:
    """Read the provenance of an output.

    Raises
    ------
    DataError
        If it is missing or no JSON object, or lacks its command, time or versions.
    """
    if not path.is_file():
        raise DataError(
            f"{output}: expected its provenance in {path}, found none. Copy the file that was "
            "written with it."
        )
    try:
        content = json.loads(path.read_text("utf-8"))
    except ValueError as err:
        raise DataError(f"{path}: expected JSON, found something else ({err}).") from err
    if not isinstance(content, dict):
        raise DataError(f"{path}: expected a JSON object, found {type(content).__name__}.")
    missing = [name for name in ("command", "created", "versions") if not content.get(name)]
    if missing:
        raise DataError(
            f"{path}: expected command, created and versions, found no {', '.join(missing)}. Copy "
            "the file that was written with the output."
        )
    if not _CREATED.fullmatch(str(content["created"])):
        raise DataError(
            f"{path}: expected a time such as 2026-11-23T02:20:30+00:00 in 'created', found "
            f"{content['created']!r}."
        )
    return content


def _check_run_provenance(
    run: Path, system: str, rows: Run, judged: Path, qrels: Sequence[Qrel]
) -> dict[str, float]:
    """Check the origin of a run against it; give the means that it tells, recomputed."""
    path = run.with_name(run.name.removesuffix(".gz") + ".json")
    content = read_provenance(path, run)
    check_signature(content, path)
    settings, measures = content.get("settings"), content.pop("measures", {})
    found = settings.get("system") if isinstance(settings, dict) else None
    if found != system:
        raise DataError(
            f"{path}: expected system {system!r} in the settings, found {found!r}. Copy the file "
            "that was written with the run."
        )
    if not isinstance(measures, dict):
        raise DataError(f"{path}: expected means by measure in 'measures', found {measures!r}.")
    try:
        facts = _describe_rows(run, rows, judged, qrels, list(measures))
    except ConfigError as err:
        raise DataError(f"{path}: {err}") from err
    means: dict[str, float] = facts.pop("measures")
    _check_facts(path, content, facts)
    for measure, value in means.items():
        found = measures[measure]
        if not isinstance(found, int | float) or not is_same_value(found, value):
            raise DataError(
                f"{path}: {measure}: found {found!r}, recomputed {value:.4f}. {_RESTORE}"
            )
    return means


def _check_facts(path: Path, content: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
    for name, value in facts.items():
        if content.get(name, value) != value:
            raise DataError(
                f"{path}: {name}: found {content[name]!r}, recomputed {value!r}. {_RESTORE}"
            )
