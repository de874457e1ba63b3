"""Mutated files: refused in one line, or read right; never another exception, never a hang."""

import copy
import random
import shutil
import signal
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from optical_ir.errors import OpticalError
from optical_ir.models import embedding_space, load_encoder, load_single_vector
from optical_ir.models.encoder import encode_documents, encode_queries
from optical_ir.records import Doc, Query
from optical_ir.retrieval.bm25 import Bm25Index
from optical_ir.retrieval.index import MultiVectorIndex, build_index
from optical_ir.retrieval.search import search_index
from optical_ir.translation.cache import Translation, open_cache
from tests.faults.formats import FORMATS
from tests.faults.mutation import mutate_folder, mutate_json_lines

LIMIT = 20
"""Seconds that a small file may take on a busy machine."""

DOCS = [
    Doc("d0", "the cat sees the red bird near the house"),
    Doc("d1", "a big dog eats under the tree"),
    Doc("d2", "..."),
    Doc("d3", "old house near the water"),
]
QUERIES = [Query("q1", "paka ona ndege"), Query("q2", "big dog"), Query("q3", "old house")]


@contextmanager
def _time_limit() -> Iterator[None]:
    def stop(*_: object) -> None:
        raise TimeoutError(f"took more than {LIMIT} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(LIMIT)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def _try_all(
    name: str, n: int, make: Callable[[random.Random], object], law: Callable[[], object]
) -> dict[str, int]:
    """Make `n` inputs, each named by its seed, and hold the law of what reads them."""
    counts = {"inputs": n, "refused": 0, "read": 0}
    for number in range(n):
        seed = f"{name}-{number}"
        made = make(random.Random(seed))
        try:
            with _time_limit():
                law()
            counts["read"] += 1
        except OpticalError as err:
            assert str(err)
            counts["refused"] += 1
        except Exception as err:
            where = "".join(traceback.format_exception(err)[-4:])
            pytest.fail(f"input {seed!r} ({made!r:.300}):\n{where}")
    return counts


@pytest.mark.parametrize("kind", FORMATS)
def test_a_mutated_file_is_refused_or_read_right(kind, tmp_path, amount, record, caplog):
    caplog.set_level("ERROR")
    form = FORMATS[kind]
    path = tmp_path / form.file
    (tmp_path / "x.en").write_text("cat\ndog\na big house\n")
    path.write_text(form.content, "utf-8")
    form.law(path)

    def make(rng: random.Random) -> bytes:
        content = form.mutate(form.content.encode(), rng)
        path.write_bytes(content)
        return content

    counts = _try_all(kind, amount(400, 10_000), make, lambda: form.law(path))
    assert counts["read"], "nothing was read"
    record("fuzz", kind, **counts)


@pytest.fixture(scope="module")
def teacher(teacher_folder):
    return load_encoder(teacher_folder, device="cpu")


@pytest.fixture(scope="module")
def query_vectors(teacher):
    return encode_queries(teacher, [query.text for query in QUERIES])


@pytest.mark.parametrize("storage", ["float32", "bfloat16", "int8"])
def test_a_mutated_index_is_refused_or_finds_the_same(
    teacher, query_vectors, tmp_path, amount, record, storage
):
    """Of embeddings changed in place only the size is checked: their scores are finite or refused.

    A file of gigabytes is not read as a whole to be opened.
    """
    seed, folder = tmp_path / "seed", tmp_path / "index"
    index = build_index(DOCS, teacher, seed, space="s", storage=storage)
    whole = search_index(index, QUERIES, query_vectors, k=3)
    changed: list[str] = []

    def make(rng: random.Random) -> list[str]:
        changed[:] = mutate_folder(seed, folder, rng)
        return changed

    def law() -> None:
        opened = MultiVectorIndex.open(folder)
        found = search_index(opened, QUERIES, query_vectors, k=3)
        del opened
        vectors = "shard-00000/vectors.bin"
        if (folder / vectors).read_bytes() == (seed / vectors).read_bytes():
            assert found == whole

    counts = _try_all(f"index {storage}", amount(150, 5_000), make, law)
    assert counts["refused"]
    record("fuzz", f"index folder, {storage}", **counts)


