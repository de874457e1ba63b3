"""TSV and Moses bitext: what is read, and what is refused with its line."""

import gzip
import logging

import pytest

from optical_ir.collections import read_bitext, sample_pairs
from optical_ir.errors import ConfigError, DataError
from optical_ir.records import BitextPair

PAIRS = [BitextPair("habari", "news"), BitextPair("mto \u00e9", "a river")]
TSV = "habari\tnews\n mto \u00e9 \ta river\tsource\t7\n"


@pytest.mark.parametrize("name", ["sw-en.tsv", "sw-en.tsv.gz"])
def test_tsv_gives_foreign_and_english(tmp_path, name):
    data = TSV.encode()
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith("gz") else data)
    assert read_bitext(tmp_path / name) == PAIRS


def test_text_is_left_as_it_is(tmp_path):
    text = "e\u0301 \u00ab x\u00a0y \u00bb"
    (tmp_path / "x.tsv").write_text(f"{text}\tA  b.\n", encoding="utf-8")
    assert read_bitext(tmp_path / "x.tsv") == [BitextPair(text, "A  b.")]


def test_exact_duplicates_are_left_out_and_counted(tmp_path, caplog):
    (tmp_path / "x.tsv").write_text("a\tA\nb\tB\na\tA\na\tother\n a\tA \n")
    with caplog.at_level(logging.INFO):
        pairs = read_bitext(tmp_path / "x.tsv")
    assert pairs == [BitextPair("a", "A"), BitextPair("b", "B"), BitextPair("a", "other")]
    assert "left out 2 duplicate pairs" in caplog.text


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("one column", r"x.tsv, line 2: expected 2 tab-separated columns .* found 1: 'one column'"),
        ("", "line 2: expected 2 tab-separated columns"),
        ("a\t ", r"line 2: expected text on both sides, found 'a' and ''. Remove .* awk"),
        ("\tb\tc", "line 2: expected text on both sides, found '' and 'b'"),
    ],
)
def test_a_bad_line_is_refused_with_file_line_and_remedy(tmp_path, line, message):
    (tmp_path / "x.tsv").write_text(f"a\tb\n{line}\nc\td\n")
    with pytest.raises(DataError, match=message):
        read_bitext(tmp_path / "x.tsv")


def test_a_file_without_pairs_is_refused(tmp_path):
    (tmp_path / "x.tsv").touch()
    with pytest.raises(DataError, match="expected at least one line, found an empty file"):
        read_bitext(tmp_path / "x.tsv")
    with pytest.raises(DataError, match="expected a file, found none"):
        read_bitext(tmp_path / "none.tsv")


@pytest.fixture
def moses(tmp_path):
    (tmp_path / "corpus.en-sw.sw").write_text("habari\nmto \u00e9\n", encoding="utf-8")
    (tmp_path / "corpus.en-sw.en").write_text("news\na river \n")
    return tmp_path


def test_moses_files_pair_by_the_foreign_file_or_by_prefix(moses):
    assert read_bitext(moses / "corpus.en-sw.sw") == PAIRS
    assert read_bitext(moses / "corpus.en-sw", query_lang="sw") == PAIRS


def test_compressed_moses_files_pair_alike(moses):
    for path in list(moses.iterdir()):
        path.with_name(path.name + ".gz").write_bytes(gzip.compress(path.read_bytes()))
    assert read_bitext(moses / "corpus.en-sw.sw.gz") == PAIRS


def test_moses_files_of_different_length_are_refused_with_both_counts(moses):
    (moses / "corpus.en-sw.en").write_text("news\na river\nmore\neven more\n")
    with pytest.raises(DataError, match=r"expected as many lines in both, found 2 and 4"):
        read_bitext(moses / "corpus.en-sw.sw")


def test_an_empty_moses_line_is_refused(moses):
    (moses / "corpus.en-sw.en").write_text("news\n \n")
    with pytest.raises(DataError, match=r"line 2: expected text on both sides.*paste"):
        read_bitext(moses / "corpus.en-sw.sw")


def test_a_moses_file_without_its_other_half_is_refused(moses):
    with pytest.raises(ConfigError, match="found the English one"):
        read_bitext(moses / "corpus.en-sw.en")
    with pytest.raises(DataError, match=r"found no corpus.en-sw.so. Name the files so"):
        read_bitext(moses / "corpus.en-sw", query_lang="so")
    with pytest.raises(DataError, match="a Moses prefix needs a query language"):
        read_bitext(moses / "corpus.en-sw")
    (moses / "corpus.en-sw.en").unlink()
    with pytest.raises(DataError, match=r"found no corpus.en-sw.en"):
        read_bitext(moses / "corpus.en-sw.sw")


@pytest.mark.data
@pytest.mark.parametrize("folder", ["bitext", "bitext-questions"])
def test_real_bitext_reads_with_every_line(data_dir, folder):
    files = sorted((data_dir / folder).glob("*.tsv"))
    assert files
    for file in files:
        with file.open("rb") as stream:
            n_lines = sum(1 for _ in stream)
        assert len(read_bitext(file)) == n_lines, file


def test_pairs_of_excluded_sources_are_left_out_and_a_source_not_there_is_named(tmp_path, caplog):
    path = tmp_path / "x.tsv"
    path.write_text("paka\tcat\tnews\nmbwa\tdog\tbible\nndege\tbird\n")
    with caplog.at_level("INFO", "optical_ir"):
        pairs = read_bitext(path, exclude_sources=["bible"])
    assert [pair.target for pair in pairs] == ["cat", "bird"]
    assert "left out 1 pairs of bible" in caplog.text
    with pytest.raises(ConfigError, match="expected source 'bibel' in the third column"):
        read_bitext(path, exclude_sources=["bibel"])


def test_samples_depend_on_the_pairs_only_and_hold_each_other():
    pairs = [BitextPair(f"s{number}", f"t{number}") for number in range(20)]
    assert sample_pairs(pairs[::-1], 7) == sample_pairs(pairs, 7)
    assert sample_pairs(pairs, 12)[:7] == sample_pairs(pairs, 7)
    assert sorted(sample_pairs(pairs, 99)) == sorted(pairs)
