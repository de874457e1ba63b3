"""The report of an experiment: what got better and what did not, then every table behind it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from optical_ir.costs import measure_costs
from optical_ir.evaluation.significance import ALPHA
from optical_ir.evaluation.tables import (
    Cell,
    Table,
    format_difference,
    format_p_value,
    format_value,
    layout_latex,
    layout_markdown,
    layout_text,
)
from optical_ir.experiment import Experiment
from optical_ir.figures import draw_matrices, draw_sizes
from optical_ir.files import write_file
from optical_ir.matrix import ALL, MEAN, ColumnContrast, Matrix, evaluate_forms, make_matrices
from optical_ir.one_vector import run_one_vector
from optical_ir.pipeline import Pipeline
from optical_ir.systems import FUSION, GLOSSED, PSQ, TEACHER, ZERO_SHOT, run_systems

_HUMAN = f"{TEACHER}-human"


@dataclass(frozen=True)
class Report:
    """Tables and words of an experiment.

    Attributes
    ----------
    matrices : sequence of Matrix
        With tests; see `optical_ir.matrix.make_matrices`.
    one_vector : sequence of Matrix
        Systems of one vector a text. They approximate others and claim nothing: no tests.
    costs : dict of dict of float
        Columns by system.
    """

    experiment: Experiment
    matrices: Sequence[Matrix]
    one_vector: Sequence[Matrix] = ()
    costs: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def write(self, folder: Path) -> list[Path]:
        """Write `report.<name>` as Markdown, LaTeX, JSON, TSV and PNG; give the files.

        Where students differ in bitext size there is a second picture, `.sizes.png`.
        """
        texts = {
            "md": self.as_markdown(),
            "tex": self.as_latex(),
            "json": self.as_json(),
            "tsv": self.as_tsv(),
        }
        name = folder / f"report.{self.experiment.name}"
        files = [Path(f"{name}.{suffix}") for suffix in (*texts, "png")]
        for path, text in zip(files, texts.values(), strict=False):
            with write_file(path, overwrite=True) as stream:
                stream.write(text)
        whole = [matrix for matrix in self.matrices if matrix.queries == ALL]
        draw_matrices(whole, files[-1])
        plans = self.experiment.students.items()
        sizes = {system: plan.max_pairs for system, plan in plans if plan.max_pairs is not None}
        if len(sizes) > 1:
            files.append(Path(f"{name}.sizes.png"))
            draw_sizes(whole, sizes, files[-1], untrained=ZERO_SHOT)
        return files

    def as_text(self) -> str:
        """Render the tables over all queries for a terminal, and what they say."""
        parts = []
        for matrix in self.matrices:
            if matrix.queries == ALL:
                parts += [layout_text(_values_table(matrix, matrix.measures[0])), verdict(matrix)]
        return "\n\n".join(filter(None, [*parts, self.experiment.note])) + "\n"

    def as_markdown(self) -> str:
        """Render everything but the values of single queries."""
        parts = [f"# Experiment {self.experiment.name}", self.experiment.note]
        for matrix in self.matrices:
            parts += [f"## {_title(matrix)}", *map(layout_markdown, _tables(matrix))]
            parts += [verdict(matrix).replace("\n", "\n\n")]
            if matrix.queries == ALL:
                parts += [layout_markdown(table) for table in self._more_tables(matrix)]
        for matrix in self.one_vector:
            parts.append(f"## {matrix.collection}, one vector a text")
            tables = [_values_table(matrix, name, tested=False) for name in matrix.measures]
            parts += map(layout_markdown, tables)
        if self.costs:
            parts += ["## Costs", layout_markdown(_cost_table(self.costs))]
        return "\n\n".join(filter(None, parts)) + "\n"

    def as_latex(self) -> str:
        """Render the tables over all queries, on the first measure."""
        tables = [
            _values_table(matrix, matrix.measures[0])
            for matrix in self.matrices
            if matrix.queries == ALL
        ]
        return "\n\n".join(map(layout_latex, tables)) + "\n"

    def as_json(self) -> str:
        """Render everything, per-query values included."""
        content = {
            "name": self.experiment.name,
            "matrices": [_content(matrix) for matrix in self.matrices],
            "one_vector": [_content(matrix, tested=False) for matrix in self.one_vector],
            "costs": self.costs,
        }
        return json.dumps(content, indent=1, ensure_ascii=False) + "\n"

    def as_tsv(self) -> str:
        """One row for each query, system and measure."""
        lines = ["collection\tqueries\ttopics\tsystem\tquery_id\tmeasure\tvalue\n"]
        for matrix in (*self.matrices, *self.one_vector):
            for system, frames in matrix.values.items():
                for topics, frame in frames.items():
                    where = (matrix.collection, matrix.queries, topics, system)
                    for measure in matrix.measures:
                        for query_id, value in frame[measure].items():
                            cells = (*where, query_id, measure, value)
                            lines.append("\t".join(map(str, cells)) + "\n")
        return "".join(lines)

    def _more_tables(self, matrix: Matrix) -> list[Table]:
        systems = [*self.experiment.students, GLOSSED, f"{FUSION}-{PSQ}"]
        tables = [_gap_table(matrix, systems), _seed_table(matrix)]
        return [table for table in tables if table.rows]


def report_experiment(pipeline: Pipeline) -> Report:
    """Run what is missing of an experiment and report all of it."""
    runs, one_vector = run_systems(pipeline), run_one_vector(pipeline)
    experiment = pipeline.experiment
    qrels = {task.key: pipeline.qrels(task) for task in experiment.tasks}
    return Report(
        experiment,
        make_matrices(experiment, runs, qrels),
        evaluate_forms(experiment, one_vector, qrels),
        measure_costs(pipeline, runs),
    )


def verdict(matrix: Matrix) -> str:
    """Say in words where the baseline is better, worse or neither."""
    lines = []
    for system in matrix.systems:
        own = [contrast for contrast in matrix.contrasts.values() if contrast.system == system]
        parts = [
            ("better for", [c for c in own if c.is_significant and c.difference > 0]),
            ("worse for", [c for c in own if c.is_significant and c.difference < 0]),
            ("no significant difference for", [c for c in own if not c.is_significant]),
        ]
        said = "; ".join(f"{word} {', '.join(map(_change, cs))}" for word, cs in parts if cs)
        if said:
            lines.append(f"{matrix.baseline} against {system}: {said}.")
    return "\n".join(lines)


def _change(contrast: ColumnContrast) -> str:
    return f"{contrast.column} ({contrast.difference:+.3f})"


def _title(matrix: Matrix) -> str:
    if matrix.queries == ALL:
        return matrix.collection
    return f"{matrix.collection}, queries of {matrix.queries}"


def _tables(matrix: Matrix) -> list[Table]:
    values = [_values_table(matrix, measure) for measure in matrix.measures]
    return [*values, _contrast_table(matrix)] if matrix.contrasts else values


def _values_table(matrix: Matrix, measure: str, *, tested: bool = True) -> Table:
    """Systems by topics; with marks if the matrix is tested, and on this measure."""
    means = {
        system: [matrix.mean(system, column, measure) for column in matrix.columns]
        for system in matrix.systems
    }
    best = [
        max((format_value(value) for value in column if value is not None), default="")
        for column in zip(*means.values(), strict=True)
    ]
    tested = tested and measure == matrix.measures[0] and bool(matrix.contrasts)
    rows = []
    for system, values in means.items():
        cells = [Cell(system)]
        for column, value, highest in zip(matrix.columns, values, best, strict=True):
            contrast = matrix.contrasts.get((system, column)) if tested else None
            text = "" if value is None else format_value(value)
            is_best = len(means) > 1 and bool(text) and text == highest
            cells.append(Cell(text, _mark(contrast) if contrast else "", is_best))
        rows.append(tuple(cells))
    caption = f"{measure}, {_title(matrix)}: {_counts(matrix)} queries."
    if tested:
        caption += (
            f" Marked + (-): better (worse) than {matrix.baseline} with p below "
            f"{f'{ALPHA:g}'.removeprefix('0')} in the paired t test and in the paired "
            "randomisation test, each Holm-adjusted over the "
            f"{len(matrix.contrasts)} comparisons of this table."
        )
    if MEAN in matrix.columns:
        caption += " The mean is over the columns, its test over all their queries together."
    return Table(caption, ("System", *matrix.columns), tuple(rows))


def _counts(matrix: Matrix) -> str:
    frames = matrix.values[matrix.baseline]
    return ", ".join(str(len(frame)) for frame in frames.values())


def _mark(contrast: ColumnContrast) -> str:
    if not contrast.is_significant:
        return ""
    return "-" if contrast.difference > 0 else "+"


def _contrast_table(matrix: Matrix) -> Table:
    rows = []
    for contrast in matrix.contrasts.values():
        texts = [contrast.system, contrast.column, str(contrast.n_queries)]
        texts += [format_difference(contrast.difference)]
        texts += [format_p_value(contrast.p_student), format_p_value(contrast.p_randomisation)]
        rows.append(tuple(map(Cell, texts)))
    caption = (
        f"{matrix.baseline} minus each system, {matrix.measures[0]}: two-sided paired Student's t "
        "test (t) and paired randomisation test (r), each with Holm's correction over the "
        f"{len(rows)} comparisons of this table."
    )
    header = ("System", "Topics", "n", "Difference", "p (t)", "p (r)")
    return Table(caption, header, tuple(rows), n_labels=2)


def _gap_table(matrix: Matrix, systems: Sequence[str]) -> Table:
    """Tell what part of the way from zero-shot to human translations systems have gone."""
    measure = matrix.measures[0]
    columns = [
        column
        for column in matrix.columns
        if _HUMAN in matrix.values and matrix.mean(_HUMAN, column, measure) is not None
    ]
    rows = [
        (Cell(system), *(Cell(_gap_closed(matrix, system, column)) for column in columns))
        for system in systems
        if columns and system in matrix.values
    ]
    caption = (
        f"Per cent of the gap in {measure} closed between the teacher on the queries as they are "
        "(zero-shot) and the teacher on their human translations."
    )
    return Table(caption, ("System", *columns), tuple(rows))


def _gap_closed(matrix: Matrix, system: str, column: str) -> str:
    own, start, goal = (
        matrix.mean(name, column, matrix.measures[0]) for name in (system, ZERO_SHOT, _HUMAN)
    )
    if own is None or start is None or goal is None or goal <= start:
        return ""
    return f"{100 * (own - start) / (goal - start):.0f}"


def _seed_table(matrix: Matrix) -> Table:
    measure, rows = matrix.measures[0], []
    for name, repeats in matrix.repeats.items():
        if repeats and name in matrix.values:
            cells = [Cell(name), Cell(str(1 + len(repeats)))]
            for column in matrix.columns:
                values = [matrix.mean(system, column, measure) for system in (name, *repeats)]
                known = [value for value in values if value is not None]
                cells.append(Cell(_mean_and_spread(known)))
            rows.append(tuple(cells))
    caption = f"{measure}: mean over the seeds, and in brackets their standard deviation."
    return Table(caption, ("System", "Seeds", *matrix.columns), tuple(rows))


def _mean_and_spread(values: Sequence[float]) -> str:
    if not values:
        return ""
    mean, spread = float(np.mean(values)), float(np.std(values, ddof=1))
    return f"{format_value(mean)} ({format_value(spread)})"


def _cost_table(costs: Mapping[str, Mapping[str, float]]) -> Table:
    columns = list(dict.fromkeys(column for values in costs.values() for column in values))
    rows = [
        (
            Cell(system),
            *(Cell(f"{values[name]:,.1f}" if name in values else "") for name in columns),
        )
        for system, values in costs.items()
    ]
    caption = "What the systems cost on this machine."
    return Table(caption, ("System", *columns), tuple(rows))


def _content(matrix: Matrix, *, tested: bool = True) -> dict[str, object]:
    return {
        "collection": matrix.collection,
        "queries": matrix.queries,
        "baseline": matrix.baseline,
        "means": {
            system: {
                column: {
                    measure: matrix.mean(system, column, measure) for measure in matrix.measures
                }
                for column in matrix.columns
            }
            for system in matrix.values
        },
        "contrasts": [c._asdict() for c in matrix.contrasts.values()] if tested else [],
        "per_query": {
            system: {topics: frame.to_dict(orient="index") for topics, frame in frames.items()}
            for system, frames in matrix.values.items()
        },
    }
