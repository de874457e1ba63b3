"""The verbs on runs: evaluate, compare, verify."""

from pathlib import Path
from typing import Annotated, Any

import typer

from optical_ir.cli.options import Format, Measures
from optical_ir.console import echo
from optical_ir.errors import ConfigError

Signatures = Annotated[
    str | None,
    typer.Option(
        "--signature",
        help="short or verbose: a line for each run that says what it is, by its .json; formats "
        "text, markdown and json.",
    ),
]


def evaluate(
    qrels: Annotated[str, typer.Argument(help="TREC qrels file, or an ir_datasets id.")],
    runs: Annotated[list[Path], typer.Argument(help="TREC runs.")],
    measure: Measures = None,
    format: Format = "text",
    per_query: Annotated[
        bool, typer.Option("--per-query", help="Values of each query too; format json.")
    ] = False,
    signature: Signatures = None,
) -> None:
    """Print the means of ranx measures for one or more runs, as `trec_eval -c` counts them."""
    from optical_ir.collections import load_qrels
    from optical_ir.evaluation import DEFAULT_MEASURES, render
    from optical_ir.evaluation import evaluate as evaluate_run

    lines = _signatures(qrels, runs, signature, format)
    judgements = load_qrels(qrels)
    values = {
        name: evaluate_run(judgements, run, measures=measure or DEFAULT_MEASURES, name=name)
        for name, run in _named_runs(runs).items()
    }
    table = render(values, format=format, per_query=per_query, signatures=lines)
    echo(table)


def compare(
    qrels: Annotated[str, typer.Argument(help="TREC qrels file, or an ir_datasets id.")],
    runs: Annotated[list[Path], typer.Argument(help="TREC runs; the first is the baseline.")],
    measure: Measures = None,
    format: Format = "text",
    permutations: Annotated[int, typer.Option(min=1, help="Of the randomisation test.")] = 10_000,
    seed: Annotated[int, typer.Option(help="Of the randomisation test.")] = 42,
    per_query: Annotated[
        bool, typer.Option("--per-query", help="Values of each query too; format json.")
    ] = False,
    signature: Signatures = None,
) -> None:
    """Compare runs with the first one: means, differences, p of two tests, Holm-corrected."""
    from optical_ir.collections import load_qrels
    from optical_ir.evaluation import DEFAULT_MEASURES, render
    from optical_ir.evaluation import compare as compare_runs

    lines = _signatures(qrels, runs, signature, format)
    comparison = compare_runs(
        load_qrels(qrels),
        _named_runs(runs),
        measures=measure or DEFAULT_MEASURES,
        n_permutations=permutations,
        seed=seed,
    )
    table = render(comparison, format=format, per_query=per_query, signatures=lines)
    echo(table)


def verify(
    runs: Annotated[Path, typer.Argument(help="Folder of run.KEY.SYSTEM.trec.gz or .trec.")],
    qrels: Annotated[
        Path | None, typer.Option(help="Folder of qrels.KEY.txt; qrels/ beside RUNS by default.")
    ] = None,
    tables: Annotated[
        list[Path] | None,
        typer.Option(
            help="Markdown file, may be repeated; README.md and docs/*.md beside RUNS by default."
        ),
    ] = None,
) -> None:
    """Re-score reported runs; fail on the first run, judgement or figure that is not right.

    Figures are those of tables right below a comment that names their measures, as
    <!-- runs: nDCG@10 / R@100 -->.
    """
    from optical_ir.evaluation import verify as verify_runs

    done = verify_runs(runs, qrels=qrels, tables=tables)
    typer.echo(
        f"Verified runs: {done.n_runs}, judgement files: {done.n_qrels_files}, "
        f"tables: {done.n_tables}, figures: {done.n_figures}."
    )
    if not done.n_tables:
        typer.echo("No table is marked <!-- runs: MEASURE / MEASURE -->, so no figure was checked.")


def _named_runs(paths: list[Path]) -> dict[str, Any]:
    """Read runs by the names that tables give them."""
    from optical_ir.trec import read_run

    return {name: read_run(path) for name, path in _by_name(paths).items()}


def _signatures(
    qrels: str, paths: list[Path], style: str | None, format: str
) -> dict[str, str] | None:
    """Sign runs as they are judged here: by these judgements and this release of ranx."""
    from optical_ir.evaluation import SIGNED_FORMATS, sign_runs

    if style is None:
        return None
    if style not in ("short", "verbose"):
        raise ConfigError(f"expected a signature short or verbose, found {style!r}.")
    if format not in SIGNED_FORMATS:
        raise ConfigError(
            f"Signatures need a format out of {', '.join(SIGNED_FORMATS)}, found {format!r}."
        )
    return sign_runs(qrels, _by_name(paths), short=style == "short")


def _by_name(paths: list[Path]) -> dict[str, Path]:
    """Name runs by their files without `run.` and suffix, or by path if that is double."""
    names = [
        path.name.removesuffix(".gz").removesuffix(".trec").removeprefix("run.") for path in paths
    ]
    unique = [
        name if names.count(name) == 1 else str(path)
        for name, path in zip(names, paths, strict=True)
    ]
    for path in paths:
        if paths.count(path) > 1:
            raise ConfigError(f"expected each run once, found {path} twice. Leave one out.")
    return dict(zip(unique, paths, strict=True))
