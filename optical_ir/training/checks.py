"""Ranges of settings, refused with the name of the one that is out of them."""

from collections.abc import Iterable

from optical_ir.errors import ConfigError


def check_positive(settings: object, *names: str) -> None:
    """Raise a `ConfigError` unless all these settings are more than 0; NaN is not."""
    for name, value in _values(settings, names):
        if not value > 0:
            raise ConfigError(f"{name}: expected more than 0, found {value!r}.")


def check_at_least(settings: object, least: int, *names: str) -> None:
    """Raise a `ConfigError` unless all these settings are `least` or more; NaN is not."""
    for name, value in _values(settings, names):
        if not value >= least:
            raise ConfigError(f"{name}: expected {least} or more, found {value!r}.")


def _values(settings: object, names: Iterable[str]) -> Iterable[tuple[str, float]]:
    return ((name, getattr(settings, name)) for name in names)
