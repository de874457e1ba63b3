"""The command line: one verb a stage, each calling one public function.

Results go to stdout, progress and messages to stderr. Exit codes: 0 done, 1 an error of the
user's to mend (one line; `--debug` shows where), 2 wrong usage, 130 interrupted.
"""

from optical_ir.cli.app import app, main

__all__ = ["app", "main"]
