"""A full disk and Ctrl-C lose nothing that was finished."""

import errno
import os
from pathlib import Path

import pytest

from optical_ir.retrieval import index_build
from optical_ir.retrieval.index import MultiVectorIndex
from optical_ir.retrieval.shard_writer import ShardWriter


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_full_disk_keeps_the_old_run(cli, needed, tmp_path):
    output = tmp_path / "run.trec"
    output.write_text("old")
    # What is written beside the run meets the kernel's own "no space left".
    (tmp_path / "run.trec.tmp").symlink_to("/dev/full")
    done = cli(*needed("search", output), "--overwrite")
    assert "no space left on the device. Free some and run the same command again" in done.error
    assert output.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["run.trec"]


def test_encoding_goes_on_after_a_full_disk(cli, needed, tmp_path, monkeypatch):
    write, output = ShardWriter._extend, tmp_path / "index"

    def fill(self, name, content):
        if self._docs and name == "doc_lengths.bin":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(self, name, content)

    monkeypatch.setattr(index_build, "_BLOCK", 50)
    with monkeypatch.context() as patch:
        patch.setattr(ShardWriter, "_extend", fill)
        assert "no space left" in cli(*needed("encode", output)).error
    assert not output.exists()
    assert cli(*needed("encode", output)).code == 0
    assert [path.name for path in tmp_path.iterdir()] == ["index"]
    assert len(MultiVectorIndex.open(output, check=True).doc_ids) == 132


def test_ctrl_c_exits_with_130_and_encoding_goes_on_where_it_was(
    cli, work, needed, tmp_path, monkeypatch
):
    encode, encoded = index_build.encode_documents, []

    def counted(encoder, texts, *, batch_size):
        if len(encoded) == 50:
            encoded.append("interrupted")
            raise KeyboardInterrupt
        encoded.extend(texts)
        return encode(encoder, texts, batch_size=batch_size)

    monkeypatch.setattr(index_build, "_BLOCK", 50)
    monkeypatch.setattr(index_build, "encode_documents", counted)
    output = tmp_path / "index"
    done = cli(*needed("encode", output))
    assert done.code == 130
    assert "Interrupted" in done.err
    assert "Traceback" not in done.err
    assert not output.exists()
    assert cli(*needed("encode", output)).code == 0
    assert len(encoded) == 132 + 1
    found, whole = (MultiVectorIndex.open(f, check=True) for f in (output, work / "index"))
    assert found.doc_ids == whole.doc_ids
    assert found.offsets.tolist() == whole.offsets.tolist()


def test_ctrl_c_in_search_leaves_nothing(cli, needed, tmp_path, monkeypatch):
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("optical_ir.retrieval.queries.encode_queries", interrupt)
    assert cli(*needed("search", tmp_path / "run.trec")).code == 130
    assert list(tmp_path.iterdir()) == []
