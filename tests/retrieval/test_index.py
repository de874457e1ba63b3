"""Building, resuming and opening the multi-vector index."""

import json
import shutil

import numpy as np
import pytest
import torch

from optical_ir.errors import ConfigError, DataError
from optical_ir.models import encode_documents
from optical_ir.records import Doc
from optical_ir.retrieval import index as index_module
from optical_ir.retrieval.index import MultiVectorIndex, build_index

WORDS = "the a cat dog bird house water tree red big small old sees eats near under and".split()
FILES = ("index.json", "embeddings.bin", "doc_lengths.bin", "doc_ids.txt")


@pytest.fixture(scope="module")
def docs():
    """23 documents of 0 to 11 words; some have punctuation only."""
    generator = np.random.default_rng(0)
    texts = [" ".join(generator.choice(WORDS, n % 12)) + "." for n in range(23)]
    return [Doc(f"d\u00e9{n}", text) for n, text in enumerate(texts)]


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(index_module, "_BLOCK", 5)


@pytest.fixture
def build(tiny_encoder):
    def build(docs, output, **given: str):
        return build_index(docs, tiny_encoder, output, **{"space": "s", **given})

    return build


def bytes_of(folder):
    assert {path.name for path in folder.iterdir()} == set(FILES)
    return {name: (folder / name).read_bytes() for name in FILES}


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_index_holds_the_encoder_s_vectors(build, tiny_encoder, docs, tmp_path, dtype):
    index = build(iter(docs), tmp_path / "ix", dtype=dtype, origin={"command": "x"})
    assert index.doc_ids == [doc.doc_id for doc in docs]
    assert (index.dim, index.space) == (32, "s")
    assert index.embeddings.dtype == getattr(torch, dtype)
    vectors = encode_documents(tiny_encoder, [doc.text for doc in docs])
    assert np.diff(index.offsets).tolist() == [len(rows) for rows in vectors]
    assert 0 in np.diff(index.offsets)
    tolerance = 1e-5 if dtype == "float32" else 4e-3
    np.testing.assert_allclose(index.embeddings.float(), np.concatenate(vectors), atol=tolerance)
    description = json.loads((tmp_path / "ix" / "index.json").read_text())
    assert (description["n_docs"], description["origin"]) == (23, {"command": "x"})


def test_opened_index_is_the_built_one(build, docs, tmp_path):
    built = build(docs, tmp_path / "ix")
    opened = MultiVectorIndex.open(tmp_path / "ix")
    assert torch.equal(opened.embeddings, built.embeddings)
    assert (opened.doc_ids, opened.space) == (built.doc_ids, built.space)
    np.testing.assert_array_equal(opened.offsets, built.offsets)


def test_writing_to_an_opened_index_leaves_the_file_alone(build, docs, tmp_path):
    index = build(docs, tmp_path / "ix")
    before = bytes_of(tmp_path / "ix")
    index.embeddings[:] = 0
    assert bytes_of(tmp_path / "ix") == before


def stop_after(docs, n):
    """Give the first documents, then kill."""
    yield from docs[:n]
    raise KeyboardInterrupt


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_build_killed_at_any_block_goes_on_to_the_same_bytes(build, docs, tmp_path, dtype):
    build(docs, tmp_path / "whole", dtype=dtype)
    for n in (0, 1, 5, 12, 20, 23):
        with pytest.raises(KeyboardInterrupt):
            build(stop_after(docs, n), tmp_path / f"cut-{n}", dtype=dtype)
        assert not (tmp_path / f"cut-{n}").exists()
        build(docs, tmp_path / f"cut-{n}", dtype=dtype)
        assert bytes_of(tmp_path / f"cut-{n}") == bytes_of(tmp_path / "whole")


