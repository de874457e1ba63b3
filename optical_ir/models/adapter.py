"""A student as low-rank adapters beside the teacher that it starts from.

LoRA (Hu et al. 2022, equation 3) trains, of a weight W, only a low-rank change: W + s B A. A
folder of adapters has `adapter.safetensors`, and `optical.json` names the base; together they
give an ordinary encoder. Tensors of the file, with r the rank:

* `<module>.lora_A.weight`, shape (r, n_in), and `<module>.lora_B.weight`, shape (n_out, r);
* `scaling`, float64, the number s;
* where word embeddings were trained: `word_embeddings.ids`, int64 of shape (n_rows,), and
  `word_embeddings.rows`, shape (n_rows, dim), which replace those of the base.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from sentence_transformers import MultiVectorEncoder
from torch import Tensor

from optical_ir.errors import ConfigError, DataError
from optical_ir.models.embedded import EMBEDDED_MODEL
from optical_ir.models.folder import fingerprint, read_description

ADAPTER_FILE = "adapter.safetensors"
SCALING, IDS, ROWS = "scaling", "word_embeddings.ids", "word_embeddings.rows"
LORA_A, LORA_B = ".lora_A.weight", ".lora_B.weight"


def save_adapter(folder: Path, weights: Mapping[str, Tensor]) -> None:
    """Write `adapter.safetensors` into a folder.

    Parameters
    ----------
    folder : Path
    weights : mapping of str to Tensor
        See the module's header; on any device.
    """
    on_cpu = {name: weight.detach().cpu().contiguous() for name, weight in weights.items()}
    save_file(on_cpu, folder / ADAPTER_FILE)


def read_adapter(folder: Path) -> dict[str, Tensor]:
    """Read the tensors of `adapter.safetensors`, on the CPU; see the module's header."""
    return load_file(folder / ADAPTER_FILE)


def has_adapter(name: str | Path) -> bool:
    """Whether a name is that of a folder of adapters."""
    return (Path(name) / ADAPTER_FILE).is_file()


def describe_base(base: str | Path, encoder: MultiVectorEncoder, output: Path) -> dict[str, str]:
    """Give what `optical.json` says of the base of the adapters in `output`.

    Parameters
    ----------
    base : str or Path
        A folder, which becomes relative to `output` so that both can be moved together, or
        another name that `load_encoder` knows, which stays as it is.
    encoder : MultiVectorEncoder
        What is loaded by that name.
    output : Path
        The student's folder.

    Raises
    ------
    ConfigError
        If `output` is the base, or a folder that the base lies in: it would be replaced.
    """
    path = str(base)
    if path != EMBEDDED_MODEL and Path(base).is_dir():
        folder, target = Path(base).resolve(), output.resolve()
        if folder.is_relative_to(target):
            raise ConfigError(
                f"{output}: expected another folder than that of the base, {base}, which the "
                "student needs when it is loaded. Choose another output."
            )
        path = os.path.relpath(folder, target)
    return {"path": path, "fingerprint": fingerprint(encoder)}


def base_name(folder: Path) -> str:
    """Name, for `load_encoder`, of the base of the adapters in a folder."""
    path = _base(folder)["path"]
    # A path from one folder to another outside it starts with "..", and no name does.
    return str(folder / path) if path.startswith("..") else path


@torch.no_grad()
def merge_adapter(base: MultiVectorEncoder, folder: Path) -> None:
    """Merge the adapters of a folder into their base, in place.

    It is computed on the CPU in float32, so that all devices give the same weights.

    Raises
    ------
    ConfigError
        If `base` is another encoder than the one they were trained beside.
    """
    expected, found = _base(folder)["fingerprint"], fingerprint(base)
    if found != expected:
        raise ConfigError(
            f"{folder}: expected the base {base_name(folder)!r} with fingerprint {expected}, found "
            f"{found}. Put the student's teacher there, or distil the student anew."
        )
    weights = read_adapter(folder)
    model: Any = base[0].model
    for name in weights:
        if name.endswith(LORA_A):
            module = name.removesuffix(LORA_A)
            weight = model.get_submodule(module).weight
            change = weights[SCALING].item() * (weights[module + LORA_B] @ weights[name])
            weight.add_(change.to(weight.device))
    if IDS in weights:
        rows = model.get_input_embeddings().weight
        rows[weights[IDS].to(rows.device)] = weights[ROWS].to(rows.device)


def _base(folder: Path) -> dict[str, str]:
    base = read_description(folder).get("base")
    if not (isinstance(base, dict) and {"path", "fingerprint"} <= base.keys()):
        raise DataError(
            f"{folder}: expected path and fingerprint of a base in its optical.json, found "
            f"{base!r}. Take the folder from its source."
        )
    return base
