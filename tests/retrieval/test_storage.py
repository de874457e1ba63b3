"""What each storage loses, against the vectors in float32."""

import numpy as np
import pytest
import torch

from optical_ir.errors import ConfigError, DataError, DependencyError
from optical_ir.records import Doc
from optical_ir.retrieval import product_quantization
from optical_ir.retrieval.index import build_index
from optical_ir.retrieval.index_description import read_description
from optical_ir.retrieval.storage import FloatRows, map_rows, pack_rows, row_bytes, unpack_rows

DIM = 48


def unit_rows(n, seed=0):
    rows = np.random.default_rng(seed).standard_normal((n, DIM)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.mark.parametrize("storage", ["float32", "bfloat16", "float16", "int8"])
def test_mapped_rows_are_those_that_were_packed(tmp_path, storage):
    packed = pack_rows(unit_rows(50), storage)
    assert len(packed) == 50 * row_bytes(storage, DIM)
    (tmp_path / "rows").write_bytes(packed)
    rows = map_rows(tmp_path / "rows", 50, storage, DIM)
    expected = unpack_rows(packed, storage, DIM)
    assert torch.equal(rows.read(3, 20).float(), expected[3:20])
    assert rows.read(5, 5).shape == (0, DIM)
    rows.read(0, 50)[:] = 0
    assert (tmp_path / "rows").read_bytes() == packed


@pytest.mark.parametrize(
    ("storage", "bound"),
    [
        ("float32", lambda rows: np.zeros_like(rows)),
        # Half a unit in the last of the 8, or 11, bits of the significand; float16 also has
        # a smallest step.
        ("bfloat16", lambda rows: np.abs(rows) * 2.0**-8),
        ("float16", lambda rows: np.maximum(np.abs(rows) * 2.0**-11, 2.0**-25)),
        # Half a step, of which the largest value of a row has 127.
        ("int8", lambda rows: np.abs(rows).max(axis=1, keepdims=True) / 127 * 0.5001),
    ],
)
def test_rounding_stays_within_half_a_step(storage, bound):
    rows = unit_rows(200)
    rows[3] = 0
    rows[4] = np.eye(DIM)[5]
    stored = unpack_rows(pack_rows(rows, storage), storage, DIM).numpy()
    assert (np.abs(stored - rows) <= bound(rows)).all()
    assert not stored[3].any()


class _Encoder:
    dim, longest = DIM, 400

    def encode_documents(self, texts, *, batch_size=32):
        return [unit_rows(int(text), seed=int(text)) for text in texts]


@pytest.mark.parametrize("storage", ["float32", "bfloat16", "float16", "int8", "pq"])
def test_index_tells_its_mean_squared_error(tmp_path, storage):
    if storage == "pq":
        pytest.importorskip("faiss")
    docs = [Doc(str(n), str(n)) for n in (0, 200, 3, 300)]
    index = build_index(docs, _Encoder(), tmp_path / "ix", space="s", storage=storage)
    exact = np.concatenate([unit_rows(n, seed=n) for n in (0, 200, 3, 300)])
    error = np.square(index.token_vectors(0, 4).float().numpy() - exact).sum(axis=1).mean()
    (shard,) = read_description(tmp_path / "ix").shards
    assert shard.mean_squared_error == pytest.approx(error, rel=0.01, abs=1e-12)
    assert shard.files["vectors.bin"].bytes == 503 * {"pq": 12}.get(storage, 0) or storage != "pq"
    # Of one document for each centroid and few values a code, even random rows are near.
    assert error < {"float32": 1e-12, "bfloat16": 1e-5, "float16": 1e-6, "int8": 1e-4}.get(
        storage, 0.6
    )


@pytest.fixture
def quantized(tmp_path):
    pytest.importorskip("faiss")
    docs = [Doc(str(n), str(n)) for n in (0, 200, 3, 300)]
    return build_index(docs, _Encoder(), tmp_path / "ix", space="s", storage="pq")


def test_quantized_rows_are_unit_vectors_alike_by_every_way(quantized):
    rows = quantized.token_vectors(0, 4)
    np.testing.assert_allclose(rows.norm(dim=1), 1, atol=1e-5)
    assert torch.equal(quantized.gather(np.arange(4)), rows)
    assert torch.equal(quantized.gather(np.array([2])), rows[200:203])
    assert quantized.token_vectors(0, 1).shape == (0, DIM)
    assert quantized.gather(np.array([0, 0])).shape == (0, DIM)


def test_foreign_quantizers_are_refused(quantized):
    path = quantized.folder / "shard-00000" / "quantizer.faiss"
    content = path.read_bytes()
    for damaged, message in ((content[:100], "does not load"), (b"x" * 99, "does not load")):
        path.write_bytes(damaged)
        fresh = product_quantization.QuantizedRows(path.parent, 503, DIM)
        with pytest.raises(DataError, match=message):
            fresh.read(0, 1)
    path.write_bytes(content)
    fresh = product_quantization.QuantizedRows(path.parent, 503, 2 * DIM)
    with pytest.raises(DataError, match="expected a quantizer of dim 96"):
        fresh.read(0, 1)


def test_too_few_vectors_to_learn_from_are_refused(tmp_path):
    pytest.importorskip("faiss")
    with pytest.raises(ConfigError, match=r"expected 256 .*, found 200\. Choose another"):
        build_index([Doc("a", "200")], _Encoder(), tmp_path / "ix", space="s", storage="pq")


def test_faiss_is_asked_for_before_anything_is_encoded(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "faiss", None)
    with pytest.raises(DependencyError, match=r"needs Faiss\. Install it with: pip install"):
        build_index(iter(()), _Encoder(), tmp_path / "ix", space="s", storage="pq")


def test_a_shard_with_few_tokens_takes_the_quantizer_of_the_one_before(tmp_path, monkeypatch):
    pytest.importorskip("faiss")
    monkeypatch.setattr("optical_ir.retrieval.index_build._BLOCK", 1)
    monkeypatch.setattr("optical_ir.retrieval.shard_writer._SHARD_SHARE", 1e-9)
    docs = [Doc(str(n), str(n)) for n in (300, 3, 1)]
    index = build_index(docs, _Encoder(), tmp_path / "ix", space="s", storage="pq")
    quantizers = {path.read_bytes() for path in (tmp_path / "ix").glob("shard-*/quantizer.faiss")}
    assert (len(index.shards), len(quantizers)) == (3, 1)


def test_rows_in_memory_are_read_like_those_of_files():
    rows = FloatRows(torch.from_numpy(unit_rows(5)).half())
    assert rows.read(1, 3).dtype == torch.float32
