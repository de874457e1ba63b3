"""The verb translate: outputs, what it refuses, and a kill at any sentence."""

import json
import random
import re
import shlex
from pathlib import Path

import pytest
import typer

from optical_ir.cli import app
from optical_ir.collections import demo_folder, load_collection
from optical_ir.translation.transformers_engine import TransformersTranslator

DOCS = Path(__file__).resolve().parents[2] / "docs" / "baselines.md"
SHORT = ("--num-beams", "2", "--max-new-tokens", "8", "--device", "cpu", "--batch-size", "4")


@pytest.fixture(scope="module")
def model(make_translator_folder):
    return make_translator_folder("nllb")


@pytest.fixture(scope="module")
def topics(tmp_path_factory):
    """Give ten Swahili queries."""
    path = tmp_path_factory.mktemp("topics") / "topics.sw.tsv"
    lines = (demo_folder() / "topics.sw.tsv").read_text("utf-8").splitlines(keepends=True)
    path.write_text("".join(lines[:10]), "utf-8")
    return path


@pytest.fixture
def arguments(model, topics, tmp_path):
    output = tmp_path / "topics.sw.en.tiny.tsv"
    start = ("translate", "--model", model, "--query-lang", "sw", "--topics", topics)
    return [*start, "--output", output, *SHORT], output


def test_topics_come_out_with_their_ids_and_where_they_are_from(cli, arguments, topics, caplog):
    command, output = arguments
    done = cli(*command)
    assert (done.code, done.out) == (0, ""), done.err
    ids = [line.split("\t")[0] for line in topics.read_text("utf-8").splitlines()]
    rows = [line.split("\t") for line in output.read_text("utf-8").splitlines()]
    assert [row[0] for row in rows] == ids
    assert all(len(row) == 2 and row[1] for row in rows)
    origin = json.loads((output.parent / f"{output.name}.json").read_text("utf-8"))
    assert origin["translator"]["source"] == "swh_Latn"
    assert origin["translator"]["target"] == "eng_Latn"
    assert len(origin["translator"]["model"]) == 64
    assert origin["translation"]["sentences"] == 10
    assert origin["inputs"]["topics"]["name"] == "topics.sw.tsv"
    assert set(origin["translation"]) >= {"empty", "untranslated", "cut", "unfinished"}
    unfinished = origin["translation"]["unfinished"]["sentences"]
    assert f"{unfinished} of 10 sentences were not finished" in caplog.text
    assert "exists. Choose another output or pass --overwrite" in cli(*command).error


@pytest.mark.parametrize("seed", range(3))
def test_a_killed_run_goes_on_to_the_same_bytes(cli, arguments, monkeypatch, caplog, seed):
    command, output = arguments
    assert cli(*command).code == 0
    cache = output.with_name(f"{output.name}.cache")
    expected, whole = output.read_bytes(), cache.read_bytes()
    output.unlink()
    cache.write_bytes(whole[: random.Random(seed).randrange(len(whole))])
    n_kept = cache.read_bytes().count(b"\n")
    ends_a_line = cache.read_bytes()[-1:] in (b"", b"\n")
    translate, sent = TransformersTranslator.translate, []

    def counted(self, texts):
        sent.extend(texts)
        return translate(self, texts)

    monkeypatch.setattr(TransformersTranslator, "translate", counted)
    done = cli(*command)
    assert done.code == 0, done.err
    assert output.read_bytes() == expected
    assert cache.read_bytes() == whole
    assert len(sent) == 10 - n_kept // 4 * 4
    assert ("1 lines are half written" in caplog.text) == (not ends_a_line)


def test_ctrl_c_keeps_the_batches_that_are_done(cli, arguments, monkeypatch):
    command, output = arguments
    translate, sent = TransformersTranslator.translate, []

    def killed(self, texts):
        if len(sent) == 4:
            sent.append("killed")
            raise KeyboardInterrupt
        sent.extend(texts)
        return translate(self, texts)

    monkeypatch.setattr(TransformersTranslator, "translate", killed)
    done = cli(*command)
    assert done.code == 130
    assert "the same command goes on" in " ".join(done.err.split())
    cache = output.with_name(f"{output.name}.cache")
    assert [path.name for path in output.parent.iterdir()] == [cache.name]
    assert cli(*command).code == 0
    assert len(sent) == 10 + 1
    assert cli(*command, "--overwrite").code == 0
    assert len(sent) == 10 + 1


