"""What keeps a checkpoint from a stranger from running code: weights in safetensors alone.

A pickle can run anything when it is read. Libraries read `pytorch_model.bin` where there is no
safetensors file, with torch's unpickler of weights only; here it is not read at all. Classes that
a checkpoint brings in Python files are never imported: nothing sets `trust_remote_code`.
"""

from pathlib import Path

from optical_ir.errors import ConfigError
from optical_ir.files import read_json_object

_PICKLES = ("pytorch_model*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl", "*.pickle")

ONLY_SAFETENSORS = {"use_safetensors": True}
"""Arguments of transformers by which it reads no pickle, from a folder or from a hub."""


def check_checkpoint(folder: str | Path) -> None:
    """Refuse a folder with weights as a pickle alone, or with an activation outside torch.

    Modules' folders in it are looked at too. Sentence-transformers does not call such an
    activation, but takes another one for it, which would give other vectors.

    Raises
    ------
    ConfigError
        With what to do.
    """
    root = Path(folder)
    if not root.is_dir():
        return
    for place in (root, *(path for path in root.iterdir() if path.is_dir())):
        found = sorted(path.name for kind in _PICKLES for path in place.glob(kind))
        if found and not any(place.glob("*.safetensors")):
            raise ConfigError(
                f"{place}: expected weights in safetensors, found {found[0]}, a pickle, which can "
                "run code when it is read. If you trust its source, load it with transformers or "
                "sentence-transformers, save it again with save_pretrained, and name that folder."
            )
        _check_activation(place / "config.json")


def _check_activation(path: Path) -> None:
    try:
        activation = read_json_object(path).get("activation_function")
    except (OSError, ValueError):
        return  # of a file that is needed, its reader says more
    if isinstance(activation, str) and "." in activation and not activation.startswith("torch."):
        raise ConfigError(
            f"{path}: expected an activation function of torch, found {activation!r}, which is "
            "code of others. Take a checkpoint without it."
        )
