"""Pyserini's commands with our encoders, and registration without Pyserini."""

import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import encoders
from encoders import KEYS, register, registration
from encoders.__main__ import check_values, main, named_encoders
from encoders.adapters import encoder_classes
from optical_ir.errors import ConfigError
from optical_ir.retrieval.environment import import_pyserini

BUILT_IN = ("dpr", "ance", "auto", "clip", "dse", "bpr", "sentence", "contriever", "openai")


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


@pytest.mark.parametrize("word", ["input", "output", "encoder"])
def test_value_that_pyserini_takes_for_a_sub_command_is_refused(pyserini_encode, word):
    with pytest.raises(SystemExit, match=rf"--embeddings {word}: .*Write it as \./{word}"):
        main(["pyserini.encode", "input", "--corpus", "c", "output", "--embeddings", word])


def test_sub_command_after_a_flag_without_value_is_one():
    check_values("input --corpus c output --embeddings v --to-faiss encoder --encoder e".split())


def test_launcher_finds_encoders_in_both_spellings():
    flags = ["encoder", "--encoder", "a/b", "--encoder-class", "auto", "--encoder=c", "--encoder"]
    assert named_encoders(flags) == ["c", "a/b"]


def test_package_needs_neither_pyserini_nor_java():
    code = "import sys, encoders\nassert not {'pyserini', 'jnius'} & set(sys.modules)"
    root = str(Path(encoders.__file__).parents[1])
    subprocess.run([sys.executable, "-c", code], cwd=root, check=True)


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


@pytest.mark.java
def test_our_keys_come_first_and_hold_no_key_of_pyserini(pyserini, monkeypatch):
    encode = import_pyserini("pyserini.encode")
    for name in ("document_encoder_class_map", "query_encoder_class_map"):
        monkeypatch.setattr(encode, name, dict(getattr(encode, name)))
    register()
    for class_map in (encode.document_encoder_class_map, encode.query_encoder_class_map):
        ours, theirs = list(class_map)[: len(KEYS)], list(class_map)[len(KEYS) :]
        assert ours == list(KEYS)
        assert not [(key, other) for key in ours for other in theirs if other in key]
