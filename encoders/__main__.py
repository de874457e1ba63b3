r"""Pyserini's dense commands with our encoders: all flags are Pyserini's own.

    python -m encoders pyserini.encode input --corpus corpus \
        output --embeddings index --to-faiss \
        encoder --encoder teacher --dimension 384 --device cpu
    python -m encoders pyserini.search.faiss --encoder student --index index \
        --topics topics.tsv --output run.trec

Whatever `--encoder` names is read by our encoders, see `encoders.registration`; with
`--encoder-class` Pyserini's own class of that name reads it, as without this launcher.
"""

import argparse
import runpy
import sys
from collections.abc import Sequence
from itertools import pairwise

from optical_ir.errors import ConfigError, OpticalError
from optical_ir.retrieval.environment import import_pyserini
from optical_ir.texts import printable

from .registration import register

COMMANDS = ("pyserini.encode", "pyserini.search.faiss", "pyserini.search.hybrid")
SUB_COMMANDS = ("input", "output", "encoder")
"""Of `pyserini.encode`, which splits its arguments at these words wherever they stand."""
PATHS = ("--corpus", "--embeddings", "--encoder")
"""Flags of `pyserini.encode` whose values may be such words."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Register the encoders that the command names, then run it in this process."""
    parser = argparse.ArgumentParser(
        prog="python -m encoders",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", choices=COMMANDS)
    parser.add_argument("flags", nargs=argparse.REMAINDER, help="flags of the command")
    options = parser.parse_args(arguments)
    try:
        if options.command == "pyserini.encode":
            check_values(options.flags)
        register(*named_encoders(options.flags))
        # Pyserini needs Faiss in all three; here a missing one is an error that says what to do.
        import_pyserini("pyserini.search.faiss")
        sys.argv = [options.command, *options.flags]
        runpy.run_module(options.command, run_name="__main__", alter_sys=True)
    except OpticalError as err:
        sys.exit(f"Error: {printable(str(err))}")


def named_encoders(flags: Sequence[str]) -> list[str]:
    """Find the values of `--encoder` among a command's flags."""
    found = [flag.partition("=")[2] for flag in flags if flag.startswith("--encoder=")]
    return found + [value for flag, value in pairwise(flags) if flag == "--encoder"]


def check_values(flags: Sequence[str]) -> None:
    """Refuse paths that `pyserini.encode` would take for its sub-commands.

    Raises
    ------
    ConfigError
        If a path is just `input`, `output` or `encoder`.
    """
    for flag, value in pairwise(flags):
        if flag in PATHS and value in SUB_COMMANDS:
            raise ConfigError(
                f"{flag} {value}: expected another value, since Pyserini takes this one for the "
                f"sub-command. Write it as ./{value}"
            )


if __name__ == "__main__":
    main()
