"""Verbs that let an encoder read foreign texts with their glosses."""

import json

import pytest

from optical_ir.collections import read_gloss_lexicon
from optical_ir.glosses import gloss_queries
from optical_ir.models import load_encoder
from optical_ir.records import Query
from optical_ir.trec import read_run, read_topics, write_topics


@pytest.fixture(scope="module")
def lexicon(work):
    path = work / "lexicon.tsv"
    # Coffee, kahawa, is guessed from another form of its word.
    path.write_text("nini\twhat\t0.9\nkahawani\tcoffee\t0.8\nwa\tof\t0.7\nni\tis\t0.6\n", "utf-8")
    return path


@pytest.fixture
def topics(work, lexicon, tmp_path):
    """Give the queries of the demo in a file, and the same with their glosses."""
    own, glossed = tmp_path / "own.tsv", tmp_path / "glossed.tsv"
    # A short one, as the tiny encoder reads the others not to the end of their glosses.
    queries = [*read_topics(work / "demo" / "topics.sw.tsv"), Query("short", "kahawa")]
    write_topics(own, queries)
    write_topics(glossed, gloss_queries(queries, read_gloss_lexicon(lexicon)))
    assert "coffee" in glossed.read_text("utf-8")
    return own, glossed


def test_search_and_rerank_read_queries_with_their_glosses(cli, work, lexicon, topics, tmp_path):
    own, glossed = topics
    teacher, index = ("--encoder", work / "teacher"), ("--index", work / "index")
    base = ("search", *index, *teacher, "--topics")
    assert cli(*base, own, "--lexicon", lexicon, "--output", tmp_path / "run").code == 0
    assert cli(*base, glossed, "--output", tmp_path / "expected").code == 0
    assert cli(*base, own, "--output", tmp_path / "plain").code == 0
    run = read_run(tmp_path / "run")
    assert run == read_run(tmp_path / "expected") != read_run(tmp_path / "plain")
    assert (tmp_path / "run").read_text("utf-8").split()[5] == "teacher"
    origin = json.loads((tmp_path / "run.json").read_text("utf-8"))
    assert origin["inputs"]["lexicon"]["name"] == "lexicon.tsv"
    rerank = ("rerank", "--run", tmp_path / "plain", *index, *teacher, "--topics", own)
    output = tmp_path / "reranked"
    assert cli(*rerank, "--lexicon", lexicon, "--output", output).code == 0
    assert read_run(output) == run
    origin = json.loads((tmp_path / "reranked.json").read_text("utf-8"))
    assert origin["inputs"]["lexicon"]["name"] == "lexicon.tsv"


def test_another_engine_is_asked_with_glosses(cli, work, lexicon, topics, tmp_path):
    pytest.importorskip("lancedb", reason="the lancedb extra is not installed")
    own, glossed = topics
    address = f"lancedb:{tmp_path}/stores/english"
    assert cli("export-index", "--index", work / "index", "--to", address).code == 0
    base = ("search-exported", "--index", address, "--encoder", work / "teacher", "--topics")
    assert cli(*base, own, "--lexicon", lexicon, "--output", tmp_path / "run").code == 0
    assert cli(*base, glossed, "--output", tmp_path / "expected").code == 0
    assert cli(*base, own, "--output", tmp_path / "plain").code == 0
    run = read_run(tmp_path / "run")
    assert run == read_run(tmp_path / "expected") != read_run(tmp_path / "plain")
    origin = json.loads((tmp_path / "run.json").read_text("utf-8"))
    assert origin["inputs"]["lexicon"]["name"] == "lexicon.tsv"


def test_encoded_queries_have_their_glosses(cli, work, lexicon, topics, tmp_path):
    own, glossed = topics
    base = ("encode-queries", "--encoder", work / "teacher", "--topics")
    assert cli(*base, own, "--lexicon", lexicon, "--output", tmp_path / "vectors").code == 0
    assert cli(*base, glossed, "--output", tmp_path / "expected").code == 0
    for name in ("topics.tsv", "vectors.tsv"):
        expected = (tmp_path / "expected" / name).read_bytes()
        assert (tmp_path / "vectors" / name).read_bytes() == expected


