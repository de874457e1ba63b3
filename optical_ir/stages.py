"""Whether the output of a stage is there, and is what was asked for."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from optical_ir.errors import ConfigError
from optical_ir.files import read_json_object, sha256_file
from optical_ir.models import read_description
from optical_ir.models.adapter import ADAPTER_FILE, has_adapter
from optical_ir.records import Query


def student_settings(encoder: Path) -> dict[str, Any] | None:
    """Give the settings that a student was made with; None for a teacher."""
    description = read_description(encoder)
    return settings_of(description) if description.get("role") == "student" else None


def weights_hash(encoder: Path) -> str:
    """SHA-256 of the weights in an encoder's folder, or of its adapters beside another's."""
    return sha256_file(encoder / (ADAPTER_FILE if has_adapter(encoder) else "model.safetensors"))


def index_hash(folder: Path) -> str:
    """SHA-256 of what an index has: all its data files, and which documents are deleted."""
    description = read_json(folder / "index.json")
    files = [description["deleted"], *(shard["files"] for shard in description["shards"])]
    return hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()


def digest_queries(queries: Sequence[Query]) -> str:
    """SHA-256 of queries as a topics file would have them."""
    lines = "".join(f"{query.query_id}\t{query.text}\n" for query in queries)
    return hashlib.sha256(lines.encode()).hexdigest()


def is_done(path: Path, found: Any, expected: dict[str, Any]) -> bool:
    """Whether `path` holds what is asked for; an error if it holds something else."""
    if not path.exists():
        return False
    expected = json.loads(json.dumps(expected, default=str))
    if found == expected:
        return True
    found = found if isinstance(found, dict) else {}
    keys = expected.keys() | found.keys()
    differing = sorted(key for key in keys if found.get(key) != expected.get(key))
    raise ConfigError(
        f"{path} was made with other settings ({', '.join(differing) or 'unknown'}). "
        "Remove it, or choose another --output."
    )


def settings_of(description: dict[str, Any]) -> Any:
    """Find the settings in the origin of a description; None without."""
    origin = description.get("origin")
    return origin.get("settings") if isinstance(origin, dict) else None


def read_settings(path: Path) -> Any:
    """Read the settings in the origin beside an output; None without."""
    return read_json(Path(f"{path}.json")).get("settings")


def read_json(path: Path) -> dict[str, Any]:
    """Content of a JSON file; empty if there is none, or it is damaged."""
    try:
        return read_json_object(path)
    except (OSError, ValueError):
        return {}
