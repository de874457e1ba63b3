"""The files of a report: runs with what is known of them, their judgements, training logs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from optical_ir.errors import ConfigError, DataError
from optical_ir.evaluation.reported import RUN_NAME, qrels_path, read_provenance
from optical_ir.files import iter_lines, sha256_text
from optical_ir.records import Qrel
from optical_ir.reporting.settings import ReportInputs
from optical_ir.trec import Run, read_qrels, read_run

_SUFFIXES = (".trec", ".trec.gz")
_CLOCKS = ("seconds", "cpu_seconds")


class RunFile(NamedTuple):
    """A run, and what its name and its provenance say.

    Attributes
    ----------
    key : str
        Names the judgements; where the file's name has none, that of the qrels file.
    collection, topics : str
        The two parts of the key, if the provenance tells them; else the key and "".
    n_asked : int or None
        Queries that were asked, None if nobody tells.
    origin : dict or None
        The provenance; None if there is none beside the run.
    sha256 : str
        Of the text of the run.
    """

    path: Path
    key: str
    collection: str
    topics: str
    system: str
    rows: Run
    n_asked: int | None
    origin: Mapping[str, Any] | None
    sha256: str


def read_runs(inputs: ReportInputs) -> list[RunFile]:
    """Read the runs of a report with their provenance, the chosen systems in their order.

    Raises
    ------
    ConfigError
        If there are no runs, or a chosen system has none.
    DataError
        If a run is malformed, there are two of a system for one key, or a provenance is damaged
        or belongs to another run.
    """
    one_file = inputs.qrels is not None and inputs.qrels.is_file()
    runs: dict[tuple[str, str], RunFile] = {}
    paths = [path for given in inputs.runs for path in _find_runs(given)]
    for path in _chosen(paths, inputs.systems):
        run = _read_run(path, inputs.qrels if one_file else None)
        known = runs.setdefault((run.key, run.system), run)
        if known is not run:
            raise DataError(
                f"{path}: expected one run of {run.system!r} for {run.key!r}, found {known.path} "
                "too. Leave one out."
            )
    return list(runs.values())


def read_judgements(inputs: ReportInputs, runs: Sequence[RunFile]) -> dict[str, list[Qrel]]:
    """Read the judgements by key of the runs.

    Raises
    ------
    ConfigError
        If the judgements of a run are not found.
    DataError
        If a file is malformed.
    """
    judged: dict[str, Path] = {}
    for run in runs:
        if inputs.qrels is not None and not inputs.qrels.is_dir():
            path = inputs.qrels
        else:
            path = qrels_path(inputs.qrels or run.path.absolute().parent.parent / "qrels", run.key)
        if not path.is_file():
            raise ConfigError(
                f"{run.path}: expected its judgements in {path}, found none. Name a qrels file, "
                "or the folder of qrels.KEY.txt, with --qrels."
            )
        if judged.setdefault(run.key, path) != path:
            raise ConfigError(
                f"{run.path}: expected one file of judgements for {run.key!r}, found "
                f"{judged[run.key]} and {path}. Choose one with --qrels."
            )
    read: dict[Path, list[Qrel]] = {}
    return {
        key: read[path] if path in read else read.setdefault(path, read_qrels(path))
        for key, path in judged.items()
    }


def read_logs(inputs: ReportInputs) -> dict[str, list[dict[str, Any]]]:
    """Read training logs by the name of the student's folder.

    Students of a `reproduce` output folder among the runs are read too.

    Raises
    ------
    ConfigError
        If a folder has no log, or two have the same name.
    DataError
        If a log is damaged.
    """
    found = [
        log.parent for given in inputs.runs for log in sorted(given.glob("students/*/log.jsonl"))
    ]
    logs: dict[str, list[dict[str, Any]]] = {}
    for folder in dict.fromkeys([*inputs.students, *found]):
        name = folder.resolve().name
        if name in logs:
            raise ConfigError(f"{folder}: a student {name!r} is there already. Rename one.")
        if not (folder / "log.jsonl").is_file():
            raise ConfigError(
                f"{folder}: expected log.jsonl of a training in it, found none. Check the path."
            )
        path = folder / "log.jsonl"
        logs[name] = [_read_row(path, number, line) for number, line in iter_lines(path)]
    return logs


def _read_row(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except ValueError as err:
        raise DataError(f"{path}, line {number}: expected JSON, found {line[:60]!r}.") from err
    clocks = [row.get(name, 0) for name in _CLOCKS] if isinstance(row, dict) else []
    if not clocks or not all(isinstance(v, int | float) for v in (row.get("step"), *clocks)):
        raise DataError(
            f"{path}, line {number}: expected an object with the number of a step, found "
            f"{line[:60]!r}. Restore the log as it was written."
        )
    return dict(row)


def _find_runs(given: Path) -> list[Path]:
    if given.is_file():
        return [given]
    folder = given / "runs" if (given / "runs").is_dir() else given
    paths = sorted(path for path in folder.glob("*") if path.name.endswith(_SUFFIXES))
    if not paths:
        raise ConfigError(
            f"{given}: expected a run, or a folder of runs run.KEY.SYSTEM.trec.gz or .trec, found "
            "none. Check the path."
        )
    return paths


def _chosen(paths: Sequence[Path], systems: Sequence[str]) -> list[Path]:
    if not systems:
        return list(paths)
    by_system = {system: [p for p in paths if _split_name(p)[1] == system] for system in systems}
    lacking = [system for system, found in by_system.items() if not found]
    if lacking:
        known = ", ".join(dict.fromkeys(_split_name(path)[1] for path in paths))
        raise ConfigError(f"Expected runs of {', '.join(lacking)}, found runs of {known}.")
    return [path for found in by_system.values() for path in found]


def _split_name(path: Path) -> tuple[str, str]:
    """Key and system; of other names than those of reported runs no key and the whole stem."""
    named = RUN_NAME.fullmatch(path.name)
    if named:
        return named[1], named[2]
    return "", path.name.removesuffix(".gz").removesuffix(".trec").removeprefix("run.")


def _read_run(path: Path, qrels: Path | None) -> RunFile:
    key, system = _split_name(path)
    if not key:
        if qrels is None:
            raise ConfigError(
                f"{path}: expected a name as run.KEY.SYSTEM.trec, by which its judgements are "
                "found. Rename it, or name the file of its judgements with --qrels."
            )
        key = qrels.name.removesuffix(".txt").removeprefix("qrels.")
    sha256 = sha256_text(path) if path.is_file() else ""
    rows = read_run(path, may_be_empty=True)
    origin = _read_origin(path, sha256)
    settings = (origin or {}).get("settings")
    settings = settings if isinstance(settings, dict) else {}
    parts = settings.get("collection"), settings.get("topics")
    collection, topics = (str(part) for part in parts) if all(parts) else (key, "")
    n_asked = settings.get("queries")
    return RunFile(
        *(path, key, collection, topics, system, rows),
        n_asked if isinstance(n_asked, int) else None,
        origin,
        sha256,
    )


def _read_origin(run: Path, sha256: str) -> dict[str, Any] | None:
    path = run.with_name(run.name.removesuffix(".gz") + ".json")
    if not path.is_file():
        return None
    origin = read_provenance(path, run)
    if origin.get("sha256", sha256) != sha256:
        raise DataError(
            f"{path}: sha256: found {origin['sha256']!r}, recomputed {sha256!r} from {run}. "
            "Restore the files as they were written together."
        )
    return origin
