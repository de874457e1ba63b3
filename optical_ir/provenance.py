"""Where an output came from: command, settings, versions, commit and hashes of the inputs."""

import json
import platform
import shlex
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from optical_ir.files import sha256_file, write_file
from optical_ir.signatures import format_signature, sign_origin

_PACKAGES = ("optical-ir", "torch", "transformers", "sentence-transformers", "POT", "ranx")


def describe_origin(
    *, settings: Mapping[str, Any], inputs: Mapping[str, Path | str] | None = None
) -> dict[str, Any]:
    """Everything needed to make an output again, ready for JSON.

    Parameters
    ----------
    settings : mapping
        The resolved settings of the stage.
    inputs : mapping, optional
        Input files by role; each is listed with its SHA-256. Folders are listed by name only.
    """
    return {
        "command": shlex.join([*_program(), *sys.argv[1:]]),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "settings": dict(settings),
        "inputs": {role: _describe_input(Path(path)) for role, path in (inputs or {}).items()},
        "versions": {"python": platform.python_version(), **_versions()},
        "commit": _commit(),
    }


def write_origin(
    output: Path | str,
    *,
    settings: Mapping[str, Any],
    inputs: Mapping[str, Path | str] | None = None,
    facts: Mapping[str, Any] | None = None,
    is_run: bool = False,
) -> None:
    """Write the origin of file `output` to `<output>.json` beside it.

    Parameters
    ----------
    output : path
        Need not be there yet.
    settings, inputs : mapping
        See `describe_origin`.
    facts : mapping, optional
        What is known of the output itself, such as its SHA-256; added as further keys.
    is_run : bool
        Add the run's signature, see `optical_ir.signatures`.
    """
    output = Path(output)
    origin = {**describe_origin(settings=settings, inputs=inputs), **(facts or {})}
    if is_run:
        origin["signature"] = format_signature(sign_origin(origin))
    with write_file(output.with_name(output.name + ".json"), overwrite=True) as stream:
        stream.write(json.dumps(origin, indent=2, ensure_ascii=False, default=str) + "\n")


def _program() -> list[str]:
    path = Path(sys.argv[0])
    return ["python", "-m", path.parent.name] if path.name == "__main__.py" else [path.name]


def _describe_input(path: Path) -> dict[str, str]:
    if path.is_file():
        return {"name": path.name, "sha256": sha256_file(path)}
    return {"name": path.name}


def _versions() -> dict[str, str]:
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _commit() -> str | None:
    """Commit of the checkout the package runs from, None for an installed package."""
    root = Path(__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return None
    try:
        found = subprocess.run(
            ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=12"],
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.strip()
