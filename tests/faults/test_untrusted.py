"""Checkpoints, indexes and experiments from strangers: nothing runs, nothing leaves its place."""

import ast
import json
import pickle
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from optical_ir.errors import ConfigError, DataError, OpticalError
from optical_ir.experiment_file import read_experiment
from optical_ir.models import load_encoder, load_single_vector
from optical_ir.records import Doc, ScoredDoc
from optical_ir.retrieval.index import MultiVectorIndex, build_index
from optical_ir.translation import load_translator
from optical_ir.trec import read_run, write_run
from tests.faults.formats import EXPERIMENT

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted(
    path for part in ("optical_ir", "encoders") for path in (ROOT / part).rglob("*.py")
)


class Evil:
    """Makes a file when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.marker,)


@pytest.fixture
def marker(tmp_path) -> Path:
    """Give a path at which nothing may ever be."""
    path = tmp_path / "code-ran"
    yield path
    assert not path.exists(), "code of the folder ran"


def poison(path: Path, marker: Path) -> None:
    """Write a pickle that torch and pickle alike would run."""
    torch.save({"weight": Evil(marker)}, path)


def test_the_poison_works(tmp_path):
    marker, path = tmp_path / "ran", tmp_path / "x.bin"
    poison(path, marker)
    torch.load(path, weights_only=False)
    assert marker.exists()


@pytest.mark.parametrize("name", ["pytorch_model.bin", "pytorch_model-00001-of-00001.bin", "x.pt"])
def test_a_checkpoint_of_pickles_is_refused(plain_folder, tmp_path, marker, name):
    folder = shutil.copytree(plain_folder, tmp_path / "encoder")
    (folder / "model.safetensors").unlink()
    poison(folder / name, marker)
    for load in (load_encoder, load_single_vector):
        with pytest.raises(
            ConfigError, match=r"expected weights in safetensors, found .* a pickle"
        ):
            load(folder, device="cpu")


def test_a_module_of_pickles_is_refused(pylate_folder, tmp_path, marker):
    folder = shutil.copytree(pylate_folder, tmp_path / "encoder")
    (folder / "1_Dense" / "model.safetensors").unlink()
    poison(folder / "1_Dense" / "pytorch_model.bin", marker)
    with pytest.raises(ConfigError, match="1_Dense: expected weights in safetensors"):
        load_encoder(folder, device="cpu")


def test_pickles_beside_safetensors_are_not_read(plain_folder, tmp_path, marker):
    folder = shutil.copytree(plain_folder, tmp_path / "encoder")
    poison(folder / "pytorch_model.bin", marker)
    poison(folder / "training_args.bin", marker)
    assert load_encoder(folder, device="cpu")


def test_a_pickle_named_safetensors_is_refused(teacher_folder, adapter_folder, tmp_path, marker):
    for seed, name in ((teacher_folder, "model"), (adapter_folder, "adapter")):
        folder = shutil.copytree(seed, tmp_path / seed.name)
        if seed is adapter_folder:
            shutil.rmtree(tmp_path / "teacher")
            shutil.copytree(teacher_folder, tmp_path / "teacher")
        poison(folder / f"{name}.safetensors", marker)
        with pytest.raises(OpticalError):
            load_encoder(folder, device="cpu")


def test_a_module_that_is_code_of_the_folder_is_refused(
    sentence_folder, pylate_folder, tmp_path, marker
):
    for seed in (sentence_folder, pylate_folder):
        folder = shutil.copytree(seed, tmp_path / seed.name)
        code = f"import pathlib\npathlib.Path({str(marker)!r}).touch()\nclass Own: ...\n"
        (folder / "modeling_own.py").write_text(code)
        modules = json.loads((folder / "modules.json").read_text())
        modules[1]["type"] = "modeling_own.Own"
        (folder / "modules.json").write_text(json.dumps(modules))
        if seed is pylate_folder:
            with pytest.raises(ConfigError, match="not part of Sentence Transformers"):
                load_encoder(folder, device="cpu")
        else:
            # Pooling is not what late interaction takes of it.
            try:
                load_encoder(folder, device="cpu")
            except ConfigError:
                continue


@pytest.mark.parametrize(
    "activation", ["os.system", "antigravity.fly", "torch.load", "torch.hub.load"]
)
def test_an_activation_that_is_no_module_of_torch_is_not_called(
    pylate_folder, tmp_path, activation, monkeypatch
):
    """Sentence-transformers would take another one for those outside torch."""
    called: list[str] = []
    for name in ("os.system", "torch.load", "torch.hub.load"):
        monkeypatch.setattr(name, lambda *_, **__: called.append(activation))
    folder = shutil.copytree(pylate_folder, tmp_path / "encoder")
    config = json.loads((folder / "1_Dense" / "config.json").read_text())
    config["activation_function"] = activation
    (folder / "1_Dense" / "config.json").write_text(json.dumps(config))
    with pytest.raises(ConfigError, match=r"does not load|expected an activation function"):
        load_encoder(folder, device="cpu")
    assert not called
    assert "antigravity" not in sys.modules


@pytest.mark.parametrize("file", ["config.json", "tokenizer_config.json"])
def test_code_that_a_config_maps_to_is_not_run(plain_folder, tmp_path, marker, file):
    folder = shutil.copytree(plain_folder, tmp_path / "encoder")
    (folder / "own.py").write_text(f"import pathlib\npathlib.Path({str(marker)!r}).touch()\n")
    config = json.loads((folder / file).read_text())
    names = ("AutoConfig", "AutoModel", "AutoTokenizer")
    config["auto_map"] = {name: f"own.{name}" for name in names}
    config["auto_map"]["AutoTokenizer"] = ["own.Slow", "own.Fast"]
    for model_type in (config.get("model_type"), "own"):
        config["model_type"] = model_type
        (folder / file).write_text(json.dumps(config))
        try:
            load_encoder(folder, device="cpu")
        except ConfigError as err:
            assert "does not load" in str(err)


def test_a_translator_of_pickles_runs_nothing(make_translator_folder, tmp_path, marker):
    """Torch's unpickler of weights alone reads these, since many have no other file."""
    folder = shutil.copytree(make_translator_folder("nllb"), tmp_path / "translator")
    (folder / "model.safetensors").unlink()
    poison(folder / "pytorch_model.bin", marker)
    with pytest.raises(ConfigError, match="does not load"):
        load_translator(str(folder), "sw", "en", device="cpu")


