"""The program `optical-ir`: its verbs in the order of the work, and how it ends."""

import sys
from typing import Annotated

import typer

from optical_ir import __version__
from optical_ir.cli.bridge import encode_queries, environment, export, index_vectors
from optical_ir.cli.editing import (
    add_documents,
    compact_index,
    delete_documents,
    merge_indexes,
    verify_index,
)
from optical_ir.cli.engines import encode_ray, export_index, search_exported
from optical_ir.cli.experiments import demo, reproduce
from optical_ir.cli.explaining import align, explain
from optical_ir.cli.indexing import compress, encode, index, prepare
from optical_ir.cli.judging import compare, evaluate, verify
from optical_ir.cli.lexicons import learn_lexicon
from optical_ir.cli.models import build_teacher, distil, train_teacher
from optical_ir.cli.reporting import report
from optical_ir.cli.searching import fuse, rerank, search
from optical_ir.cli.serving import serve
from optical_ir.cli.translating import score_translation, translate
from optical_ir.console import STDERR, set_up_logging, show_error
from optical_ir.errors import OpticalError

_INTERRUPTED = 130

app = typer.Typer(
    help="Cross-lingual late interaction for low-resource languages.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for _verb in (
    *(demo, reproduce),
    *(prepare, build_teacher, train_teacher, distil, encode, compress, index),
    *(merge_indexes, add_documents, delete_documents, compact_index, verify_index),
    *(translate, score_translation, learn_lexicon, search, rerank, fuse),
    *(evaluate, compare, verify, report),
    *(align, explain),
    serve,
    *(environment, export, encode_queries, index_vectors),
    *(encode_ray, export_index, search_exported),
):
    app.command(_verb.__name__.replace("_", "-"))(_verb)


def _show_version(value: bool) -> None:
    if value:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _options(
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the whole log, and where errors arise.")
    ] = False,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Print it."),
    ] = False,
) -> None:
    set_up_logging(debug=debug)


def main() -> None:
    """Run the command line; turn expected errors into one line and an exit code."""
    debug = "--debug" in sys.argv
    try:
        app()
    except SystemExit as end:
        # Typer turns Ctrl-C into this exit code and says nothing.
        if end.code == _INTERRUPTED:
            STDERR.print(
                "Interrupted. Nothing finished is lost; the same command goes on from there."
            )
        raise
    except (OpticalError, OSError) as err:
        if debug:
            STDERR.print_exception()
        show_error(err)
        sys.exit(1)
