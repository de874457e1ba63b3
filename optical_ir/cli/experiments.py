"""The verbs that run everything: demo, reproduce."""

from pathlib import Path
from typing import Annotated

import typer

from optical_ir.console import make_progress


def demo(
    output: Annotated[Path, typer.Option(help="Folder for everything the demo makes.")] = Path(
        "demo"
    ),
) -> None:
    """Distil a Swahili student and search English passages in seven languages.

    Runs the packaged demo collection from sentence pairs to the report in minutes. Run it again
    to see the report at once; remove the folder to start anew.
    """
    from optical_ir.collections import demo_folder

    _reproduce(demo_folder() / "demo.toml", demo_folder(), output)


def reproduce(
    experiment: Annotated[Path, typer.Argument(help="TOML file; see experiments/ for examples.")],
    data: Annotated[Path, typer.Option(help="Folder the file's paths are relative to.")] = Path(
        "."
    ),
    output: Annotated[Path, typer.Option(help="Folder for all stages; may be shared.")] = Path(
        "results"
    ),
    label: Annotated[
        str | None,
        typer.Option(help="Added to collections in names of runs, as -gpu; give another --output."),
    ] = None,
) -> None:
    """Run a whole experiment from a TOML file: teacher, students, runs, report.

    Stages whose output is there are not run again, so after an interruption the same command
    goes on where it stopped.
    """
    _reproduce(experiment, data, output, label)


def _reproduce(experiment: Path, data: Path, output: Path, label: str | None = None) -> None:
    from optical_ir.experiment_file import read_experiment
    from optical_ir.pipeline import Pipeline
    from optical_ir.summary import report_experiment

    plan = read_experiment(experiment, label=label)
    with make_progress() as progress:
        report = report_experiment(Pipeline(plan, data, output, progress))
    files = report.write(output)
    typer.echo(report.as_text())
    others = ", ".join(path.suffix for path in files[1:])
    typer.echo(f"Report: {files[0]} (and {others})")