def test_an_index_of_pickles_is_refused(teacher_folder, tmp_path, marker):
    teacher = load_encoder(teacher_folder, device="cpu")
    seed = tmp_path / "seed"
    build_index([Doc("d0", "cat"), Doc("d1", "big dog")], teacher, seed, space="s")
    names = [path.relative_to(seed) for path in seed.rglob("*") if path.is_file()]
    assert len(names) == 4
    for name in names:
        folder = shutil.copytree(seed, tmp_path / name.name)
        poison(folder / name, marker)
        with pytest.raises(DataError):
            MultiVectorIndex.open(folder)
        (folder / name).write_bytes(pickle.dumps(Evil(marker)))
        with pytest.raises(DataError):
            MultiVectorIndex.open(folder)


def test_lengths_that_lie_are_refused_although_their_hash_is_right(teacher_folder, tmp_path):
    """Compiled loops take them for offsets, and would read what is not theirs."""
    import hashlib

    teacher = load_encoder(teacher_folder, device="cpu")
    seed = tmp_path / "seed"
    build_index([Doc("d0", "cat"), Doc("d1", "big dog")], teacher, seed, space="s")
    name = "shard-00000/doc_lengths.bin"
    lengths = np.fromfile(seed / name, np.int32)
    for change in ([9, -9], [1, 0], [2**30, 0]):
        folder = shutil.copytree(seed, tmp_path / "-".join(map(str, change)))
        (lengths + np.array(change, np.int32)).tofile(folder / name)
        description = json.loads((folder / "index.json").read_text())
        content = (folder / name).read_bytes()
        files = description["shards"][0]["files"]
        files["doc_lengths.bin"]["sha256"] = hashlib.sha256(content).hexdigest()
        (folder / "index.json").write_text(json.dumps(description))
        with pytest.raises(DataError, match="expected 2 documents of"):
            MultiVectorIndex.open(folder)


