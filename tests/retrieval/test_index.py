"""Building, resuming and opening the multi-vector index."""

import itertools
import json
import shutil

import numpy as np
import pytest
import torch

from optical_ir import files
from optical_ir.errors import ConfigError, DataError
from optical_ir.models import encode_documents
from optical_ir.records import Doc
from optical_ir.retrieval import index_build, index_description, index_files, shard_writer
from optical_ir.retrieval.index import MultiVectorIndex, build_index, verify_index
from optical_ir.retrieval.shard_writer import ShardWriter

FILES = ("vectors.bin", "doc_lengths.bin", "doc_ids.txt")


@pytest.fixture
def docs(make_docs):
    return make_docs(23)


@pytest.fixture
def build(word_encoder, small_blocks):
    def build(docs, output, **given: object):
        return build_index(docs, word_encoder, output, **{"space": "s", **given})

    return build


def bytes_of(folder):
    """Every file of a finished index, by its name in the folder."""
    found = {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
    shards = sorted({name.split("/")[0] for name in found if "/" in name})
    assert set(found) == {"index.json", *(f"{shard}/{file}" for shard in shards for file in FILES)}
    assert len(shards) > 1
    return found


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_index_holds_the_encoder_s_vectors(tiny_encoder, docs, tmp_path, dtype):
    index = build_index(
        iter(docs), tiny_encoder, tmp_path / "ix", space="s", storage=dtype, origin={"command": "x"}
    )
    assert index.doc_ids == [doc.doc_id for doc in docs]
    assert (index.dim, index.space) == (32, "s")
    assert index.token_vectors(0, 23).dtype == getattr(torch, dtype)
    vectors = encode_documents(tiny_encoder, [doc.text for doc in docs])
    assert np.diff(index.offsets).tolist() == [len(rows) for rows in vectors]
    assert 0 in np.diff(index.offsets)
    tolerance = 1e-5 if dtype == "float32" else 4e-3
    stored = index.token_vectors(0, 23).float()
    np.testing.assert_allclose(stored, np.concatenate(vectors), atol=tolerance)
    description = json.loads((tmp_path / "ix" / "index.json").read_text())
    assert (description["n_docs"], description["origin"]) == (23, {"command": "x"})
    assert description["n_tokens"] == sum(map(len, vectors))


def test_opened_index_is_the_built_one(build, docs, tmp_path):
    built = build(docs, tmp_path / "ix")
    opened = MultiVectorIndex.open(tmp_path / "ix")
    assert torch.equal(opened.token_vectors(0, 23), built.token_vectors(0, 23))
    assert (opened.doc_ids, opened.space) == (built.doc_ids, built.space)
    np.testing.assert_array_equal(opened.offsets, built.offsets)


def test_writing_to_an_opened_index_leaves_the_file_alone(build, docs, tmp_path):
    index = build(docs, tmp_path / "ix")
    before = bytes_of(tmp_path / "ix")
    for first, last in index.iter_blocks(7):
        index.token_vectors(first, last)[:] = 0
    assert bytes_of(tmp_path / "ix") == before


def stop_after(docs, n):
    """Give the first documents, then kill."""
    yield from docs[:n]
    raise KeyboardInterrupt


@pytest.mark.parametrize("dtype", ["bfloat16", "int8"])
def test_build_killed_at_any_block_goes_on_to_the_same_bytes(build, docs, tmp_path, dtype):
    build(docs, tmp_path / "whole", storage=dtype)
    for n in (0, 1, 5, 12, 20, 23):
        with pytest.raises(KeyboardInterrupt):
            build(stop_after(docs, n), tmp_path / f"cut-{n}", storage=dtype)
        assert not (tmp_path / f"cut-{n}").exists()
        build(docs, tmp_path / f"cut-{n}", storage=dtype)
        assert bytes_of(tmp_path / f"cut-{n}") == bytes_of(tmp_path / "whole")


@pytest.mark.parametrize("writes", range(1, 25))
def test_build_killed_at_any_write_goes_on_to_the_same_bytes(
    build, docs, tmp_path, monkeypatch, writes
):
    """A write is one to a data file, the record of progress, or the description."""
    build(docs, tmp_path / "whole")
    done = 0

    def kill_at(write):
        def wrapped(*arguments: object, **options: object):
            nonlocal done
            done += 1
            if done == writes:
                if isinstance(arguments[0], ShardWriter):
                    write(*arguments[:2], b"half")
                raise KeyboardInterrupt
            write(*arguments, **options)

        return wrapped

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(ShardWriter, "_extend", kill_at(ShardWriter._extend))
        for module in (shard_writer, index_description):
            patch.setattr(module, "write_json", kill_at(index_files.write_json))
        build(docs, tmp_path / "cut")
    build(docs, tmp_path / "cut")
    assert bytes_of(tmp_path / "cut") == bytes_of(tmp_path / "whole")


def test_build_killed_before_the_renaming_is_not_encoded_again(
    build, word_encoder, docs, tmp_path, monkeypatch
):
    build(docs, tmp_path / "whole")

    def die(*_: object):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(files, "_replace_folder", die)
        build(docs, tmp_path / "cut")
    word_encoder.encoded.clear()
    build(docs, tmp_path / "cut")
    assert not word_encoder.encoded
    assert bytes_of(tmp_path / "cut") == bytes_of(tmp_path / "whole")


def test_documents_already_encoded_are_not_encoded_again(build, word_encoder, docs, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        build(stop_after(docs, 12), tmp_path / "ix")
    word_encoder.encoded.clear()
    build(docs, tmp_path / "ix")
    assert word_encoder.encoded == [doc.text for doc in docs[10:]]


@pytest.fixture
def unfinished(build, docs, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        build(stop_after(docs, 12), tmp_path / "ix")
    return tmp_path / "ix"


def test_other_order_of_documents_on_resuming_is_refused(build, docs, unfinished):
    with pytest.raises(DataError, match=r"document 1 was 'd\u00e90' when .* is 'd\u00e922' now"):
        build(docs[::-1], unfinished)


def test_fewer_documents_on_resuming_are_refused(build, docs, unfinished):
    with pytest.raises(DataError, match=r"document 5 was .* and is None now\. Remove the folder"):
        build(docs[:4], unfinished)


def test_other_text_on_resuming_is_refused(build, docs, unfinished):
    changed = [docs[0]._replace(text="a bird"), *docs[1:]]
    with pytest.raises(DataError, match=r"the text of the first 10 documents .*Remove the folder"):
        build(changed, unfinished)
    build(docs, unfinished)


@pytest.mark.parametrize("given", [{"space": "other"}, {"storage": "float32"}, {"pool_factor": 2}])
def test_other_settings_on_resuming_is_refused(build, docs, unfinished, given):
    with pytest.raises(ConfigError, match=r"encoder, storage or pool factor is here\. Remove"):
        build(docs, unfinished, **given)


@pytest.mark.parametrize("shard", ["shard-00000", "shard-00001"])
def test_damaged_unfinished_index_is_refused(build, docs, unfinished, shard):
    """In a finished shard, and in the one under way."""
    with pytest.raises(KeyboardInterrupt):
        build(stop_after(docs, 17), unfinished)
    (unfinished.with_name("ix.tmp") / shard / "vectors.bin").write_bytes(b"short")
    with pytest.raises(DataError, match=r"bytes or more of the unfinished index, found 5\. Remove"):
        build(docs, unfinished)


@pytest.mark.parametrize("progress", ["", "[]", "{}", '{"claim": {"format": 1}}'])
def test_foreign_progress_is_refused(build, docs, tmp_path, progress):
    (tmp_path / "ix.tmp").mkdir()
    (tmp_path / "ix.tmp" / "progress.json").write_text(progress)
    with pytest.raises(DataError, match=r"expected the progress of an unfinished index, .*Remove"):
        build(docs, tmp_path / "ix")


@pytest.mark.parametrize(
    ("docs", "message"),
    [
        ([], "found none among 0"),
        ([Doc("1", "..."), Doc("2", "")], "found none among 2"),
        ([Doc("1", "cat"), Doc("1", "dog")], "'1' is used twice"),
        ([Doc("1", "cat"), Doc("2 3", "dog")], "without white space: '2 3'"),
        ([Doc("1\n", "cat")], r"without white space: '1\\n'"),
        ([Doc("", "cat")], "without white space: ''"),
    ],
)
def test_bad_documents_are_refused(build, tmp_path, docs, message):
    with pytest.raises(DataError, match=message):
        build(docs, tmp_path / "ix")


def test_repeat_across_blocks_and_after_resuming_is_refused(build, docs, unfinished):
    with pytest.raises(DataError, match="'d\u00e90' is used twice"):
        build([*docs, docs[0]], unfinished)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"storage": "int4"}, "storage: expected one of float32, .*pq, found 'int4'"),
        ({"pool_factor": 0.5}, "pool factor: expected 1 or more, found 0.5"),
        ({"pool_factor": float("nan")}, "pool factor: expected 1 or more, found nan"),
    ],
)
def test_impossible_settings_are_refused(build, docs, tmp_path, given, message):
    with pytest.raises(ConfigError, match=message):
        build(docs, tmp_path / "ix", **given)