@pytest.mark.parametrize("writes", range(1, 9))
def test_build_killed_inside_a_block_goes_on_to_the_same_bytes(
    build, docs, tmp_path, monkeypatch, writes
):
    """Each block is four writes: three data files and the record of progress."""
    build(docs, tmp_path / "whole")
    done = 0

    def kill_at(method):
        def wrapped(self, name, content):
            nonlocal done
            done += 1
            if done == writes:
                if name in FILES:
                    with (self.folder / name).open("ab") as stream:
                        stream.write(b"half")
                raise KeyboardInterrupt
            method(self, name, content)

        return wrapped

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        for name in ("_extend", "_write_json"):
            patch.setattr(
                index_module._Builder, name, kill_at(getattr(index_module._Builder, name))
            )
        build(docs, tmp_path / "cut")
    build(docs, tmp_path / "cut")
    assert bytes_of(tmp_path / "cut") == bytes_of(tmp_path / "whole")


def test_build_killed_before_the_renaming_goes_on(build, docs, tmp_path, monkeypatch):
    build(docs, tmp_path / "whole")
    finish = index_module._Builder.finish

    def finish_and_die(self, origin):
        finish(self, origin)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(index_module._Builder, "finish", finish_and_die)
        build(docs, tmp_path / "cut")
    build(docs, tmp_path / "cut")
    assert bytes_of(tmp_path / "cut") == bytes_of(tmp_path / "whole")


def test_documents_already_encoded_are_not_encoded_again(build, docs, tmp_path, monkeypatch):
    with pytest.raises(KeyboardInterrupt):
        build(stop_after(docs, 12), tmp_path / "ix")
    encoded = []

    def spy(encoder, texts, *, batch_size):
        encoded.extend(texts)
        return encode_documents(encoder, texts, batch_size=batch_size)

    monkeypatch.setattr(index_module, "encode_documents", spy)
    build(docs, tmp_path / "ix")
    assert encoded == [doc.text for doc in docs[10:]]


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


@pytest.mark.parametrize("given", [{"space": "other"}, {"dtype": "float32"}])
def test_other_encoder_or_dtype_on_resuming_is_refused(build, docs, unfinished, given):
    with pytest.raises(ConfigError, match=r"of another encoder or dtype is here\. Remove"):
        build(docs, unfinished, **given)


def test_damaged_unfinished_index_is_refused(build, docs, unfinished):
    (unfinished.with_name("ix.tmp") / "embeddings.bin").write_bytes(b"short")
    with pytest.raises(DataError, match=r"bytes or more of the unfinished index, found 5\. Remove"):
        build(docs, unfinished)


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


def test_unknown_dtype_is_refused(build, docs, tmp_path):
    with pytest.raises(ConfigError, match="expected bfloat16 or float32, found 'int8'"):
        build(docs, tmp_path / "ix", dtype="int8")


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
    content = (folder / name).read_bytes()
    (folder / name).unlink()
    if damage != "missing":
        (folder / name).write_bytes(content[:-8] if damage == "cut" else content + b"12345678")
    with pytest.raises(DataError, match=r"[Ee]ncode the collection again|Make one with"):
        MultiVectorIndex.open(folder)


@pytest.mark.parametrize("name", ["doc_lengths.bin", "doc_ids.txt"])
def test_changed_lengths_and_ids_are_refused(folder, name):
    content = bytearray((folder / name).read_bytes())
    content[4] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(DataError, match=rf"{name}: expected the file that index.json describes"):
        MultiVectorIndex.open(folder)


@pytest.mark.parametrize("text", ["[]", "{}", '{"format": 2, "dtype": "bfloat16"}', "3"])
def test_foreign_description_is_refused(folder, text):
    (folder / "index.json").write_text(text)
    with pytest.raises(DataError, match="expected format 1 and dtype bfloat16 or float32, found"):
        MultiVectorIndex.open(folder)


def test_missing_and_unfinished_indexes_are_told_apart(unfinished, tmp_path):
    with pytest.raises(DataError, match=r"found none\. Make one with: optical-ir encode"):
        MultiVectorIndex.open(tmp_path / "no")
    with pytest.raises(DataError, match=r"An unfinished one ends in \.tmp; run encode again"):
        MultiVectorIndex.open(tmp_path)


def test_a_bm25_index_is_told_apart(tmp_path):
    (tmp_path / "index.json").write_text('{"kind": "bm25"}')
    with pytest.raises(DataError, match="is a BM25 index, which needs no encoder"):
        MultiVectorIndex.open(tmp_path)
