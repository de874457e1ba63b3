"""No label has a character that no font can draw, and what is missing is named."""

from matplotlib import font_manager

from optical_ir import fonts
from optical_ir.fonts import prepare_labels

DEVANAGARI = "\u0915\u093e"


def only(monkeypatch, covered):
    """Make fonts have the characters that `covered` gives for their file's name."""
    monkeypatch.setattr(fonts, "_characters", lambda path: {*map(ord, covered(path))})
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda: [])


def test_latin_needs_the_default_font_only(caplog):
    assert prepare_labels(["dog", "\u0142\u00f3d\u017a \u0645\u0627"]) == (
        ["dog", "\u0142\u00f3d\u017a \u0645\u0627"],
        ["DejaVu Sans"],
    )
    assert not caplog.text


def test_private_use_is_shown_as_code_points_and_told(caplog):
    labels = prepare_labels(["a\ue000\ue001b", "c"])
    assert labels.texts == ["aU+E000 U+E001b", "c"]
    assert "2 of the characters (U+E000, U+E001)" in caplog.text
    assert "private use" in caplog.text


def test_a_missing_script_is_named_with_its_font(monkeypatch, caplog):
    only(monkeypatch, lambda path: "abc")
    labels = prepare_labels([DEVANAGARI, "\u3042\uac00", "a"])
    assert labels.texts == ["U+0915 U+093E", "U+3042 U+AC00", "a"]
    assert "Install Noto Sans CJK and Noto Sans Devanagari" in caplog.text


def test_many_missing_characters_are_cut(monkeypatch):
    only(monkeypatch, lambda path: "abc")
    assert prepare_labels(["\u0915" * 9]).texts == ["U+0915 U+0915 U+0915 U+0915 \u2026"]


def test_the_font_with_most_of_the_characters_is_chosen(monkeypatch, caplog):
    have = {"STIXGeneral.ttf": "\u0915", "cmr10.ttf": DEVANAGARI}
    only(monkeypatch, lambda path: have.get(path.rsplit("/")[-1], "abc"))
    labels = prepare_labels([DEVANAGARI])
    assert labels == ([DEVANAGARI], ["DejaVu Sans", "cmr10"])
    assert not caplog.text


def test_the_font_of_last_resort_is_not_taken(monkeypatch):
    only(monkeypatch, lambda path: DEVANAGARI if "LastResort" in path else "abc")
    assert prepare_labels([DEVANAGARI]).texts == ["U+0915 U+093E"]


def test_a_font_installed_since_is_found(monkeypatch):
    new = font_manager.findfont("STIXGeneral")
    manager = font_manager.fontManager
    monkeypatch.setattr(manager, "ttflist", [e for e in manager.ttflist if e.fname != new])
    monkeypatch.setattr(fonts, "_characters", lambda p: {0x915} if p == new else {97})
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda: [new])
    assert prepare_labels(["a\u0915"]) == (["a\u0915"], ["DejaVu Sans", "STIXGeneral"])


def test_joiners_and_blanks_need_no_glyph():
    assert prepare_labels(["a\u200db c\u200e"]).texts == ["a\u200db c\u200e"]
