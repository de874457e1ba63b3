"""What packages export is there, once, in the order that ruff keeps."""

import importlib
import pkgutil

import pytest

import optical_ir

MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(optical_ir.__path__, "optical_ir.")
    if module.name != "optical_ir.__main__"
)


def sort_key(name: str) -> tuple[int, str]:
    """Order as isort does: CONSTANTS, then Classes, then the rest."""
    kind = 0 if name.isupper() else 1 if name[0].isupper() else 2
    return kind, name


@pytest.mark.parametrize("name", MODULES)
def test_exports_are_sorted_and_there(name):
    module = importlib.import_module(name)
    exported = list(getattr(module, "__all__", []))
    assert exported == sorted(set(exported), key=sort_key)
    for attribute in exported:
        assert hasattr(module, attribute), attribute


@pytest.mark.parametrize(
    "name",
    [
        *("collections", "evaluation", "models", "training", "translation", "transport"),
        "word_alignment",
    ],
)
def test_parts_say_what_they_export(name):
    assert importlib.import_module(f"optical_ir.{name}").__all__


def test_version_is_that_of_the_metadata():
    from importlib.metadata import version

    assert version("optical-ir") == optical_ir.__version__
