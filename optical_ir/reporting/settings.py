"""What a report is made of."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from optical_ir.evaluation import DEFAULT_MEASURES


@dataclass(frozen=True)
class ReportInputs:
    """Runs to report and what belongs to them.

    Attributes
    ----------
    runs : sequence of path
        Runs, folders of them, or output folders of `reproduce` with `runs/` in them.
    qrels : path, optional
        Folder of `qrels.KEY.txt`, or one file for all runs; `qrels/` beside the runs by default.
    systems : sequence of str
        Systems to report, in this order; all by default.
    baseline : str, optional
        System that the others are compared with; the first by default.
    measures : sequence of str
        See `optical_ir.evaluation.evaluate`. Pictures are of the first.
    collections : sequence of str
        Names of collections as `optical_ir.collections.load_collection` takes them, each of its
        own runs, or as ``NAME=COLLECTION`` of those of collection NAME. They give the documents
        and, where no topics are given, the queries.
    topics, translations : sequence of str
        Topics files, or ``KEY=FILE`` where ids are used under several keys.
    students : sequence of path
        Folders of trained encoders, each with `log.jsonl`.
    n_permutations, seed : int
        Of the randomisation test; the seed is the bootstrap's too.
    """

    runs: Sequence[Path]
    qrels: Path | None = None
    systems: Sequence[str] = ()
    baseline: str | None = None
    measures: Sequence[str] = DEFAULT_MEASURES
    collections: Sequence[str] = ()
    topics: Sequence[str] = ()
    translations: Sequence[str] = ()
    students: Sequence[Path] = ()
    n_permutations: int = 10_000
    seed: int = 42
