"""Faults and abuse in full: SIGKILL, full disks, mutated files, hostile text, untrusted folders.

    python -m benchmarks.reliability [--quick] [ARGUMENTS OF PYTEST]

Runs `tests/faults` with 20 kills a verb and 10,000 mutated inputs a format, and prints what was
tried and how it ended. It takes long; a part is named as pytest names it, for example
`tests/faults/test_kills.py` or `-k TMX`. With `--quick` it tries as little as the tests do.
docs/reliability.md quotes what it prints.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    """Run the suite in full and print its figures; give pytest's exit code."""
    arguments = [argument for argument in sys.argv[1:] if argument != "--quick"]
    size = "quick" if "--quick" in sys.argv else "full"
    if not any(argument.startswith("tests") for argument in arguments):
        arguments.append("tests/faults")
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        figures = Path(folder) / "figures"
        figures.touch()
        environment = {"OPTICAL_IR_FAULTS": size, "OPTICAL_IR_FIGURES": str(figures)}
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "--tb=short", *arguments],
            cwd=ROOT,
            env={**os.environ, **environment},
            check=False,
        )
        rows = [json.loads(line) for line in figures.read_text("utf-8").splitlines()]
    for row in rows:
        counts = ", ".join(f"{key} {row[key]}" for key in row if key not in ("part", "what"))
        print(f"{row['part']:8} {row['what']:32} {counts}")
    minutes = (time.monotonic() - start) / 60
    when = f"{date.today()}, {size}, {os.cpu_count()} cores, {minutes:.0f} minutes"
    print(f"{when}, exit {done.returncode}")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