@pytest.mark.java
def test_a_mutated_bm25_index_is_refused_or_finds_the_same(java, tmp_path, amount, record):
    seed, folder = tmp_path / "seed", tmp_path / "index"
    Bm25Index.build(DOCS, seed).close()
    with Bm25Index(seed) as index:
        whole = index.search(QUERIES, k=3)

    def law() -> None:
        with Bm25Index(folder) as index:
            found = index.search(QUERIES, k=3)
        assert set(found) == set(whole)
        if changed == ["index.json"]:
            assert found == whole

    changed: list[str] = []

    def make(rng: random.Random) -> list[str]:
        changed[:] = mutate_folder(seed, folder, rng)
        return changed

    record("fuzz", "BM25 index folder", **_try_all("bm25", amount(100, 10_000), make, law))


def test_a_mutated_description_of_an_encoder_is_refused_or_harmless(
    teacher, teacher_folder, tmp_path, amount, record
):
    seed, folder = tmp_path / "seed", tmp_path / "encoder"
    seed.mkdir()
    shutil.copy(teacher_folder / "optical.json", seed)

    def law() -> None:
        assert embedding_space(folder, copy.copy(teacher))

    def make(rng: random.Random) -> bytes:
        mutate_folder(seed, folder, rng)
        path = folder / "optical.json"
        return path.read_bytes() if path.is_file() else b""

    record("fuzz", "optical.json", **_try_all("optical", amount(300, 10_000), make, law))


@pytest.mark.parametrize("kind", ["teacher", "adapter", "plain", "sentence", "pylate", "stanford"])
def test_a_mutated_encoder_is_refused_or_gives_finite_vectors(
    kind, encoder_folders, tmp_path, amount, record
):
    seed, folder = encoder_folders(kind), tmp_path / seed_name(encoder_folders(kind))
    for base in encoder_folders("teacher"), seed:
        if not (tmp_path / base.name).exists():
            shutil.copytree(base, tmp_path / base.name)

    def law() -> None:
        encoder = load_encoder(folder, device="cpu")
        vectors = encode_queries(encoder, ["paka ona"]) + encode_documents(encoder, ["big dog"])
        assert all(np.isfinite(rows).all() for rows in vectors)
        assert np.isfinite(load_single_vector(folder).encode_queries(["paka"])).all()

    counts = _try_all(
        f"encoder {kind}",
        amount(12, 500),
        lambda rng: mutate_folder(seed, folder, rng),
        law,
    )
    record("fuzz", f"encoder folder, {kind}", **counts)


def seed_name(folder: Path) -> str:
    return f"{folder.name}-mutated"


@pytest.fixture(scope="module")
def encoder_folders(
    teacher_folder, plain_folder, sentence_folder, pylate_folder, stanford_folder, adapter_folder
):
    folders = {
        "teacher": teacher_folder,
        "adapter": adapter_folder,
        "plain": plain_folder,
        "sentence": sentence_folder,
        "pylate": pylate_folder,
        "stanford": stanford_folder,
    }
    return folders.__getitem__


def test_a_mutated_cache_of_translations_gives_what_it_has_or_nothing(
    tmp_path, amount, record, caplog
):
    caplog.set_level("ERROR")
    path = tmp_path / "cache"
    known = {
        f"text {n}": Translation(f"translation {n} \u00e9", n % 2 == 0, False) for n in range(5)
    }
    with open_cache(path, {"model": "m"}) as cache:
        cache.add(known.items())
    whole = path.read_bytes()

    def make(rng: random.Random) -> bytes:
        path.write_bytes(mutate_json_lines(whole, rng))
        return path.read_bytes()

    def law() -> None:
        with open_cache(path, {"model": "m"}) as cache:
            for text in known:
                if text in cache:
                    found = cache[text]
                    assert [type(value) for value in found] == [str, bool, bool]
            cache.add([("new", known["text 1"])])
            assert cache["new"] == known["text 1"]

    record("fuzz", "translation cache", **_try_all("cache", amount(300, 10_000), make, law))
