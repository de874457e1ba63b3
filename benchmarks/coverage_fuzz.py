"""Coverage-guided fuzzing of the readers of users' files, with atheris.

    pip install atheris
    python -m benchmarks.coverage_fuzz [--runs 10000] [KIND ...]

Starts from a valid file of each kind and keeps what reaches new branches of the readers. An input
must be refused with an `OpticalError`, or what is read must be right, as in
`tests/faults/test_fuzz.py`; anything else, or 20 seconds, ends the kind with its input. Prints, for
each kind, the inputs tried and the branches reached by the valid file and at the end.
docs/reliability.md quotes what it prints.
"""

import re
import subprocess
import sys
import tempfile
from argparse import ArgumentParser
from datetime import date
from pathlib import Path

_SEED = 42
_READERS = ("trec", "files", "records", "toml", "texts", "experiment_file", "collections")


def fuzz(kind: str, runs: int, folder: Path) -> None:
    """Fuzz one kind in this process, which then ends."""
    import atheris

    # Not all of the package: compiled loops cannot be read once they are instrumented.
    with atheris.instrument_imports(include=[f"optical_ir.{name}" for name in _READERS]):
        from optical_ir.errors import OpticalError
        from tests.faults.formats import FORMATS
    form = FORMATS[kind]
    path, corpus = folder / form.file, folder / "corpus"
    corpus.mkdir()
    (corpus / "valid").write_text(form.content, "utf-8")
    (folder / "x.en").write_text("cat\ndog\na big house\n")

    def hold_law(content: bytes) -> None:
        path.write_bytes(content)
        try:
            form.law(path)
        except OpticalError as err:
            assert str(err)

    settings = [f"-runs={runs}", f"-seed={_SEED}", "-timeout=20", "-verbosity=1"]
    atheris.Setup([sys.argv[0], *settings, f"-artifact_prefix={folder}/", str(corpus)], hold_law)
    atheris.Fuzz()


def main() -> int:
    """Fuzz kinds one after another, each in a process of its own; 1 if one failed."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("kinds", nargs="*", metavar="KIND", help="default: all")
    parser.add_argument("--runs", type=int, default=10_000, help="default: %(default)s")
    parser.add_argument("--in-folder", type=Path, help="fuzz the one KIND here, in this process")
    options = parser.parse_args()
    if options.in_folder:
        fuzz(options.kinds[0], options.runs, options.in_folder)
    # Not before, as what is imported already cannot be instrumented.
    from tests.faults.formats import FORMATS

    failed = 0
    for kind in options.kinds or FORMATS:
        with tempfile.TemporaryDirectory() as folder:
            own = [kind, "--runs", str(options.runs), "--in-folder", folder]
            command = [sys.executable, "-m", "benchmarks.coverage_fuzz", *own]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        branches = re.findall(r"INITED cov: (\d+)|DONE +cov: (\d+)", done.stderr)
        tried = "".join(re.findall(r"Done (\d+) runs", done.stderr)) or "not all"
        numbers = [first or last for first, last in branches]
        print(
            f"{kind:<16} inputs {tried}, branches {' to '.join(numbers)}, exit {done.returncode}",
            flush=True,
        )
        if done.returncode:
            failed = 1
            print(done.stderr[-3000:])
    print(f"{date.today()}, seed {_SEED}, exit {failed}")
    return failed


if __name__ == "__main__":
    sys.exit(main())
