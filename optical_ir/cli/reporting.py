"""The verb that shows runs: report."""

from pathlib import Path
from typing import Annotated

import typer

from optical_ir.cli.options import Measures, Output, Overwrite

_Texts = list[str] | None


def report(
    runs: Annotated[
        list[Path],
        typer.Argument(help="TREC runs, folders of them, or output folders of reproduce."),
    ],
    output: Output = Path("report.html"),
    qrels: Annotated[
        Path | None,
        typer.Option(help="Folder of qrels.KEY.txt, or one file; qrels/ beside the runs."),
    ] = None,
    system: Annotated[
        _Texts, typer.Option(help="Only this system; may be repeated, in the order of tables.")
    ] = None,
    baseline: Annotated[
        str | None, typer.Option(help="System the others are compared with; the first one.")
    ] = None,
    measure: Measures = None,
    collection: Annotated[
        _Texts,
        typer.Option(help="[NAME=]'demo', a folder or an ir_datasets id: queries and documents."),
    ] = None,
    topics: Annotated[_Texts, typer.Option(help="[KEY=]TSV file of queries.")] = None,
    translations: Annotated[
        _Texts, typer.Option(help="[KEY=]TSV file of translated queries.")
    ] = None,
    student: Annotated[
        list[Path] | None, typer.Option(help="Folder of a trained encoder; may be repeated.")
    ] = None,
    permutations: Annotated[int, typer.Option(min=1, help="Of the randomisation test.")] = 10_000,
    seed: Annotated[int, typer.Option(help="Of that test and of the bootstrap.")] = 42,
    overwrite: Overwrite = False,
) -> None:
    """Show runs on one HTML page, and in a PDF beside it.

    Comparisons with tests, confidence intervals, each query's gain or loss, recall, training
    curves, costs and provenance. The page loads nothing and holds no script. A KEY is that of the
    run's name, run.KEY.SYSTEM.trec.
    """
    from optical_ir.evaluation import DEFAULT_MEASURES
    from optical_ir.reporting import ReportInputs, write_report

    texts = (collection or (), topics or (), translations or (), student or ())
    inputs = ReportInputs(
        *(runs, qrels, system or (), baseline, measure or DEFAULT_MEASURES, *texts),
        *(permutations, seed),
    )
    files = write_report(inputs, output, overwrite=overwrite)
    typer.echo(f"Report: {files[0]}, and in print {files[1]}")
