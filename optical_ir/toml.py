"""Filling dataclasses from TOML tables, with the key named that is wrong."""

import math
import unicodedata
from collections.abc import Mapping
from dataclasses import MISSING, fields
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from optical_ir.errors import ConfigError

_T = TypeVar("_T")

_LARGEST = 2**63 - 1
"""What arrays hold."""


def from_table(kind: type[_T], where: str, values: Any) -> _T:
    """Fill a dataclass from a TOML table.

    Parameters
    ----------
    kind : type
        The dataclass.
    where : str
        What messages call the table.
    values : dict
        The table.

    Raises
    ------
    ConfigError
        If it is no table, lacks a key, has an unknown one or a value of the wrong type, or the
        dataclass refuses a value.
    """
    hints = get_type_hints(kind)
    for key, value in checked_table(where, values).items():
        if key not in hints:
            raise ConfigError(f"{where}: unknown key {key!r}; expected {', '.join(sorted(hints))}.")
        _check_values(f"{where}: {key}", value)
        if not _fits(value, hints[key]):
            expected = getattr(hints[key], "__name__", hints[key])
            raise ConfigError(f"{where}: {key}: expected {expected}, found {value!r}.")
    for item in fields(kind):  # type: ignore[arg-type]
        is_needed = item.default is MISSING and item.default_factory is MISSING
        if is_needed and item.name not in values:
            raise ConfigError(f"{where}: expected a key {item.name!r}, found none.")
    try:
        return kind(**values)
    except ConfigError as err:
        raise ConfigError(f"{where}: {err}") from err


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value is of an annotated type; integers are fine as floats."""
    inner = get_args(hint)
    if get_origin(hint) is UnionType:
        return any(_fits(value, kind) for kind in inner)
    if get_origin(hint) is dict:
        return isinstance(value, dict) and all(_fits(item, inner[1]) for item in value.values())
    if get_origin(hint) is tuple:
        return isinstance(value, tuple) and all(_fits(item, inner[0]) for item in value)
    if isinstance(value, bool):
        return hint is bool
    return isinstance(value, (int, float) if hint is float else hint)


def _check_values(where: str, value: Any) -> None:
    """Refuse what no setting means: numbers out of range, and characters that none types."""
    if isinstance(value, dict | tuple | list):
        for item in (*value, *value.values()) if isinstance(value, dict) else value:
            _check_values(where, item)
    elif isinstance(value, str) and any(map(_is_control, value)):
        raise ConfigError(f"{where}: expected text without control characters, found {value!r}.")
    elif isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(f"{where}: expected a finite number, found {value!r}.")
    elif isinstance(value, int) and abs(value) > _LARGEST:
        raise ConfigError(
            f"{where}: expected at most {_LARGEST}, found a number of {len(str(value))} digits."
        )


def _is_control(char: str) -> bool:
    return unicodedata.category(char) == "Cc"


def checked_table(where: str, values: Any) -> Mapping[str, Any]:
    """Give `values` back if it is a table; a `ConfigError` otherwise."""
    if not isinstance(values, dict):
        raise ConfigError(f"{where}: expected a table, found {values!r}.")
    return values