def test_too_little_memory_is_refused(build, docs, tmp_path, monkeypatch):
    monkeypatch.setattr(index_build, "_LEAST_MEMORY", 16 << 20)
    with pytest.raises(ConfigError, match=r"max memory: expected 16 MiB or more, found 0\.5"):
        build(docs, tmp_path / "ix", max_memory=1 << 19)


def test_existing_output_is_replaced_only_on_request(build, docs, tmp_path):
    build(docs, tmp_path / "ix")
    with pytest.raises(ConfigError, match=r"exists\. Choose another output or pass --overwrite"):
        build(docs[:3], tmp_path / "ix")
    assert len(build(docs[:3], tmp_path / "ix", overwrite=True).doc_ids) == 3


@pytest.fixture
def folder(build, docs, tmp_path):
    build(docs, tmp_path / "ix")
    return shutil.copytree(tmp_path / "ix", tmp_path / "damaged")


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", ["missing", "cut", "longer"])
def test_damaged_files_are_refused(folder, name, damage):
    path = folder / "shard-00001" / name
    content = path.read_bytes()
    path.unlink()
    if damage != "missing":
        path.write_bytes(content[:-8] if damage == "cut" else content + b"12345678")
    with pytest.raises(DataError, match=rf"{name}: expected .* bytes, .*encode the coll"):
        MultiVectorIndex.open(folder)


