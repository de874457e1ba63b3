"""Fonts for labels in any script, and labels that show what no installed font can.

matplotlib's own font has Latin, Greek, Cyrillic and Arabic letters, but no Devanagari or
Ethiopic. Other fonts are taken from what is installed. matplotlib 3.11 and newer shape Arabic
and Devanagari and set right-to-left text; older ones draw the letters one by one from left to
right, unjoined: there, write an SVG, whose text the viewer sets.
"""

import logging
import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

logger = logging.getLogger(__name__)

_DEFAULT = "DejaVu Sans"
_REGULAR = ("normal", "regular", "book", 400)
_SHOWN = 4
"""Code points that a label gives at most."""

_SCRIPT = re.compile(r"(.+?) (?:SMALL|CAPITAL|LETTER|SYLLABLE|VOWEL|SIGN|DIGIT|UNIFIED)\b")
"""The script in a character's Unicode name, as in DEVANAGARI LETTER KA."""

_FONTS = {
    **dict.fromkeys(("LATIN", "GREEK", "CYRILLIC", "COMBINING"), "Noto Sans"),
    **dict.fromkeys(("CJK", "HANGUL", "HIRAGANA", "KATAKANA", "BOPOMOFO"), "Noto Sans CJK"),
}
"""Fonts of scripts that are not called as theirs."""


class Labels(NamedTuple):
    """Labels that can be drawn.

    Attributes
    ----------
    texts : list of str
        In the order given; characters without a font are written as their code points.
    families : list of str
        Names of the fonts, for matplotlib's ``fontfamily``; it takes a character from the first
        that has it.
    """

    texts: list[str]
    families: list[str]


def prepare_labels(texts: Sequence[str]) -> Labels:
    """Choose installed fonts for labels, and write out the characters that none of them has.

    Each character without a glyph becomes its code point, as in ``U+0915``, and a warning names
    the font to install.
    """
    needed = {ord(char) for text in texts for char in text if _is_drawn(char)}
    families, missing = _choose_families(needed)
    if missing:
        logger.warning(_describe_missing(missing))
    return Labels([_write_out(text, missing) for text in texts], families)


def _is_drawn(char: str) -> bool:
    # Joiners and direction marks have no shape of their own.
    return not char.isspace() and unicodedata.category(char) not in ("Cc", "Cf")


def _choose_families(needed: set[int]) -> tuple[list[str], set[int]]:
    """Families that have the characters, the default first, and the characters none has."""
    from matplotlib import font_manager

    manager = font_manager.fontManager
    families = [_DEFAULT]
    # What a character of private use looks like is known to its own font only.
    private = {code for code in needed if unicodedata.category(chr(code)) == "Co"}
    missing = needed - private - _characters(font_manager.findfont(_DEFAULT))
    if missing:
        missing = _cover(missing, manager.ttflist, families)
    if missing:
        missing = _cover(missing, _add_new_fonts(manager), families)
    return families, missing | private


def _cover(missing: set[int], entries: Iterable[Any], families: list[str]) -> set[int]:
    """Add the fonts that have most of the missing characters, until no more are found."""
    found: dict[str, set[int]] = {}
    for entry in entries:
        # The last-resort font has a box for every character.
        regular = entry.style == "normal" and entry.weight in _REGULAR
        if regular and entry.name not in found and "LastResort" not in entry.fname:
            found[entry.name] = missing & _characters(entry.fname)
    while missing and found:
        # Sans serif fonts suit the default one; the name makes the choice the same each time.
        best = max(found, key=lambda name: (len(found[name] & missing), "Sans" in name, name))
        if not found[best] & missing:
            break
        families.append(best)
        missing = missing - found[best]
    return missing


def _characters(path: str) -> set[int]:
    """Code points of a font file; none of a file that is not a font."""
    from matplotlib import font_manager

    try:
        return set(font_manager.get_font(path).get_charmap())
    except (OSError, RuntimeError):
        return set()


def _add_new_fonts(manager: Any) -> list[Any]:
    """Entries of fonts installed since matplotlib made its list, which it keeps for good."""
    from matplotlib import font_manager

    known = {entry.fname for entry in manager.ttflist}
    n_known = len(manager.ttflist)
    for path in sorted(set(font_manager.findSystemFonts()) - known):
        try:
            manager.addfont(path)
        except (OSError, RuntimeError, ValueError) as err:
            logger.debug("%s: is no font that can be read (%s).", path, err)
    return list(manager.ttflist[n_known:])


def _write_out(text: str, missing: set[int]) -> str:
    """Label in which each run of characters without a font is written as code points."""
    parts: list[str] = []
    run: list[str] = []
    for char in [*text, ""]:
        if char and ord(char) in missing:
            run.append(f"U+{ord(char):04X}")
            continue
        if run:
            parts.append(" ".join(run[:_SHOWN]) + (" \u2026" if len(run) > _SHOWN else ""))
            run = []
        parts.append(char)
    return "".join(parts)


def _describe_missing(missing: set[int]) -> str:
    names = [unicodedata.name(chr(code), "") for code in missing]
    scripts = {found[1] if (found := _SCRIPT.match(name)) else "LATIN" for name in names if name}
    fonts = {_FONTS.get(script, f"Noto Sans {script.title()}") for script in scripts}
    example = ", ".join(f"U+{code:04X}" for code in sorted(missing)[:3])
    remedy = (
        f"Install {' and '.join(sorted(fonts))} (on Debian in "
        "fonts-noto-core, Chinese, Japanese and Korean in fonts-noto-cjk) and run again."
        if fonts
        else "They are of private use: replace them in the text."
    )
    return (
        f"No installed font has {len(missing)} of the characters ({example}); labels show their "
        f"code points. {remedy}"
    )
