"""Reported figures against the runs and judgements that they come from, all recomputed."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from optical_ir.errors import DataError
from optical_ir.evaluation.marked_tables import MarkedTable, read_marked_tables
from optical_ir.evaluation.measures import mean_values
from optical_ir.evaluation.reported import (
    ReportedRun,
    is_same_value,
    read_reported_qrels,
    read_reported_run,
)
from optical_ir.records import Qrel

_LANGUAGE = "[a-z]{2,3}"


class Verified(NamedTuple):
    """How much was checked; `n_figures` are values in cells of tables."""

    n_runs: int
    n_qrels_files: int
    n_tables: int
    n_figures: int


def verify(
    runs: Path | str,
    *,
    qrels: Path | str | None = None,
    tables: Sequence[Path | str] | None = None,
) -> Verified:
    """Check runs, their judgements and all figures that Markdown files report of them.

    Parameters
    ----------
    runs : path
        Folder of `run.KEY.SYSTEM.trec.gz` or `.trec`, each with its provenance; see
        `read_reported_run`.
    qrels : path, optional
        Folder of `qrels.KEY.txt`, each with its provenance; `qrels` beside `runs` by default.
    tables : sequence of path, optional
        Markdown files; `README.md` and `docs/*.md` beside `runs` by default. Marked tables in
        them, see `read_marked_tables`, are recomputed.

    Raises
    ------
    DataError
        For the first run, judgement or figure that is not as it should be, or if there are no
        runs.
    """
    runs = Path(runs)
    # The parent of "." would be "." again.
    beside = runs.parent if runs.name not in ("", "..") else runs.resolve().parent
    qrels = beside / "qrels" if qrels is None else Path(qrels)
    if tables is None:
        readme = beside / "README.md"
        tables = [*([readme] if readme.is_file() else []), *sorted(beside.glob("docs/*.md"))]
    judgements = read_reported_qrels(qrels)
    reported = _read_runs(runs, judgements, qrels)
    marked = [table for path in tables for table in read_marked_tables(path)]
    n_figures = sum(_check_table(table, reported, judgements) for table in marked)
    return Verified(len(reported), len(judgements), len(marked), n_figures)


def _read_runs(
    folder: Path, judgements: Mapping[str, Sequence[Qrel]], qrels_folder: Path
) -> list[ReportedRun]:
    paths = sorted([*folder.glob("*.trec"), *folder.glob("*.trec.gz")])
    if not paths:
        raise DataError(
            f"{folder}: expected a folder of runs run.KEY.SYSTEM.trec.gz or .trec, found none. "
            "Check the path."
        )
    for path in paths:
        packed = path.with_name(path.name + ".gz")
        if packed in paths:
            raise DataError(f"{path}: expected one file a run, found {packed} too. Remove one.")
    return [read_reported_run(path, judgements, qrels_folder) for path in paths]


def _check_table(
    table: MarkedTable, runs: Sequence[ReportedRun], judgements: Mapping[str, Sequence[Qrel]]
) -> int:
    """Recompute a table; give the number of its figures."""
    for where, key, n_queries in table.counts:
        covered = _covered(where, key, table.coverage, runs, judgements)
        recomputed = len({qrel.query_id for qrel in covered})
        if n_queries != recomputed:
            raise DataError(
                f"{where}: queries under {key!r}: found {n_queries}, recomputed {recomputed}. "
                "Correct the number, or name the system whose queries the table covers."
            )
    for where, key, system, values in table.figures:
        covered = _covered(where, key, table.coverage, runs, judgements)
        run = _find_run(where, key, system, runs)
        means = run.means
        if table.coverage is not None or not means.keys() >= set(table.measures):
            means = mean_values(covered, run.rows, measures=table.measures)
        for measure, found in zip(table.measures, values, strict=True):
            if not is_same_value(found, means[measure]):
                raise DataError(
                    f"{where}: {system!r} under {key!r}: {measure}: found {found:.4f}, recomputed "
                    f"{means[measure]:.4f} from {run.path}. Correct the figure, or restore the run."
                )
    return sum(len(cell.values) for cell in table.figures)


def _covered(
    where: str,
    key: str,
    coverage: str | None,
    runs: Sequence[ReportedRun],
    judgements: Mapping[str, Sequence[Qrel]],
) -> Sequence[Qrel]:
    """Judgements that a table is about under a key."""
    if key not in judgements:
        raise DataError(
            f"{where}: expected a key of the judgements ({', '.join(judgements) or 'none'}), found "
            f"{key!r}. Correct the key, or add the judgements."
        )
    if coverage is None:
        return judgements[key]
    answered = _find_run(where, key, coverage, runs).rows
    return [qrel for qrel in judgements[key] if qrel.query_id in answered]


def _find_run(where: str, key: str, label: str, runs: Sequence[ReportedRun]) -> ReportedRun:
    """Give the run that a label means, in which LANG stands for a language code."""
    pattern = re.compile(re.escape(label).replace("LANG", _LANGUAGE))
    found = [run for run in runs if run.key == key and pattern.fullmatch(run.system)]
    if len(found) != 1:
        names = ", ".join(run.path.name for run in found) or "none"
        raise DataError(
            f"{where}: expected one run of {label!r} under {key!r}, found {names}. Correct the "
            "name, empty the cell, or add the run."
        )
    return found[0]