@pytest.mark.parametrize("name", FILES)
def test_changed_files_are_refused(folder, name):
    path = folder / "shard-00001" / name
    content = bytearray(path.read_bytes())
    content[4] ^= 1
    path.write_bytes(content)
    message = rf"shard-00001/{name}: expected the file that index.json describes"
    with pytest.raises(DataError, match=message):
        MultiVectorIndex.open(folder, check=True)
    with pytest.raises(DataError, match=message):
        verify_index(folder)
    if name != "vectors.bin":
        with pytest.raises(DataError, match=message):
            MultiVectorIndex.open(folder)


def test_verification_counts_every_file(folder):
    seen = []

    def progress(items, total):
        seen.append(total)
        return items

    verify_index(folder, progress=progress)
    assert seen == [3 * len(list(folder.glob("shard-*")))]


def change(folder, **changes: object):
    description = json.loads((folder / "index.json").read_text())
    (folder / "index.json").write_text(json.dumps({**description, **changes}))


@pytest.mark.parametrize("text", ["", "nonsense", "\ud800", '{"format"', "[]", "3"])
def test_damaged_json_is_refused(folder, text):
    (folder / "index.json").write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(DataError, match=r"is not JSON .*Encode the collection again"):
        MultiVectorIndex.open(folder)


@pytest.mark.parametrize("text", ["{}", '{"format": 2}', '{"format": true}'])
def test_foreign_description_is_refused(folder, text):
    (folder / "index.json").write_text(text)
    with pytest.raises(DataError, match=r"expected a multi-vector index of format 2, found format"):
        MultiVectorIndex.open(folder)


def test_older_and_newer_formats_say_so(folder):
    (folder / "index.json").write_text('{"format": 1, "dtype": "bfloat16", "dim": 32}')
    with pytest.raises(DataError, match=r"found format 1, which is older\. Encode the collection"):
        MultiVectorIndex.open(folder)
    change(folder, format=3)
    with pytest.raises(DataError, match=r"found 3 of a newer optical-ir\. Upgrade"):
        MultiVectorIndex.open(folder)


@pytest.mark.parametrize(
    "changes",
    [
        {"dim": 0},
        {"dim": "32"},
        {"dim": 16},
        {"storage": "float32"},
        {"storage": "pickle"},
        {"storage": ["bfloat16"]},
        {"space": None},
        {"pool_factor": "x"},
        {"n_docs": 22},
        {"n_tokens": -1},
        {"shards": None},
        {"shards": [3]},
        {"shards": [{}]},
        {"deleted": {"name": "../x", "docs": 1, "bytes": 8, "sha256": ""}},
        {"deleted": {"name": "deleted-00001.bin"}},
        {"deleted": 3},
    ],
    ids=str,
)
def test_impossible_descriptions_are_refused(folder, changes):
    change(folder, **changes)
    with pytest.raises(DataError, match=r"found a damaged one .*Encode the collection again"):
        MultiVectorIndex.open(folder)


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "../shard-00000"},
        {"name": "/etc"},
        {"name": "shard-00000/../../x"},
        {"name": "shard-00000\n"},
        {"name": "shard-00001"},
        {"name": 7},
        {"docs": 1.0},
        {"docs": -1},
        {"tokens": True},
        {"mean_squared_error": float("nan")},
        {"files": {}},
        {"more": 1},
    ],
    ids=str,
)
def test_impossible_shards_are_refused(folder, changes):
    shards = json.loads((folder / "index.json").read_text())["shards"]
    change(folder, shards=[{**shards[0], **changes}, *shards[1:]])
    with pytest.raises(DataError, match=r"found a damaged one .*Encode the collection again"):
        MultiVectorIndex.open(folder)


