"""One code for each language."""

import pytest

from optical_ir.errors import ConfigError
from optical_ir.languages import normalize_language


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("swa", "sw"),
        ("swh_Latn", "sw"),
        ("sw-KE", "sw"),
        ("som", "so"),
        ("tgl", "tl"),
        ("tl", "tl"),
        ("fil", "tl"),
        ("mar", "mr"),
        ("ger", "de"),
        ("cmn", "zh"),
        ("EN_us", "en"),
        ("yue", "yue"),
    ],
)
def test_each_language_has_one_code(code, expected):
    assert normalize_language(code) == expected


@pytest.mark.parametrize("code", ["swa", "tgl", "fil", "cmn", "nob", "yue"])
def test_normalizing_twice_changes_nothing(code):
    once = normalize_language(code)
    assert normalize_language(once) == once


@pytest.mark.parametrize(("name", "near"), [("Swahili", "sw"), ("somali", "so"), ("german", "de")])
def test_a_language_name_is_refused_with_its_code(name, near):
    with pytest.raises(ConfigError, match=rf"found '{name}'. Did you mean one of: .*\b{near}\b"):
        normalize_language(name)


@pytest.mark.parametrize("code", ["xx", "", "und", "1", "sw!", "x" * 40])
def test_an_unknown_code_is_refused_with_an_example(code):
    with pytest.raises(ConfigError, match="for example 'sw' or 'swa' for Swahili"):
        normalize_language(code)
