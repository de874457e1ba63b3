"""What is wrong with a translation is counted, and no query gets a hole."""

import json
import logging

import pytest

from optical_ir.errors import ConfigError
from optical_ir.files import lock_output
from optical_ir.records import Doc, Query
from optical_ir.translation import (
    Translation,
    write_translated_corpus,
    write_translated_topics,
)


@pytest.fixture
def queries(texts):
    return [Query(f"q{number}", text) for number, text in enumerate(texts)]


def test_queries_keep_ids_and_order(tmp_path, make_fake, queries):
    write_translated_topics(tmp_path / "out.tsv", queries, make_fake(), batch_size=2)
    lines = (tmp_path / "out.tsv").read_text("utf-8").splitlines()
    assert lines == [f"{query_id}\t{text[::-1].strip()}" for query_id, text in queries]


def test_bad_translations_are_counted_warned_of_and_listed(tmp_path, make_fake, queries, caplog):
    fake = make_fake()
    fake.answers = {
        queries[0].text: Translation("", False, False),
        queries[1].text: Translation(queries[1].text.upper(), True, False),
        queries[2].text: Translation("water", True, True),
    }
    queries.append(Query("q7", "2010 - 2020"))
    with caplog.at_level(logging.WARNING):
        tally = write_translated_topics(tmp_path / "out.tsv", queries, fake)
    lines = dict(line.split("\t") for line in (tmp_path / "out.tsv").read_text().splitlines())
    assert lines["q0"] == queries[0].text
    assert lines["q7"] == "2010 - 2020"
    assert "2010 - 2020" not in fake.batches[0]
    assert tally.summary() == {
        "texts": 8,
        "sentences": 8,
        "without_letters": 1,
        "empty": {"sentences": 1, "first_ids": ["q0"]},
        "untranslated": {"sentences": 1, "first_ids": ["q1"]},
        "cut": {"sentences": 2, "first_ids": ["q1", "q2"]},
        "unfinished": {"sentences": 1, "first_ids": ["q2"]},
    }
    for words in (
        "1 of 8 sentences have no translation, and their source text stands in for it, as in q0",
        "1 of 8 sentences came out as they went in, as in q1",
        "2 of 8 sentences were too long",
        "1 of 8 sentences were not finished",
    ):
        assert words in caplog.text


@pytest.mark.parametrize("copy", ["Paka anakula samaki", "PAKA anakula , samaki ."])
def test_a_copy_counts_as_untranslated_whatever_its_punctuation(tmp_path, make_fake, copy):
    fake = make_fake()
    fake.answers = {"Paka anakula samaki.": Translation(copy, False, False)}
    queries = [Query("q1", "Paka anakula samaki."), Query("q2", "Mbwa analala.")]
    tally = write_translated_topics(tmp_path / "out.tsv", queries, fake)
    assert tally.summary()["untranslated"] == {"sentences": 1, "first_ids": ["q1"]}


def test_counts_are_the_same_when_all_comes_from_the_cache(tmp_path, make_fake, queries):
    fake = make_fake()
    fake.answers = {queries[0].text: Translation("x", True, True)}
    first = write_translated_topics(tmp_path / "out.tsv", queries, fake)
    again = write_translated_topics(tmp_path / "out.tsv", queries, make_fake(), overwrite=True)
    assert again.summary() == first.summary()


def test_documents_are_translated_by_sentences_and_joined(tmp_path, make_fake, caplog):
    pytest.importorskip("sentencex", reason="the translate extra is not installed")
    docs = [
        Doc("d2", "Paka ni mweusi. Mbwa ni mweupe."),
        Doc("d1", "Mbwa ni mweupe."),
        Doc("e", " "),
    ]
    fake, done = make_fake(), []
    with caplog.at_level(logging.WARNING):
        tally = write_translated_corpus(
            tmp_path / "out.jsonl", docs, "sw", fake, advance=done.append
        )
    assert fake.batches == [["Mbwa ni mweupe.", "Paka ni mweusi."]]
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert rows == [
        {"id": "d2", "contents": "Paka ni mweusi."[::-1] + " " + "Mbwa ni mweupe."[::-1]},
        {"id": "d1", "contents": "Mbwa ni mweupe."[::-1]},
    ]
    assert tally.n_sentences == 3
    assert sum(done) == pytest.approx(len(docs))
    assert "1 documents without text were left out" in caplog.text


def test_an_output_that_exists_or_is_being_made_is_refused(tmp_path, make_fake, queries):
    output, fake = tmp_path / "out.tsv", make_fake()
    with lock_output(output), pytest.raises(ConfigError, match="another process is making it"):
        write_translated_topics(output, queries, fake)
    output.write_text("old")
    with pytest.raises(ConfigError, match="--overwrite"):
        write_translated_topics(output, queries, fake)
    assert fake.batches == []