def test_files_outside_the_shard_are_refused(folder):
    shards = json.loads((folder / "index.json").read_text())["shards"]
    shards[0]["files"]["../vectors.bin"] = shards[0]["files"].pop("vectors.bin")
    change(folder, shards=shards)
    with pytest.raises(DataError, match=r"found a damaged one"):
        MultiVectorIndex.open(folder)


@pytest.mark.parametrize("by", [1, -30000])
def test_lengths_that_do_not_fit_are_refused(folder, by):
    """With the right checksum."""
    path = folder / "shard-00000" / "doc_lengths.bin"
    lengths = np.fromfile(path, "<i4")
    lengths[0] += by
    lengths[1] -= by if by < 0 else 0
    lengths.tofile(path)
    shards = json.loads((folder / "index.json").read_text())["shards"]
    shards[0]["files"]["doc_lengths.bin"]["sha256"] = files.sha256_file(path)
    change(folder, shards=shards)
    with pytest.raises(DataError, match=r"shard-00000: expected \d+ documents of \d+ tokens"):
        MultiVectorIndex.open(folder)


def test_missing_and_unfinished_indexes_are_told_apart(unfinished, tmp_path):
    with pytest.raises(DataError, match=r"found none\. Make one with: optical-ir encode"):
        MultiVectorIndex.open(tmp_path / "no")
    with pytest.raises(DataError, match=r"An unfinished one ends in \.tmp; run encode again"):
        MultiVectorIndex.open(tmp_path)
    with pytest.raises(DataError, match=r"It is unfinished; run the same encode again"):
        MultiVectorIndex.open(tmp_path / "ix.tmp")


def test_other_indexes_are_told_apart(tmp_path):
    (tmp_path / "index.json").write_text('{"kind": "bm25"}')
    with pytest.raises(DataError, match="is a BM25 index, which needs no encoder"):
        MultiVectorIndex.open(tmp_path)
    (tmp_path / "index.json").write_text('{"kind": "late-interaction"}')
    with pytest.raises(DataError, match="is a late-interaction index, expected a multi-vector"):
        MultiVectorIndex.open(tmp_path)


@pytest.mark.parametrize("max_tokens", [1, 7, 30, 1000])
def test_blocks_cover_the_index_in_order_within_shards(folder, max_tokens):
    index = MultiVectorIndex.open(folder)
    blocks = list(index.iter_blocks(max_tokens))
    assert [first for first, _ in blocks] == [0, *(last for _, last in blocks[:-1])]
    assert blocks[-1][1] == 23
    for first, last in blocks:
        assert index.offsets[last] - index.offsets[first] <= max_tokens or last == first + 1
        assert not any(first < bound < last for bound in index.shard_docs)


def test_gathered_and_sliced_rows_are_those_of_the_documents(folder):
    index = MultiVectorIndex.open(folder)
    whole = index.token_vectors(0, 23)
    own = [whole[a:b] for a, b in itertools.pairwise(index.offsets)]
    for first, last in [(0, 0), (23, 23), (0, 1), (3, 20), (9, 11)]:
        assert torch.equal(index.token_vectors(first, last), torch.cat([*own[first:last], own[0]]))
    generator = np.random.default_rng(3)
    for rows in ([], [0], [22, 0, 11, 11], generator.permutation(23)):
        found = index.gather(np.array(rows, np.int64))
        assert torch.equal(found, torch.cat([*(own[row] for row in rows), own[0]]).float())


@pytest.mark.parametrize("storage", ["float32", "bfloat16"])
def test_vectors_of_one_shard_are_a_view_of_the_file(word_encoder, docs, tmp_path, storage):
    index = build_index(docs, word_encoder, tmp_path / "ix", space="s", storage=storage)
    (shard,) = index.shards
    assert index.token_vectors(2, 9).data_ptr() == shard.values[index.offsets[2]].data_ptr()


def test_pooled_documents_have_fewer_vectors(build, docs, tmp_path):
    whole, pooled = (build(docs, tmp_path / str(n), pool_factor=n) for n in (1, 2))
    lengths = np.diff(whole.offsets)
    expected = np.where(lengths > 1, lengths // 2, lengths)
    np.testing.assert_array_equal(np.diff(pooled.offsets), expected)
    rows = pooled.token_vectors(0, 23).float()
    np.testing.assert_allclose(rows.norm(dim=1), 1, atol=1e-2)
    assert pooled.pool_factor == MultiVectorIndex.open(tmp_path / "2").pool_factor == 2
