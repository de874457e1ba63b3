"""The verb learn-lexicon, and search by what it wrote."""

import json

import pytest

from optical_ir.collections import read_probabilistic_lexicon
from optical_ir.trec import read_run

FEW = ("--max-pairs", "20", "--batch-size", "8", "--device", "cpu")


@pytest.fixture(scope="module")
def teacher(work):
    return work / "teacher"


@pytest.fixture
def arguments(teacher, bitext, tmp_path):
    output = tmp_path / "lexicon.tsv"
    start = ("learn-lexicon", "--bitext", bitext, "--query-lang", "sw", "--encoder", teacher)
    return [*start, "--output", output, *FEW], output


def test_a_lexicon_comes_out_with_where_it_is_from(cli, arguments, teacher):
    command, output = arguments
    done = cli(*command, "--n-translations", "3")
    assert (done.code, done.out) == (0, ""), done.err
    lexicon = read_probabilistic_lexicon(output)
    assert all(len(lexicon.probabilities(row.foreign)) <= 3 for row in lexicon)
    origin = json.loads((output.parent / f"{output.name}.json").read_text("utf-8"))
    assert origin["settings"]["encoder"] == str(teacher)
    assert origin["settings"]["aligner"] == "ot"
    assert origin["settings"]["n_translations"] == 3
    assert origin["inputs"]["bitext"]["name"] == "bitext.sw-en.tsv"
    assert origin["lexicon"]["pairs"] == 20
    assert origin["lexicon"]["translations"] == len(lexicon)
    before = output.read_bytes()
    assert "exists. Choose another output or pass --overwrite" in cli(*command).error
    assert cli(*command, "--n-translations", "3", "--overwrite").code == 0
    assert output.read_bytes() == before


def test_the_entries_of_a_dictionary_are_learned_from_too(cli, arguments, tmp_path):
    command, output = arguments
    dictionary = tmp_path / "words.csv"
    dictionary.write_text("txt_eng,txt_swh\ndownpour,gharika\n", "utf-8")
    assert cli(*command, "--dictionary", dictionary).code == 0
    assert set(read_probabilistic_lexicon(output).probabilities("gharika")) == {"downpour"}
    origin = json.loads((tmp_path / f"{output.name}.json").read_text("utf-8"))
    assert origin["settings"]["dictionary"] == str(dictionary)
    assert origin["inputs"]["dictionary"]["name"] == "words.csv"
    assert origin["lexicon"]["pairs"] == 21


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (("--aligner", "giza"), "aligner: expected one of ot, eflomal, found 'giza'"),
        (("--plan", "best"), "plan: expected one of entropic"),
        (("--cumulative", "2"), "cumulative: expected a value above 0, at most 1, found 2.0"),
        (("--min-probability", "0"), "min_probability: expected a value from 1e-6 to 1"),
        (("--bitext", "none.tsv"), "none.tsv: expected a file, found none"),
        (("--dictionary", "none.tsv"), "none.tsv: expected a file, found none"),
    ],
)
def test_what_cannot_be_done_is_refused(cli, arguments, changes, words):
    command, output = arguments
    assert words in cli(*command, *changes).error
    assert list(output.parent.iterdir()) == []


@pytest.mark.java
def test_search_takes_the_lexicon(cli, java, work, tmp_path):
    lexicon, index, output = (tmp_path / name for name in ("lexicon.tsv", "lucene", "run"))
    lexicon.write_text("mkate\tbread\t0.8\nmkate\tloaf\t0.1\n", "utf-8")
    topics = tmp_path / "topics.tsv"
    topics.write_text("q1\tMkate\nq2\tbread\n", "utf-8")
    assert cli("index", "--collection", work / "demo", "--output", index).code == 0
    search = ("search", "--index", index, "--topics", topics, "--lexicon", lexicon)
    done = cli(*search, "--output", output)
    assert done.code == 0, done.err
    run = read_run(output)
    assert {row.doc_id for row in run["q1"]} >= {row.doc_id for row in run["q2"]} != set()
    assert output.read_text("utf-8").split()[5] == "bm25-psq"
    origin = json.loads((tmp_path / "run.json").read_text("utf-8"))
    assert origin["inputs"]["lexicon"]["name"] == "lexicon.tsv"
    lexicon.write_text("mkate\tbread\n", "utf-8")
    error = cli(*search, "--output", tmp_path / "other").error
    assert "lexicon.tsv, line 1: expected 3 tab-separated columns" in error
