"""evaluate, compare and score-translation say what was scored."""

import json

import pytest

from optical_ir.collections import demo_folder
from optical_ir.signatures import parse_signature

QRELS = "q1 0 d1 1\nq2 0 d2 1\n"
RUN = "q1 Q0 d1 1 2.0 x\nq2 Q0 d9 1 2.0 x\n"


@pytest.fixture
def files(tmp_path):
    qrels, first, second = (tmp_path / name for name in ("qrels.txt", "run.a.trec", "run.b.trec"))
    qrels.write_text(QRELS)
    first.write_text(RUN)
    second.write_text(RUN.replace("d9", "d2"))
    return qrels, first, second


@pytest.mark.parametrize("verb", ["evaluate", "compare"])
def test_signatures_follow_the_table(cli, files, verb):
    plain, signed = cli(verb, *files), cli(verb, *files, "--signature", "short")
    assert signed.code == 0, signed.err
    assert signed.out.startswith(plain.out)
    lines = signed.out[len(plain.out) :].split()
    assert lines[::2] == ["a:", "b:"]
    found = [parse_signature(line) for line in lines[1::2]]
    assert [list(signature) for signature in found] == 2 * [["qrels", "run", "measures"]]
    assert found[0]["run"] != found[1]["run"]
    assert found[0]["measures"].startswith("ranx-")
    done = cli(verb, *files, "--signature", "verbose", "--format", "json")
    assert [parse_signature(x) for x in json.loads(done.out)["signatures"].values()] == found


def test_what_has_no_room_or_is_unknown_is_refused(cli, files):
    assert "found 'long'" in cli("evaluate", *files, "--signature", "long").error
    done = cli("evaluate", *files, "--signature", "short", "--format", "tsv")
    assert "Signatures need a format out of text, markdown, json, found 'tsv'" in done.error


def test_a_fused_run_is_signed(cli, files, tmp_path):
    output = tmp_path / "run.fused.trec"
    assert cli("fuse", *files[1:], "--output", output).code == 0
    origin = json.loads((tmp_path / "run.fused.trec.json").read_text("utf-8"))
    signature = parse_signature(origin["signature"])
    assert (signature["fusion"], signature["system"]) == ("rrf,60", "rrf")
    done = cli("evaluate", files[0], output, "--signature", "verbose")
    assert "fusion:rrf,60" in done.out


@pytest.mark.java
def test_a_bm25_run_names_its_translation_and_engine(cli, java, tmp_path):
    index = tmp_path / "lucene"
    assert cli("index", "--collection", demo_folder(), "--output", index).code == 0
    topics = tmp_path / "topics.sw.en.tsv"
    topics.write_text("q1\thow do I bake bread\n")
    identity = {"model": "ab" * 32, "num_beams": 5}
    translated = {"settings": {"model": "/models/marian-sw"}, "translator": identity}
    (tmp_path / "topics.sw.en.tsv.json").write_text(json.dumps(translated))
    output = tmp_path / "run.bm25-marian.trec"
    done = cli("search", "--index", index, "--topics", topics, "--output", output)
    assert done.code == 0, done.err
    origin = json.loads((tmp_path / "run.bm25-marian.trec.json").read_text("utf-8"))
    signature = parse_signature(origin["signature"])
    assert signature["translation"] == "marian-sw@abababababab"
    assert (signature["beams"], signature["bm25"]) == ("5", "0.9,0.4")
    assert signature["anserini"] and signature["lucene"].split(".")[0].isdigit()
    built = json.loads((index / "index.json").read_text("utf-8"))
    assert signature["index"] == built["corpus_sha256"][:12]