def test_the_cache_of_another_model_is_not_used(cli, arguments, make_translator_folder):
    command, output = arguments
    assert cli(*command).code == 0
    first = output.read_bytes()
    command[2] = make_translator_folder("nllb", 1)
    assert cli(*command, "--overwrite").code == 0
    assert output.read_bytes() != first
    cache = output.with_name(f"{output.name}.cache")
    assert cache.read_bytes().count(b"\n") == 20


def test_a_collection_comes_out_as_a_corpus(cli, model, tmp_path):
    pytest.importorskip("sentencex", reason="the translate extra is not installed")
    folder = tmp_path / "swahili"
    folder.mkdir()
    docs = [("d1", "Paka ni mweusi. Mbwa ni mweupe."), ("d2", "Maji.")]
    lines = [json.dumps({"id": doc_id, "contents": text}) for doc_id, text in docs]
    (folder / "corpus.jsonl").write_text("\n".join(lines) + "\n")
    command = ["translate", "--model", model, "--collection", folder, *SHORT]
    output = tmp_path / "english" / "corpus.jsonl"
    command += ["--output", output]
    assert "Give it as --doc-lang" in cli(*command).error
    done = cli(*command, "--doc-lang", "sw")
    assert done.code == 0, done.err
    assert [doc.doc_id for doc in load_collection(output.parent).iter_docs()] == ["d1", "d2"]
    origin = json.loads((output.parent / "corpus.jsonl.json").read_text("utf-8"))
    assert (origin["translation"]["texts"], origin["translation"]["sentences"]) == (2, 3)
    assert len(origin["inputs"]["collection"]["sha256"]) == 64


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"--query-lang": None}, "Give it as --query-lang"),
        ({"--topics": None}, "expected one of --topics and --collection"),
        ({"--query-lang": "nds"}, "found 'nds', which is none of its 6"),
        ({"--query-lang": "swahili"}, "Did you mean one of: sw"),
        ({"--target-lang": "yue"}, "Did you mean one of: zho_Han"),
        ({"--target-lang": "sw"}, "There is nothing to translate"),
        ({"--model": "./none"}, "expected a folder, found none"),
    ],
)
def test_what_cannot_be_done_is_refused(cli, arguments, changes, words):
    command, output = arguments
    given = dict(zip(command[1::2], command[2::2], strict=True)) | changes
    flags = [part for pair in given.items() if pair[1] is not None for part in pair]
    assert words in cli("translate", *flags).error
    assert list(output.parent.iterdir()) == []


def page_commands():
    blocks = re.findall(r"^```sh\n(.*?)^```", DOCS.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    text = "\n".join(blocks).replace("\\\n", " ")
    lines = (shlex.split(line, comments=True) for line in text.splitlines())
    return [line[1:] for line in lines if line and line[0] == "optical-ir"]


@pytest.mark.parametrize("arguments", page_commands(), ids=" ".join)
def test_commands_of_the_page_parse(arguments):
    group = typer.main.get_command(app)
    name, *rest = arguments
    verb = group.get_command(typer.Context(group), name)
    assert verb.make_context(name, rest).params


def test_translations_are_scored(cli, tmp_path):
    pytest.importorskip("sacrebleu", reason="the translate extra is not installed")
    human = demo_folder() / "topics.en.tsv"
    done = cli("score-translation", "--topics", human, "--reference", human)
    assert done.code == 0, done.err
    first, second = done.out.splitlines()
    assert first.startswith("BLEU 100.00 over 48 queries, nrefs:1|")
    assert second.startswith("chrF 100.00 over 48 queries, nrefs:1|")
    own = demo_folder() / "topics.sw.tsv"
    done = cli("score-translation", "--topics", own, "--reference", human, "--format", "json")
    scores = json.loads(done.out)
    assert scores["n_queries"] == 48
    assert 0 <= scores["BLEU"]["score"] < 5
    assert (
        "found 'x'"
        in cli("score-translation", "--topics", own, "--reference", human, "--format", "x").error
    )