def test_a_student_of_glosses_remembers_it(cli, caplog, work, bitext, lexicon, topics, tmp_path):
    student = tmp_path / "student"
    distil = ("distil", "--teacher", work / "teacher", "--bitext", bitext, "--query-lang", "sw")
    distil = (*distil, "--lexicon", lexicon, "--max-steps", "1", "--batch-size", "4")
    assert cli(*distil, "--dev-pairs", "4", "--output", student).code == 0
    origin = json.loads((student / "optical.json").read_text("utf-8"))["origin"]
    assert list(origin["settings"]["gloss"]) == ["sw"]
    assert origin["settings"]["max_length"] == 128
    assert origin["inputs"]["lexicon"]["name"] == "lexicon.tsv"
    # The tiny model reads no more.
    assert load_encoder(student)[0].query_length == 64
    search = ("search", "--index", work / "index", "--encoder", student, "--topics", topics[0])
    assert cli(*search, "--lexicon", lexicon, "--output", tmp_path / "with").code == 0
    assert "glosses" not in caplog.text
    assert cli(*search, "--output", tmp_path / "without").code == 0
    assert "glosses; without a lexicon they have none" in caplog.text


def test_a_length_that_is_given_is_kept(cli, work, bitext, lexicon, tmp_path):
    distil = ("distil", "--teacher", work / "teacher", "--bitext", bitext, "--query-lang", "sw")
    distil = (*distil, "--lexicon", lexicon, "--config", work / "settings.toml")
    assert cli(*distil, "--max-steps", "1", "--output", tmp_path / "student").code == 0
    origin = json.loads((tmp_path / "student" / "optical.json").read_text("utf-8"))["origin"]
    assert origin["settings"]["max_length"] == 32


def test_a_damaged_lexicon_is_met_before_any_work(cli, work, bitext, topics, tmp_path):
    bad, output = tmp_path / "bad.tsv", tmp_path / "out"
    bad.write_text("kahawa\tcoffee\n", "utf-8")
    encoder = ("--encoder", work / "teacher")
    for start in (
        ("search", "--index", work / "index", *encoder, "--topics", topics[0]),
        ("search-exported", "--index", "lancedb:nowhere/english", *encoder, "--topics", topics[0]),
        ("encode-queries", *encoder, "--topics", topics[0]),
        ("distil", "--teacher", work / "teacher", "--bitext", bitext, "--query-lang", "sw"),
    ):
        error = cli(*start, "--lexicon", bad, "--output", output).error
        assert "bad.tsv, line 1: expected 3 tab-separated columns" in error
        assert not output.exists()


def test_align_and_explain_show_the_words_of_a_gloss(cli, work, lexicon, tmp_path):
    teacher, plan = ("--encoder", work / "teacher"), tmp_path / "plan.svg"
    texts = ("kahawa ni nini", "what is coffee")
    aligned = cli("align", *teacher, *texts, "--words", "--lexicon", lexicon, "--output", plan)
    assert aligned.code == 0, aligned.err
    words = [line.split()[0] for line in aligned.out.splitlines()[1:7]]
    assert words == "kahawa ni nini coffee is what".split()
    origin = json.loads((tmp_path / "plan.svg.json").read_text("utf-8"))
    assert origin["inputs"]["lexicon"]["name"] == "lexicon.tsv"
    explain = ("explain", *teacher, "--index", work / "index", "--query")
    with_lexicon = cli(*explain, texts[0], "--lexicon", lexicon)
    assert with_lexicon.code == 0, with_lexicon.err
    assert with_lexicon.out == cli(*explain, f"{texts[0]} coffee is what").out