def _calls(tree: ast.AST) -> list[str]:
    return [ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)]


def test_no_source_reads_pickles_or_runs_text():
    """Pandas writes the one pickle there is, which stock Pyserini asks for; none is read."""
    forbidden = {
        *("torch.load", "np.load", "numpy.load", "pd.read_pickle", "eval", "exec", "compile"),
        *("pickle.load", "pickle.loads", "marshal.loads", "os.system", "os.popen", "joblib.load"),
        *("__import__", "shutil.unpack_archive", "torch.hub.load"),
    }
    modules = {"pickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "yaml"}
    modules |= {"tarfile", "zipfile"}
    for path in SOURCES:
        tree = ast.parse(path.read_text("utf-8"))
        assert not forbidden & set(_calls(tree)), path
        for node in ast.walk(tree):
            if isinstance(node, ast.keyword):
                value = getattr(node.value, "value", None)
                assert node.arg not in ("allow_pickle", "shell"), path
                assert node.arg != "trust_remote_code" or value is False, path
            if isinstance(node, ast.Import):
                assert not modules & {name.name.split(".")[0] for name in node.names}, path
            if isinstance(node, ast.ImportFrom):
                assert (node.module or "").split(".")[0] not in modules, path


@pytest.mark.parametrize(
    "name", ["..", ".", "../x", "/x", "a/b", "a\\\\b", "a\\u0000b", "a\\u001bb", ""]
)
@pytest.mark.parametrize("place", ["students", "collections", "task", "system"])
def test_names_that_leave_their_folder_are_refused(tmp_path, name, place):
    changed = {
        "students": ("[students.optical]", f'[students."{name}"]'),
        "collections": ('collection = "tiny"', f'collection = "{name}"'),
        "task": ('topics = "sw"', f'topics = "{name}"'),
        "system": ("part = ", f'"{name}" = '),
    }[place]
    content = EXPERIMENT.replace(*changed)
    if place == "collections":
        content = content.replace("[collections.tiny]", f'[collections."{name}"]')
    path = tmp_path / "x.toml"
    path.write_text(content)
    if place == "task" and name in ("..", ".", ""):
        # It follows the collection's name in that of a file: run.tiny-...trec
        return
    with pytest.raises(ConfigError):
        read_experiment(path)


def test_a_collection_folder_that_leads_up_has_an_index_below(tmp_path):
    from optical_ir.pipeline import Pipeline

    for folder in ("..", "../..", ".", "/"):
        path = tmp_path / "x.toml"
        path.write_text(EXPERIMENT.replace('name = "x/tiny"', f'name = "{folder}"'))
        try:
            experiment = read_experiment(path)
        except ConfigError:
            continue
        pipeline = Pipeline(experiment, tmp_path, tmp_path / "out")
        name = pipeline._folder_name("tiny")
        assert (tmp_path / "out" / "index" / name).resolve().parent == tmp_path / "out" / "index"


def test_ids_and_tags_that_look_like_paths_are_only_words(tmp_path, teacher_folder):
    ids = ["../../x", "/etc/passwd", "C:\\x", "~", "$(touch)", "%s", "<script>"]
    rows = [ScoredDoc("../q", doc_id, 10.0 - n) for n, doc_id in enumerate(ids)]
    write_run(tmp_path / "run.trec", {"../q": rows}, tag="../../tag")
    assert [row.doc_id for row in read_run(tmp_path / "run.trec")["../q"]] == ids
    teacher = load_encoder(teacher_folder, device="cpu")
    docs = [Doc(doc_id, "cat") for doc_id in ids]
    assert build_index(docs, teacher, tmp_path / "index", space="s").doc_ids == ids
    assert sorted(path.name for path in tmp_path.iterdir()) == ["index", "run.trec"]
