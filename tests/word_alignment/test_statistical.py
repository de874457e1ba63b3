"""Words aligned by eflomal: its links are counted, and it is asked for where it is missing."""

import sys
import types
from pathlib import Path

import pytest

from optical_ir.errors import DataError, DependencyError
from optical_ir.records import BitextPair
from optical_ir.word_alignment import count_by_eflomal, estimate_probabilities

PAIRS = [BitextPair("Mbwa, paka", "Dog cat"), BitextPair("?", "cat"), BitextPair("mbwa", "a dog")]


class FakeAligner:
    """Links words of one place forward, and everything to the first word in reverse."""

    def align(self, sources, targets, *, links_filename_fwd, links_filename_rev):
        """Write the links."""
        assert (sources, targets) == (["mbwa paka", "mbwa"], ["dog cat", "a dog"])
        Path(links_filename_fwd).write_text("0-0 1-1\n0-0\n")
        Path(links_filename_rev).write_text("0-0 0-1\n\n")


def test_links_of_both_directions_are_counted(monkeypatch):
    fake = types.SimpleNamespace(Aligner=FakeAligner)
    monkeypatch.setitem(sys.modules, "eflomal", fake)
    assert count_by_eflomal(PAIRS) == {
        "mbwa": {"dog": 2.0, "cat": 1.0, "a": 1.0},
        "paka": {"cat": 1.0},
    }
    with pytest.raises(DataError, match="words on both sides, found none among 1"):
        count_by_eflomal(PAIRS[1:2])


def test_it_is_asked_for_where_it_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "eflomal", None)
    with pytest.raises(DependencyError, match=r"Run: pip install eflomal .* aligner ot"):
        count_by_eflomal(PAIRS)


def test_identical_sentences_give_identity():
    pytest.importorskip("eflomal")
    texts = ["dog cat", "cat bird", "bird dog tree", "tree cat", "dog house", "house tree"] * 5
    counts = count_by_eflomal([BitextPair(text, text) for text in texts])
    for word, row in estimate_probabilities(counts).items():
        assert max(row, key=row.__getitem__) == word
