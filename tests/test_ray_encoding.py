"""Encoding on a Ray cluster: cutting, joining, and the index that one machine gives."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from optical_ir import ray_encoding
from optical_ir.collections import load_collection
from optical_ir.errors import ConfigError, DataError
from optical_ir.models import embedding_space, fast_inference, load_encoder
from optical_ir.ray_encoding import PartEncoder, RaySettings, encode_with_ray
from optical_ir.records import Doc
from optical_ir.retrieval.index import MultiVectorIndex, build_index


@pytest.fixture
def docs():
    return list(load_collection("demo").iter_docs())[:45]


@pytest.fixture
def in_this_process(monkeypatch):
    """Encode parts one after the other without Ray, in small ones; count the parts."""
    done = []

    def encode(parts, task, settings):
        worker = PartEncoder(task)
        for part in parts:
            worker({"part": [str(part)]})
            done.append(part.name)
            yield part

    monkeypatch.setattr(ray_encoding, "BLOCK", 5)
    monkeypatch.setattr(ray_encoding, "_encode_parts", encode)
    return done


def assert_same_index(found, expected, *, tolerance):
    """Compare documents, their order and their vectors, whatever files hold them."""
    found, expected = MultiVectorIndex.open(found), MultiVectorIndex.open(expected)
    assert found.doc_ids == expected.doc_ids
    assert (found.space, found.dim) == (expected.space, expected.dim)
    assert np.array_equal(found.offsets, expected.offsets)
    n_docs = len(found.doc_ids)
    vectors = [index.token_vectors(0, n_docs) for index in (found, expected)]
    assert vectors[0].dtype == vectors[1].dtype
    torch.testing.assert_close(*vectors, rtol=0, atol=tolerance)


def build_here(docs, encoder, output):
    model = load_encoder(encoder)
    space = embedding_space(encoder, model)
    build_index(docs, fast_inference(model), output, space=space)
    return output


@pytest.mark.parametrize("n_docs", [3, 10, 11, 20, 45])
def test_parts_become_the_index_that_one_machine_gives(
    in_this_process, docs, plain_folder, tmp_path, n_docs
):
    settings = RaySettings(blocks_per_part=2)
    index = encode_with_ray(iter(docs[:n_docs]), str(plain_folder), tmp_path / "ix", settings)
    assert len(in_this_process) == max(1, n_docs // 10)
    assert index.doc_ids == [doc.doc_id for doc in docs[:n_docs]]
    expected = build_here(docs[:n_docs], plain_folder, tmp_path / "expected")
    # Other parts are other batches, whose products differ in the last digits.
    assert_same_index(tmp_path / "ix", expected, tolerance=1e-2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["expected", "ix"]


def test_after_a_kill_missing_and_changed_parts_are_encoded(
    in_this_process, docs, plain_folder, tmp_path
):
    def killed(parts, total):
        for number, part in enumerate(parts):
            if number == 1:
                raise KeyboardInterrupt
            yield part

    def encode(docs, **given: object):
        settings = RaySettings(blocks_per_part=2)
        return encode_with_ray(docs, str(plain_folder), tmp_path / "ix", settings, **given)

    with pytest.raises(KeyboardInterrupt):
        encode(docs[:40], progress=killed)
    first = list(in_this_process)
    assert 1 <= len(first) < 4
    changed = [*docs[:39], Doc("new", "another text")]
    encode(changed)
    again = in_this_process[len(first) :]
    assert not set(first) & set(again)
    assert len(first) + len(again) == 4
    expected = build_here(changed, plain_folder, tmp_path / "expected")
    # Other parts are other batches, whose products differ in the last digits.
    assert_same_index(tmp_path / "ix", expected, tolerance=1e-2)


@pytest.mark.usefixtures("in_this_process")
def test_ids_used_twice_are_refused_across_parts(docs, plain_folder, tmp_path):
    with pytest.raises(DataError, match=r"id is used twice among the first 20 documents"):
        encode_with_ray(
            [*docs[:19], docs[0]],
            str(plain_folder),
            tmp_path / "ix",
            RaySettings(blocks_per_part=1),
        )


@pytest.mark.usefixtures("in_this_process")
def test_no_documents_are_refused(plain_folder, tmp_path):
    with pytest.raises(DataError, match="expected documents to index, found none"):
        encode_with_ray([], str(plain_folder), tmp_path / "ix", RaySettings())


def test_a_node_with_another_encoder_of_that_name_is_refused(plain_folder):
    task = {"encoder": str(plain_folder), "space": "other", "max_length": None}
    with pytest.raises(ConfigError, match=r"of space 'other', found .*Give all nodes the same"):
        PartEncoder(task)


def test_settings_without_workers_are_refused():
    with pytest.raises(ConfigError, match="expected one worker"):
        RaySettings(workers=0)


def test_errors_of_ours_come_back_from_a_process_of_the_cluster():
    exceptions = pytest.importorskip("ray.exceptions", reason="the ray extra is not installed")
    failed = exceptions.RayTaskError("encode", "Traceback ...", ConfigError("Choose another."))
    for error in (failed, failed.as_instanceof_cause()):
        wrapped = RuntimeError("The operator failed.")
        wrapped.__cause__ = error
        found = ray_encoding._user_error(wrapped)
        assert type(found) is ConfigError
        assert str(found) == "Choose another."
    assert ray_encoding._user_error(RuntimeError("Out of memory.")) is None


CLUSTER = """
import subprocess, sys
from ray.cluster_utils import Cluster
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
cluster.add_node(num_cpus=1)
cluster.wait_for_nodes()
try:
    command = [sys.executable, "-m", "optical_ir", "encode-ray", "--address", cluster.address]
    done = subprocess.run([*command, *sys.argv[1:]])
finally:
    cluster.shutdown()
sys.exit(done.returncode)
"""


@pytest.mark.slow
def test_a_cluster_of_two_nodes_gives_the_index_that_encode_writes(plain_folder, tmp_path):
    pytest.importorskip("ray", reason="the ray extra is not installed")
    corpus = tmp_path / "collection" / "corpus.jsonl"
    corpus.parent.mkdir()
    docs = list(load_collection("demo").iter_docs())
    with corpus.open("w") as stream:
        for copy in range(24):
            for doc in docs:
                row = {"id": f"{doc.doc_id}-{copy}", "contents": f"{copy} {doc.text}"}
                stream.write(json.dumps(row) + "\n")
    arguments = ["--collection", str(corpus.parent), "--encoder", str(plain_folder), "--output"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "RAY_USAGE_STATS_ENABLED": "0"}
    # Ray runs its processes at the lowest priority, where on a busy machine they never end.
    environment["RAY_worker_niceness"] = "0"

    def run(*command: str | Path) -> subprocess.CompletedProcess:
        return subprocess.run(
            [sys.executable, *map(str, command)],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    done = run("-m", "optical_ir", "encode", *arguments, tmp_path / "expected")
    assert done.returncode == 0, done.stderr
    workers = ["--workers", "2", "--blocks-per-part", "1"]
    done = run("-c", CLUSTER, *arguments, tmp_path / "ix", *workers)
    assert done.returncode == 0, done.stderr
    assert_same_index(tmp_path / "ix", tmp_path / "expected", tolerance=0)
    assert not (tmp_path / "ix.parts").exists()
