"""The verbs that meet Pyserini: environment, export, encode-queries, index-vectors; and rerank."""

import json
import shlex

import pandas as pd
import pytest

from optical_ir.models import load_encoder, load_single_vector
from optical_ir.trec import read_run, read_topics


@pytest.mark.java
def test_environment_prints_shell_lines_and_says_what_it_found(java, cli, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("JAVA_HOME", raising=False)
    done = cli("environment")
    assert done.code == 0
    variables = dict(shlex.split(line)[1].split("=", 1) for line in done.out.splitlines() if line)
    assert variables["OPENAI_API_KEY"] == "unused"
    assert variables["PATH"].startswith(variables["JAVA_HOME"])
    assert "Pyserini" in done.err


@pytest.mark.parametrize("flags", [[], ["--single-vector", "--muvera"]])
def test_export_wants_one_form(cli, work, tmp_path, flags):
    error = cli("export", "--encoder", work / "teacher", "--output", tmp_path / "x", *flags).error
    assert error == "expected one of --single-vector, --muvera and --vocabulary. Choose one."


@pytest.mark.parametrize(
    ("flags", "dim"),
    [
        (["--single-vector"], 32),
        (["--muvera", "--repetitions", "3", "--bits", "2", "--projection", "5"], 60),
    ],
)
def test_exported_folder_says_what_it_is_and_where_it_comes_from(cli, work, tmp_path, flags, dim):
    output = tmp_path / "x"
    done = cli("export", "--encoder", work / "student-sw", "--output", output, *flags)
    assert done.code == 0
    assert load_single_vector(output, device="cpu").dim == dim
    description = json.loads((output / "optical.json").read_text())
    assert description["origin"]["settings"]["encoder"] == str(work / "student-sw")
    assert description["role"] == flags[0].removeprefix("--")
    assert (f"{dim} dimensions" in done.out) == (flags[0] == "--muvera")


def test_export_of_a_vocabulary_says_what_is_left(cli, make_unigram_checkpoint, tmp_path):
    (tmp_path / "one.txt").write_text("paka na mbwa\n")
    (tmp_path / "two.tsv").write_text("q1\tmaji ya mti\n")
    files = ("--vocabulary", tmp_path / "one.txt", "--vocabulary", tmp_path / "two.tsv")
    checkpoint = make_unigram_checkpoint(tmp_path / "plain")
    done = cli("export", "--encoder", checkpoint, *files, "--output", tmp_path / "small")
    assert done.code == 0, done.err
    small = load_encoder(tmp_path / "small", device="cpu")
    assert done.out == f"{len(small.tokenizer)} pieces, 0.0M parameters\n"
    description = json.loads((tmp_path / "small" / "optical.json").read_text())
    assert description["role"] == "cut-vocabulary"
    assert [row["name"] for row in description["origin"]["inputs"].values()] == [
        "one.txt",
        "two.tsv",
    ]


def test_vocabulary_of_a_wordpiece_encoder_is_not_cut(cli, work, tmp_path):
    (tmp_path / "texts").write_text("paka\n")
    flags = ("--vocabulary", tmp_path / "texts", "--output", tmp_path / "x")
    error = cli("export", "--encoder", work / "teacher", *flags).error
    assert "found WordPiece" in error


def test_queries_are_encoded_with_their_provenance(cli, work, tmp_path):
    topics, output = work / "demo" / "topics.sw.tsv", tmp_path / "encoded"
    flags = ("--topics", topics, "--output", output, "--batch-size", 5)
    assert cli("encode-queries", "--encoder", work / "student-sw", *flags).code == 0
    assert read_topics(output / "topics.tsv") == read_topics(topics)
    assert len(pd.read_pickle(output / "embedding.pkl")) == 48
    origin = json.loads((tmp_path / "encoded.json").read_text())
    assert len(origin["inputs"]["topics"]["sha256"]) == 64
    again = cli("encode-queries", "--encoder", work / "student-sw", *flags)
    assert "Choose another output or pass --overwrite" in again.error


def test_ids_with_leading_zeros_are_refused_before_any_work(cli, tmp_path):
    (tmp_path / "topics.tsv").write_text("001\tpaka\n")
    error = cli(
        *("encode-queries", "--encoder", "/nowhere", "--topics", tmp_path / "topics.tsv"),
        *("--output", tmp_path / "encoded"),
    ).error
    assert "'001' becomes '1'" in error


@pytest.mark.java
def test_vectors_are_indexed(java, cli, tmp_path):
    (tmp_path / "v").mkdir()
    (tmp_path / "v" / "e.jsonl").write_text('{"id": "a", "vector": [1, 0]}\n')
    done = cli("index-vectors", "--embeddings", tmp_path / "v", "--output", tmp_path / "ix")
    assert (done.code, done.out) == (0, "1 documents indexed\n")


@pytest.fixture
def reranked(cli, work, tmp_path):
    """Give a run of Pyserini's kind, and what `rerank` makes of it."""
    doc_ids = [
        json.loads(line)["id"] for line in (work / "demo" / "corpus.jsonl").read_text().splitlines()
    ]
    lines = (f"q1 Q0 {doc_id} {n + 1} {-n} Faiss\n" for n, doc_id in enumerate(doc_ids[:9]))
    (tmp_path / "theirs").write_text("".join(lines))
    output = tmp_path / "ours.trec"
    done = cli(
        *("rerank", "--run", tmp_path / "theirs", "--index", work / "index", "--hits", 4),
        *("--encoder", work / "student-sw", "--topics", work / "demo" / "topics.sw.tsv"),
        *("--output", output),
    )
    assert done.code == 0, done.err
    return doc_ids, output


def test_rerank_keeps_the_depth_and_writes_its_name(reranked):
    doc_ids, output = reranked
    assert {row.doc_id for row in read_run(output)["q1"]} == set(doc_ids[:4])
    assert {line.split()[5] for line in output.read_text().splitlines()} == {"student-sw"}


def test_rerank_says_where_its_run_comes_from(reranked):
    origin = json.loads(reranked[1].with_name("ours.trec.json").read_text())
    assert origin["settings"]["hits"] == 4
    assert set(origin["inputs"]) == {"run", "topics"}
