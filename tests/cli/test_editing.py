"""The verbs that change indexes, on the demo collection and a tiny encoder."""

import json
import shutil

import pytest

from optical_ir.retrieval.index import MultiVectorIndex


@pytest.fixture
def search(cli, work, tmp_path):
    """Search an index; give the run's bytes."""

    def search(index):
        run = tmp_path / f"run.{len(list(tmp_path.iterdir()))}.trec"
        done = cli(
            *("search", "--index", index, "--topics", work / "demo" / "topics.sw.tsv"),
            *("--encoder", work / "teacher", "--hits", "9", "--output", run),
        )
        assert done.code == 0, done.err
        return run.read_bytes()

    return search


def ids_of(run):
    return {line.split()[2] for line in run.decode().splitlines()}


def test_parts_of_a_collection_merge_into_the_whole(cli, work, search, tmp_path, needed):
    for number in (1, 0):
        part = tmp_path / f"part-{number}"
        done = cli(*needed("encode", part), "--shard-id", number, "--shard-num", "2")
        assert done.code == 0, done.err
    parts = (tmp_path / "part-1", tmp_path / "part-0")
    assert cli("merge-indexes", *parts, "--output", tmp_path / "merged").code == 0
    merged, whole = (MultiVectorIndex.open(f) for f in (tmp_path / "merged", work / "index"))
    assert merged.doc_ids == whole.doc_ids
    settings = json.loads((tmp_path / "merged" / "index.json").read_text())["origin"]["settings"]
    assert settings["encoder"] == str(work / "teacher")
    assert ids_of(search(tmp_path / "merged")) == ids_of(search(work / "index"))
    assert (
        "expected 0 to 1 with"
        in cli(*needed("encode", tmp_path / "x"), "--shard-id", "2", "--shard-num", "2").error
    )


def test_deleted_documents_are_not_found_until_they_are_added_again(cli, work, search, tmp_path):
    index = shutil.copytree(work / "index", tmp_path / "index")
    before = search(index)
    gone = before.decode().split()[2]
    rows = [json.loads(line) for line in (work / "demo" / "corpus.jsonl").read_text().splitlines()]
    (tmp_path / "ids.txt").write_text(f"{gone}\n")
    assert cli("delete-documents", "--index", index, "--ids", tmp_path / "ids.txt").code == 0
    assert gone not in ids_of(search(index))
    assert cli("delete-documents", "--index", index, "--doc-id", gone).error.endswith("the ids.")
    assert cli("delete-documents", "--index", index).code == 2
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "corpus.jsonl").write_text(
        "".join(json.dumps(row) + "\n" for row in rows if row["id"] == gone)
    )
    done = cli("add-documents", "--index", index, "--collection", tmp_path / "new")
    assert done.code == 0, done.err
    assert ids_of(search(index)) == ids_of(before)
    assert cli("compact-index", "--index", index).code == 0
    assert ids_of(search(index)) == ids_of(before)
    done = cli("verify-index", "--index", index)
    assert "132 documents" in done.out
    assert "in bfloat16, 2 shards: all as described" in done.out


def test_a_damaged_index_is_told_by_its_file(cli, work, tmp_path):
    index = shutil.copytree(work / "index", tmp_path / "index")
    path = index / "shard-00000" / "vectors.bin"
    path.write_bytes(bytes([path.read_bytes()[0] ^ 1]) + path.read_bytes()[1:])
    assert f"{path}: expected the file that" in cli("verify-index", "--index", index).error
