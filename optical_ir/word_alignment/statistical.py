"""Words aligned by eflomal, a statistical aligner that needs nothing but the bitext.

References
----------
Östling and Tiedemann (2016), Efficient word alignment with Markov Chain Monte Carlo, PBML 106.
"""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from optical_ir.errors import DataError, DependencyError
from optical_ir.records import BitextPair
from optical_ir.word_alignment.counts import TranslationCounts
from optical_ir.words import WORD, fold_word

_MAX_WORDS = 1000
"""Longer sentences are left out: eflomal has room for 1,024 words and does not check."""


def count_by_eflomal(pairs: Sequence[BitextPair]) -> TranslationCounts:
    """Count the links between words, those of both directions of the alignment together.

    Eflomal samples with a seed of its own, so counts differ a little from run to run.

    Raises
    ------
    DependencyError
        If eflomal is missing.
    DataError
        If no pair has words on both sides.
    """
    try:
        import eflomal
    except ImportError as err:
        raise DependencyError(
            "The statistical aligner eflomal is not installed. Run: pip install eflomal (it is "
            "under the GPL and needs a C compiler), or choose the aligner ot."
        ) from err
    sentences = [
        sides
        for sides in ((_words(pair.source), _words(pair.target)) for pair in pairs)
        if all(0 < len(side) <= _MAX_WORDS for side in sides)
    ]
    if not sentences:
        raise DataError(
            f"expected sentence pairs with words on both sides, found none among {len(pairs)}. "
            "Check the bitext."
        )
    counts: TranslationCounts = {}
    with TemporaryDirectory() as folder:
        files = [Path(folder, name) for name in ("forward", "reverse")]
        eflomal.Aligner().align(
            *([" ".join(words) for words in side] for side in zip(*sentences, strict=True)),
            links_filename_fwd=str(files[0]),
            links_filename_rev=str(files[1]),
        )
        for file in files:
            lines = file.read_text("utf-8").splitlines()
            for (source, target), line in zip(sentences, lines, strict=True):
                _add_links(counts, source, target, line)
    return counts


def _words(text: str) -> list[str]:
    return [fold_word(word) for word in WORD.findall(text)]


def _add_links(
    counts: TranslationCounts, source: Sequence[str], target: Sequence[str], links: str
) -> None:
    """Add the links of a sentence pair, in the form ``0-0 1-2``."""
    for link in links.split():
        place, other = map(int, link.split("-"))
        entries = counts.setdefault(source[place], {})
        entries[target[other]] = entries.get(target[other], 0.0) + 1.0
