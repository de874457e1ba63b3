"""Lexicons with probabilities: what goes in comes out, and what is refused."""

import pytest

from optical_ir.collections import (
    ProbabilisticLexicon,
    TranslationProbability,
    read_lexicon,
    read_probabilistic_lexicon,
    write_probabilistic_lexicon,
)
from optical_ir.errors import ConfigError, DataError

ROWS = [
    TranslationProbability("mto", "river", 0.7),
    TranslationProbability("Ma\u2019ana", "Meaning", 1 / 3),
    TranslationProbability("mto", "pillow", 0.25),
]


@pytest.mark.parametrize("name", ["x.tsv", "x.tsv.gz"])
def test_what_is_written_is_read(tmp_path, name):
    lexicon = ProbabilisticLexicon(ROWS)
    write_probabilistic_lexicon(tmp_path / name, lexicon)
    again = read_probabilistic_lexicon(tmp_path / name)
    assert len(again) == 3
    assert again.probabilities("MTO") == {"river": 0.7, "pillow": 0.25}
    assert again.probabilities("ma'ana") == {"meaning": pytest.approx(1 / 3, abs=1e-6)}
    assert again.probabilities("maji") == {}
    assert [row[:2] for row in again] == [row[:2] for row in lexicon]
    with pytest.raises(ConfigError, match="exists"):
        write_probabilistic_lexicon(tmp_path / name, lexicon)


def test_plain_lexicons_read_the_same_file_the_likeliest_first(tmp_path):
    write_probabilistic_lexicon(tmp_path / "x.tsv", ProbabilisticLexicon(ROWS))
    assert read_lexicon(tmp_path / "x.tsv").translations("mto") == ["river", "pillow"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a\tb", r"x.tsv, line 2: expected 3 tab-separated columns .*found 2: .*learn-lexicon"),
        ("a\tb\t.5\tsource", "line 2: expected 3 tab-separated columns .*found 4"),
        ("a b .5", "line 2: expected 3 tab-separated columns .*found 1"),
        ("a\tb\t", "line 2: expected a probability above 0 and at most 1, found ''"),
        ("a\tb\thigh", "line 2: expected a probability .*found 'high'. Correct or remove"),
        ("a\tb\tnan", "line 2: expected a probability .*found 'nan'"),
        ("a\tb\t-0.1", r"line 2: expected a probability .*found -0.1"),
        ("a\tb\t0", r"line 2: expected a probability .*found 0.0"),
        ("a\tb\t1.1", r"line 2: expected a probability .*found 1.1"),
        ("\tb\t.5", "line 2: expected a word on both sides, found '' and 'b'"),
        ("Foreign\tEnglish\t.1", "line 2: expected each pair once, found 'foreign' 'english'"),
        ("foreign\tb\t.6", r"line 2: expected probabilities of 'foreign' .*found 1.1000"),
    ],
)
def test_a_bad_line_is_refused_with_file_line_and_remedy(tmp_path, line, message):
    path = tmp_path / "x.tsv"
    path.write_text(f"foreign\tenglish\t0.5\n{line}\nc\td\t1\n")
    with pytest.raises(DataError, match=message):
        read_probabilistic_lexicon(path)


def test_rounded_probabilities_may_sum_to_a_little_more_than_one():
    rows = [TranslationProbability("a", str(number), 0.333334) for number in range(3)]
    assert len(ProbabilisticLexicon(rows)) == 3
