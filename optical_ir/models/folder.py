"""The encoder folder: a stock sentence-transformers folder plus `optical.json`.

`optical.json` says what the encoder is: its role, the embedding space it writes into, and where
it came from. A space is named by the fingerprint of the encoder that spans it, the teacher; its
students carry the same name, so that search can refuse an index of another teacher.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from sentence_transformers import MultiVectorEncoder

from optical_ir.errors import DataError
from optical_ir.files import read_json_object, write_folder

_FILE = "optical.json"


def fingerprint(encoder: MultiVectorEncoder) -> str:
    """Name of an encoder by content: a hash of its prompts, weights and scoring mask.

    Take it before the encoder is cast to another dtype.
    """
    digest = hashlib.sha256(json.dumps(encoder.prompts, sort_keys=True).encode())
    for module in encoder:
        digest.update(json.dumps(getattr(module, "skiplist_words", [])).encode())
    for name, weight in sorted(encoder.state_dict().items()):
        digest.update(name.encode())
        digest.update(weight.detach().cpu().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]


def embedding_space(name: str | Path, encoder: MultiVectorEncoder) -> str:
    """Key of the space an encoder, loaded by `name`, writes into; see the module's header."""
    return str(read_description(name).get("space") or fingerprint(encoder))


def read_description(name: str | Path) -> dict[str, Any]:
    """Content of the `optical.json` of an encoder folder; empty for any other encoder."""
    path = Path(name) / _FILE
    if not path.is_file():
        return {}
    try:
        return read_json_object(path)
    except (OSError, ValueError) as err:
        raise DataError(f"{path}: is not JSON ({err}). Take the folder from its source.") from err


def learnt_glosses(name: str | Path) -> bool:
    """Whether an encoder was trained on sentences with their glosses; see `optical_ir.glosses`."""
    origin = read_description(name).get("origin")
    settings = origin.get("settings") if isinstance(origin, dict) else None
    return isinstance(settings, dict) and bool(settings.get("gloss"))


def write_description(folder: Path, description: dict[str, Any]) -> None:
    """Write `optical.json` into an encoder folder."""
    text = json.dumps(description, indent=2, ensure_ascii=False, default=str)
    (folder / _FILE).write_text(text + "\n", "utf-8")


def save_teacher(
    encoder: MultiVectorEncoder,
    output: Path | str,
    *,
    origin: dict[str, Any],
    overwrite: bool = False,
) -> None:
    """Save an encoder as a teacher, the one that spans its embedding space."""
    with write_folder(output, overwrite=overwrite) as part:
        encoder.save_pretrained(str(part), create_model_card=False)
        write_description(
            part, {"role": "teacher", "space": fingerprint(encoder), "origin": origin}
        )
