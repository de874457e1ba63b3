"""Making our encoders known to Pyserini.

Pyserini has no plug-ins. Its commands choose an encoder's class from two dicts in
`pyserini.encode`: without `--encoder-class` (which admits built-in names only) the first key that
is part of the lower-cased value of `--encoder` wins. So the most explicit key there is, is that
value itself: the launcher registers exactly the checkpoints named on its command line, before
all other keys, and no folder name can mislead it ("guidance" would select ANCE). The keys in
`KEYS` are for those who call `register` in a program of their own: with them, a folder whose path
contains `optical-teacher` or `optical-student` is ours.
"""

from typing import Any

from optical_ir.errors import ConfigError
from optical_ir.retrieval.environment import import_pyserini

from .adapters import encoder_classes

KEYS = ("optical-student", "optical-teacher")
"""Keys that are always registered."""


def register(*checkpoints: str) -> None:
    """Put our encoder classes first in Pyserini's two maps; calling it again is harmless.

    Parameters
    ----------
    checkpoints : str
        Names or folders, as `--encoder` will give them, to be read by our encoders.

    Raises
    ------
    ConfigError
        If a key is already taken by another class.
    DependencyError
        If Pyserini or Java is missing.
    """
    encode = import_pyserini("pyserini.encode")
    classes = encoder_classes(encode)
    keys = [*dict.fromkeys(name.lower() for name in checkpoints), *KEYS]
    maps = (encode.document_encoder_class_map, encode.query_encoder_class_map)
    for class_map, ours in zip(maps, classes, strict=True):
        _check_free(class_map, keys, ours)
    for class_map, ours in zip(maps, classes, strict=True):
        others = {key: value for key, value in class_map.items() if key not in keys}
        # The order decides, and Pyserini's modules hold this very dict.
        class_map.clear()
        class_map.update(dict.fromkeys(keys, ours) | others)


def _check_free(class_map: dict[str, Any], keys: list[str], ours: type) -> None:
    for key in keys:
        if class_map.get(key, ours) is not ours:
            raise ConfigError(
                f"Encoder {key!r}: expected a name of our own, found one of Pyserini's keys. "
                f"Write a folder as ./{key}, or run Pyserini's command without our launcher."
            )
