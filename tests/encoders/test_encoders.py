"""Pyserini's commands with our encoders, and registration without Pyserini."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import encoders
from encoders import KEYS, register, registration
from encoders.__main__ import main, named_encoders
from encoders.single_vector import encoder_classes, mean_vectors
from optical_ir.errors import ConfigError, DependencyError
from optical_ir.models import encode_documents, encode_queries
from optical_ir.records import Query
from optical_ir.retrieval.java import find_anserini_jar, find_java, import_pyserini
from optical_ir.trec import read_run, write_topics

BUILT_IN = ("dpr", "ance", "auto", "clip", "dse", "bpr", "sentence", "contriever", "openai")
DOCS = {
    "d1": "the cat sees a small bird near the water",
    "d2": "a big red house",
    "d3": "the old dog eats under the tree",
    "d4": "mbwa zee ona nyumba",
    "d5": "small house near the water",
}
QUERIES = {"q1": "paka ona ndege", "q2": "red house near water", "q3": "the old dog"}


@pytest.fixture
def pyserini_encode(monkeypatch):
    """Stand in for the module `pyserini.encode`, with the maps that matter."""
    module = ModuleType("pyserini.encode")
    module.DocumentEncoder = type("DocumentEncoder", (), {})
    module.QueryEncoder = type("QueryEncoder", (), {})
    module.document_encoder_class_map = dict.fromkeys(BUILT_IN, object)
    module.query_encoder_class_map = dict.fromkeys(BUILT_IN, object)
    monkeypatch.setattr(registration, "import_pyserini", lambda name: module)
    return module


def selected(class_map, encoder: str):
    """Choose as Pyserini does: the first key that is part of the lower-cased name."""
    return next((found for key, found in class_map.items() if key in encoder.lower()), None)


def test_named_checkpoint_is_ours_whatever_words_its_path_holds(pyserini_encode):
    register("runs/Guidance-CLIPSE")
    classes = encoder_classes(pyserini_encode)
    assert selected(pyserini_encode.document_encoder_class_map, "runs/Guidance-CLIPSE") is (
        classes.document
    )
    assert selected(pyserini_encode.query_encoder_class_map, "runs/Guidance-CLIPSE") is (
        classes.query
    )
    assert selected(pyserini_encode.query_encoder_class_map, "facebook/dpr-question") is object


def test_registering_twice_changes_nothing(pyserini_encode):
    register("x/teacher")
    first = list(pyserini_encode.query_encoder_class_map.items())
    register("x/teacher")
    assert list(pyserini_encode.query_encoder_class_map.items()) == first
    assert [key for key, _ in first] == ["x/teacher", *KEYS, *BUILT_IN]


@pytest.mark.parametrize("name", ["ance", "ANCE"])
def test_key_of_pyserini_is_not_taken(pyserini_encode, name):
    with pytest.raises(ConfigError, match=r"'ance': expected a name of our own.*\./ance"):
        register(name)
    assert list(pyserini_encode.document_encoder_class_map) == list(BUILT_IN)


@pytest.mark.parametrize("command", ["pyserini.index.lucene", "os", ""])
def test_launcher_refuses_other_commands(command, capsys):
    with pytest.raises(SystemExit, match="2"):
        main([command])
    assert "pyserini.search.hybrid" in capsys.readouterr().err


def test_launcher_tells_what_is_missing_in_one_line(pyserini_encode):
    with pytest.raises(SystemExit, match=r"^Error: Encoder 'dpr': expected .*launcher\.$"):
        main(["pyserini.search.faiss", "--encoder", "dpr"])


def test_launcher_finds_encoders_in_both_spellings():
    flags = ["encoder", "--encoder", "a/b", "--encoder-class", "auto", "--encoder=c", "--encoder"]
    assert named_encoders(flags) == ["c", "a/b"]


def test_package_needs_neither_pyserini_nor_java():
    code = "import sys, encoders\nassert not {'pyserini', 'jnius'} & set(sys.modules)"
    root = str(Path(encoders.__file__).parents[1])
    subprocess.run([sys.executable, "-c", code], cwd=root, check=True)


def test_text_without_tokens_gets_the_zero_vector():
    vectors = mean_vectors([np.float32([[3, 0], [0, 4]]), np.empty((0, 2), np.float32)], 2)
    assert vectors == pytest.approx(np.float32([[0.6, 0.8], [0, 0]]))
    assert vectors.dtype == np.float32


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"prefix": "query: "}, r"--query-prefix 'query: '.*Leave the flag out"),
        ({"tokenizer_name": "other"}, r"--tokenizer 'other'.*Leave the flag out"),
        ({"encoder_dir": None}, r"Pass --encoder"),
    ],
)
def test_flags_that_the_checkpoint_decides_are_refused(pyserini_encode, given, message):
    with pytest.raises(ConfigError, match=message):
        encoder_classes(pyserini_encode).query(**{"encoder_dir": "teacher", **given})


def test_titles_go_before_texts(pyserini_encode, plain_folder):
    encoder = encoder_classes(pyserini_encode).document(model_name=str(plain_folder))
    apart = encoder.encode(texts=["a tree"], titles=["old dog"], fp16=False, max_length=256)
    assert apart == pytest.approx(encoder.encode(texts=["old dog a tree"]))


@pytest.fixture
def java():
    try:
        find_anserini_jar()
        find_java()
    except DependencyError as err:
        pytest.skip(str(err))


@pytest.mark.java
def test_our_keys_come_first_and_hold_no_key_of_pyserini(java, monkeypatch):
    encode = import_pyserini("pyserini.encode")
    for name in ("document_encoder_class_map", "query_encoder_class_map"):
        monkeypatch.setattr(encode, name, dict(getattr(encode, name)))
    register()
    for class_map in (encode.document_encoder_class_map, encode.query_encoder_class_map):
        ours, theirs = list(class_map)[: len(KEYS)], list(class_map)[len(KEYS) :]
        assert ours == list(KEYS)
        assert not [(key, other) for key in ours for other in theirs if other in key]


def launch(*arguments: object) -> None:
    root = str(Path(encoders.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-m", "encoders", *map(str, arguments)],
        cwd=root,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def expected_scores(model) -> dict[str, dict[str, float]]:
    def unit(token_vectors):
        means = np.stack([tokens.astype(np.float64).mean(axis=0) for tokens in token_vectors])
        return means / np.linalg.norm(means, axis=1, keepdims=True)

    documents = unit(encode_documents(model, list(DOCS.values())))
    scores = unit(encode_queries(model, list(QUERIES.values()))) @ documents.T
    return {
        query_id: dict(sorted(zip(DOCS, row, strict=True), key=lambda pair: -pair[1]))
        for query_id, row in zip(QUERIES, scores, strict=True)
    }


@pytest.mark.java
def test_pyserini_encodes_and_searches_as_numpy_does(java, tiny_encoder, tmp_path):
    pytest.importorskip("faiss")
    # A name that would select ANCE without the launcher.
    model, corpus, index = tmp_path / "Guidance", tmp_path / "corpus", tmp_path / "index"
    tiny_encoder.save_pretrained(str(model), create_model_card=False)
    corpus.mkdir()
    lines = (json.dumps({"id": doc_id, "contents": text}) for doc_id, text in DOCS.items())
    (corpus / "corpus.jsonl").write_text("\n".join(lines) + "\n")
    write_topics(tmp_path / "topics.tsv", [Query(*pair) for pair in QUERIES.items()])
    launch(
        *("pyserini.encode", "input", "--corpus", corpus, "output", "--embeddings", index),
        *("--to-faiss", "encoder", "--encoder", model, "--dimension", 32),
        *("--device", "cpu", "--batch-size", 2),
    )
    launch(
        *("pyserini.search.faiss", "--encoder", model, "--index", index, "--device", "cpu"),
        *("--topics", tmp_path / "topics.tsv", "--output", tmp_path / "run.trec"),
        *("--batch-size", 2, "--hits", len(DOCS)),
    )
    run = read_run(tmp_path / "run.trec")
    for query_id, scores in expected_scores(tiny_encoder).items():
        found = {row.doc_id: row.score for row in run[query_id]}
        assert list(found) == list(scores)
        assert found == pytest.approx(scores, abs=1e-5)
