"""align and explain from the command line, on a student, its teacher and their index."""

import json
import re

import pytest

from optical_ir.trec import read_run

SENTENCES = ("paka mweusi, mbwa!", "the black cat, the dog")


def test_align_prints_a_table_and_draws(cli, work, tmp_path):
    path = tmp_path / "plan.svg"
    command = ("align", "--encoder", work / "student-sw", "--teacher", work / "teacher")
    done = cli(*command, *SENTENCES, "--words", "--output", path)
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    assert [line.split()[0] for line in lines[1:4]] == ["paka", "mweusi", "mbwa"]
    assert re.fullmatch(r"transport cost \d\.\d{4}, mass 1\.000", lines[-1])
    assert "mweusi" in path.read_text("utf-8")
    origin = json.loads((tmp_path / "plan.svg.json").read_text("utf-8"))
    assert origin["settings"]["translation"] == SENTENCES[1]
    assert "exists" in cli(*command, *SENTENCES, "--output", path).error


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("", "cat"), "expected a foreign sentence with words, found ''"),
        (("paka", "cat", "--plan", "best"), "plan: expected one of entropic"),
        (("paka", "cat", "--output", "plan.pdf"), "ends in .png or .svg, found '.pdf'"),
    ],
)
def test_align_refuses_bad_input(cli, work, arguments, error):
    assert error in cli("align", "--encoder", work / "teacher", *arguments).error


def test_explained_scores_are_those_that_search_writes(cli, work, tmp_path):
    query = "paka mweusi wa mbwa?"
    (tmp_path / "topics.tsv").write_text(f"q1\t{query}\n", "utf-8")
    shared = ("--index", work / "index", "--encoder", work / "student-sw")
    run = tmp_path / "run.trec"
    found = cli("search", *shared, "--topics", tmp_path / "topics.tsv", "--output", run)
    assert found.code == 0, found.err
    done = cli("explain", *shared, "--query", query, "-k", "4")
    assert done.code == 0, done.err
    expected = [(row.doc_id, f"{row.score:.4f}") for row in read_run(run)["q1"][:4]]
    assert re.findall(r"^\d  (\S+)   score (\S+),", done.out, re.MULTILINE) == expected
    doc_id = expected[2][0]
    one = cli("explain", *shared, "--query", query, "--doc-id", doc_id, "--collection", "demo")
    assert f"1  {doc_id}   score {expected[2][1]}," in one.out


def test_explain_refuses_unknown_documents_and_other_collections(cli, work, tmp_path):
    shared = ("explain", "--index", work / "index", "--encoder", work / "teacher")
    assert "none of that id among" in cli(*shared, "--query", "dog", "--doc-id", "x").error
    (tmp_path / "corpus.jsonl").write_text('{"id": "d1", "contents": "dog"}\n')
    other = cli(*shared, "--query", "dog", "--doc-id", "d1", "--collection", tmp_path)
    assert "Name the collection" in other.error
