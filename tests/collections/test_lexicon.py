"""Lexicons: formats, both directions, word-by-word translation, and what is refused."""

import gzip
import logging

import pytest

from optical_ir.collections import Lexicon, read_lexicon, translate_words
from optical_ir.errors import ConfigError, DataError

ENTRIES = [("mto", "river"), ("ma'ana", "meaning"), ("mto", "pillow"), ("ci gaba", "go on")]
MANY_TRANSLATIONS = Lexicon([("a", "1"), ("a", "2 b"), ("a", "3"), ("b", "4")])


def write(path, text):
    data = text.encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def tsv(*, last=""):
    return "".join(f"{foreign}\t{english}{last}\n" for foreign, english in ENTRIES)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("x.tsv", tsv()),
        ("x.tsv.gz", tsv(last="\tsource\t7")),
        ("x.txt", "mto river\nma'ana\tmeaning\nmto  pillow\nci gaba\tgo on\n"),  # as in MUSE
        ("x.dict.tsv", "sw\ten\tsource\n" + tsv(last="\twiki")),
        ("x.csv", "mto,river\nma'ana,\"meaning\"\nmto,pillow\nci gaba,go on\n"),
        ("x.csv.gz", "".join(f'"{f}","{e}"\n' for f, e in [("swh-000", "eng-000"), *ENTRIES])),
        ("x.panlex.tsv", "meaning\ttxt_eng\ttxt_swh\n" + "".join(
            f"{number}\t{e}\t{f}\n" for number, (f, e) in enumerate(ENTRIES))),
    ],
)  # fmt: skip
def test_every_format_gives_the_same_lexicon(tmp_path, name, text):
    lexicon = read_lexicon(write(tmp_path / name, text))
    assert len(lexicon) == 4
    assert lexicon.translations("mto") == ["river", "pillow"]
    assert lexicon.translations("ma'ana") == ["meaning"]
    assert lexicon.translations("ci gaba") == ["go on"]


def test_commas_and_quotes_inside_csv_fields(tmp_path):
    path = write(tmp_path / "x.csv", 'sw,en\n"a, b","say ""go"""\n')
    assert read_lexicon(path).translations("a, b") == ['say "go"']


def test_query_lang_chooses_the_column(tmp_path):
    path = write(tmp_path / "x.tsv", "eng-000\thau-000\tswh-000\nriver\tkogi\tmto\n")
    assert read_lexicon(path, query_lang="sw").translations("mto") == ["river"]
    assert read_lexicon(path, query_lang="ha").translations("kogi") == ["river"]
    with pytest.raises(ConfigError, match=r"names ha, sw and en; .* found 'so'"):
        read_lexicon(path, query_lang="so")
    with pytest.raises(ConfigError, match=r"names ha, sw and en; .* found None"):
        read_lexicon(path)


def test_words_that_look_like_codes_are_entries(tmp_path):
    path = write(tmp_path / "x.tsv", "da\tthe\nen\tin\n")
    assert read_lexicon(path).translations("da") == ["the"]


def test_lookup_is_case_folded_and_order_is_that_of_the_file():
    lexicon = Lexicon([("Haus", "House"), ("haus", "home"), ("HAUS", "house")])
    assert lexicon.translations("hAUS") == ["House", "home"]
    assert lexicon.translations("maus") == []


def test_inverse_holds_the_same_pairs_the_other_way_round():
    lexicon = Lexicon([*ENTRIES, ("tafki", "river")])
    inverse = lexicon.inverse()
    assert inverse.translations("River") == ["mto", "tafki"]
    assert inverse.translations("go on") == ["ci gaba"]
    for word, english in [*ENTRIES, ("tafki", "river")]:
        assert word in inverse.translations(english)
        assert inverse.inverse().translations(word) == lexicon.translations(word)


def test_duplicates_are_left_out_and_counted(tmp_path, caplog):
    path = write(tmp_path / "x.tsv", "mto\triver\nMto\tRiver\tother\nmto\tpillow\nmto\triver\n")
    with caplog.at_level(logging.INFO):
        assert len(read_lexicon(path)) == 2
    assert "left out 2 duplicate entries" in caplog.text


@pytest.mark.parametrize(
    ("name", "line", "message"),
    [
        ("x.tsv", "one", r"x.tsv, line 2: expected 2 tab-separated .* named .csv"),
        ("x.txt", "ci gaba go on", r"line 2: .* 2 words separated by a blank, found 'ci gaba go"),
        ("x.tsv", "", r"line 2: expected 2 tab-separated"),
        ("x.tsv", "a\t ", r"line 2: expected a word on both sides, found 'a' and ''. Remove"),
        ("x.csv", "a", r"x.csv, line 2: expected 2 columns, .*, found 1: 'a'"),
        ("x.csv", '"a" b,c', r"line 2: is not CSV .*Quote fields"),
    ],
)
def test_a_bad_line_is_refused_with_file_line_and_remedy(tmp_path, name, line, message):
    first = "a,b" if name.endswith("csv") else "a\tb"
    with pytest.raises(DataError, match=message):
        read_lexicon(write(tmp_path / name, f"{first}\n{line}\n{first}\n"))


def test_columns_of_a_header_must_be_there(tmp_path):
    with pytest.raises(DataError, match=r"line 2: expected 3 columns.* found 2"):
        read_lexicon(write(tmp_path / "x.tsv", "sw\tsource\ten\nmto\t1\n"))


def test_a_lexicon_without_entries_is_refused(tmp_path):
    with pytest.raises(DataError, match="expected entries below the header, found none"):
        read_lexicon(write(tmp_path / "x.tsv", "sw\ten\n"))
    with pytest.raises(DataError, match="found an empty file"):
        read_lexicon(write(tmp_path / "empty.tsv", ""))


@pytest.mark.parametrize(
    ("n_translations", "expected"), [(1, "1 4"), (2, "1 2 b 4"), (None, "1 2 b 3 4"), (9, None)]
)
def test_first_translations_are_kept(n_translations, expected):
    translated = translate_words("a b", MANY_TRANSLATIONS, n_translations=n_translations)
    assert translated == (expected or "1 2 b 3 4")


def test_words_without_translation_and_punctuation_stay():
    lexicon = Lexicon([("ma'ana", "meaning"), ("\u092a\u093e\u0923\u0940", "water"), ("a", "x")])
    text = "Ina  MA\u2019ANA ne? '\u092a\u093e\u0923\u0940', Hausa-a: ba!"
    assert translate_words(text, lexicon) == "Ina  meaning ne? 'water', Hausa-x: ba!"
    assert translate_words(text, Lexicon([])) == text


def test_less_than_one_translation_is_refused():
    with pytest.raises(ValueError, match="expected at least 1 translation a word, got 0"):
        translate_words("a", MANY_TRANSLATIONS, n_translations=0)


@pytest.mark.data
@pytest.mark.parametrize("lang", ["hau", "mar", "som", "tgl", "yor"])
def test_real_lexicons_read_without_their_header(data_dir, lang):
    lexicon = read_lexicon(data_dir / "dict" / f"{lang}-en.dict.tsv", query_lang=lang)
    assert len(lexicon) > 4000
    assert not lexicon.inverse().translations("en")
    assert lexicon.inverse().translations("water")
