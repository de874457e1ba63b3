"""Adding, deleting and merging give what an index built anew of the same documents gives."""

import json
from itertools import pairwise

import numpy as np
import pytest

from optical_ir.errors import ConfigError, DataError
from optical_ir.records import Doc, Query, ScoredDoc
from optical_ir.retrieval import index_edit, index_files
from optical_ir.retrieval.index import MultiVectorIndex, build_index, verify_index
from optical_ir.retrieval.index_description import Part, read_description
from optical_ir.retrieval.index_edit import add_documents, compact_index, delete_documents
from optical_ir.retrieval.index_merge import merge_indexes, part_bounds
from optical_ir.retrieval.rerank import rerank
from optical_ir.retrieval.search import search_index

QUERIES = [Query("q1", "the cat sees the old bird"), Query("q2", "water"), Query("q3", "and")]


@pytest.fixture
def build(word_encoder, small_blocks):
    def build(docs, output, **given: object):
        return build_index(docs, word_encoder, output, **{"space": "s", **given})

    return build


@pytest.fixture
def docs(make_docs):
    return make_docs(60)


@pytest.fixture
def ranked(word_encoder):
    """Search for all documents; ids and scores of each query."""

    def ranked(folder, k=100):
        index = MultiVectorIndex.open(folder, check=True)
        vectors = [word_encoder.embed(query.text) for query in QUERIES]
        run = search_index(index, QUERIES, vectors, k=k)
        return {key: [(row.doc_id, row.score) for row in rows] for key, rows in run.items()}

    return ranked


def assert_same(found, expected):
    """Compare documents, in their order, and scores, but for the last digits."""
    for query_id, rows in expected.items():
        assert [doc_id for doc_id, _ in found[query_id]] == [doc_id for doc_id, _ in rows]
        scores = [[score for _, score in own] for own in (found[query_id], rows)]
        np.testing.assert_allclose(*scores, atol=1e-5)


def names(folder):
    return {path.name for path in folder.iterdir()}


@pytest.mark.parametrize("storage", ["float32", "bfloat16", "float16", "int8"])
def test_ranking_does_not_depend_on_shards(word_encoder, docs, build, ranked, tmp_path, storage):
    build(docs, tmp_path / "many", storage=storage)
    build(docs, tmp_path / "few", storage=storage, max_memory=20 << 30)
    shards = [len(MultiVectorIndex.open(tmp_path / name).shards) for name in ("many", "few")]
    assert shards[0] > 2 * shards[1]
    assert ranked(tmp_path / "many") == ranked(tmp_path / "few")
    assert ranked(tmp_path / "many", k=3) == ranked(tmp_path / "few", k=3)


@pytest.mark.parametrize("cut", [20, 59])
def test_adding_gives_the_ranking_of_an_index_of_all(
    word_encoder, docs, build, ranked, tmp_path, cut
):
    build(docs, tmp_path / "all")
    build(docs[:cut], tmp_path / "ix")
    add_documents(tmp_path / "ix", iter(docs[cut:]), word_encoder, space="s", origin={"n": 1})
    assert_same(ranked(tmp_path / "ix"), ranked(tmp_path / "all"))
    assert read_description(tmp_path / "ix").edits == ({"n": 1},)
    assert not (tmp_path / "ix" / "progress.json").exists()


def test_deleting_gives_the_ranking_of_an_index_without_them(docs, build, ranked, tmp_path):
    build(docs, tmp_path / "ix")
    opened = MultiVectorIndex.open(tmp_path / "ix")
    gone = [doc.doc_id for doc in docs[5:50:3]]
    delete_documents(tmp_path / "ix", gone[:4])
    delete_documents(tmp_path / "ix", [*gone[4:], *gone[-1:]])
    build([doc for doc in docs if doc.doc_id not in gone], tmp_path / "rest")
    assert_same(ranked(tmp_path / "ix"), ranked(tmp_path / "rest"))
    index = MultiVectorIndex.open(tmp_path / "ix")
    assert index.doc_ids == [doc.doc_id for doc in docs]
    assert [doc.doc_id for doc, live in zip(docs, index.live, strict=True) if not live] == gone
    assert opened.live.all()
    assert sum(name.startswith("deleted") for name in names(tmp_path / "ix")) == 1
    compact_index(tmp_path / "ix")
    assert ranked(tmp_path / "ix") == ranked(tmp_path / "rest")
    assert MultiVectorIndex.open(tmp_path / "ix").live.all()
    assert MultiVectorIndex.open(tmp_path / "ix").doc_ids == [
        doc.doc_id for doc in docs if doc.doc_id not in gone
    ]
    assert not any(name.startswith("deleted") for name in names(tmp_path / "ix"))
    # What was open before goes on with what it had.
    assert opened.token_vectors(0, 60).isfinite().all()


def test_a_deleted_document_comes_back_in_a_new_version(
    word_encoder, docs, build, ranked, tmp_path
):
    build(docs, tmp_path / "ix")
    delete_documents(tmp_path / "ix", [docs[7].doc_id])
    new = Doc(docs[7].doc_id, "water water water")
    add_documents(tmp_path / "ix", [new], word_encoder, space="s")
    build([*docs[:7], *docs[8:], new], tmp_path / "anew")
    assert_same(ranked(tmp_path / "ix"), ranked(tmp_path / "anew"))
    index = MultiVectorIndex.open(tmp_path / "ix")
    run = {"q2": [ScoredDoc("q2", new.doc_id, 1.0)]}
    found = rerank(index, run, QUERIES, [word_encoder.embed(query.text) for query in QUERIES])
    assert found["q2"][0].score == pytest.approx(1, abs=0.01)
    delete_documents(tmp_path / "ix", [new.doc_id])
    assert rerank(index.open(index.folder), run, QUERIES, [word_encoder.embed("cat")] * 3) == {
        "q1": [],
        "q2": [],
        "q3": [],
    }


def test_all_documents_can_be_deleted(docs, build, ranked, tmp_path):
    build(docs, tmp_path / "ix")
    delete_documents(tmp_path / "ix", [doc.doc_id for doc in docs])
    assert ranked(tmp_path / "ix") == {"q1": [], "q2": [], "q3": []}
    with pytest.raises(DataError, match="expected documents to keep, found all deleted"):
        compact_index(tmp_path / "ix")


def test_bad_edits_are_refused_and_change_nothing(word_encoder, docs, build, tmp_path):
    folder = tmp_path / "ix"
    build(docs[:40], folder)
    before = (folder / "index.json").read_bytes()
    with pytest.raises(DataError, match=r"found 1 that it lacks, as 'x'\. Check the ids"):
        delete_documents(folder, ["x", docs[0].doc_id])
    delete = delete_documents
    with pytest.raises(DataError, match="is used twice"):
        add_documents(folder, docs[39:], word_encoder, space="s")
    with pytest.raises(DataError, match="Expected documents to add, found none"):
        add_documents(folder, [], word_encoder, space="s")
    for given in ({"space": "t"}, {"storage": "int8"}, {"pool_factor": 2}):
        with pytest.raises(ConfigError, match=r"expected the .* of the index, .*Add with the enc"):
            add_documents(folder, docs[40:], word_encoder, **{"space": "s", **given})
    for edit in (lambda: delete(tmp_path / "no", ["x"]), lambda: compact_index(tmp_path / "no")):
        with pytest.raises(DataError, match=r"found none\. Make one with: optical-ir encode"):
            edit()
    assert (folder / "index.json").read_bytes() == before
    assert not (tmp_path / "no.lock").exists()


@pytest.mark.parametrize("step", range(4))
@pytest.mark.parametrize("edit", ["delete", "compact", "add"])
def test_killed_edits_leave_the_old_index_or_the_new(
    word_encoder, docs, build, ranked, tmp_path, monkeypatch, edit, step
):
    folder = tmp_path / "ix"
    build(docs[:40], folder)
    delete_documents(folder, [docs[0].doc_id, docs[30].doc_id])
    old = ranked(folder)

    def run():
        if edit == "delete":
            delete_documents(folder, [docs[4].doc_id])
        elif edit == "compact":
            compact_index(folder)
        else:
            add_documents(folder, docs[40:], word_encoder, space="s")

    def kill(*_: object):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        if step < 3:
            target = [
                (index_edit, "write_description"),
                (index_edit, "remove_strays" if edit != "delete" else "deleted_name"),
                (index_files.os, "fsync"),
            ][step]
            patch.setattr(*target, kill)
        else:
            # Right after the renaming.
            write = index_edit.write_description
            patch.setattr(index_edit, "write_description", lambda *given: kill(write(*given)))
        run()
    now = ranked(folder)
    done = now != old or (edit == "compact" and len(MultiVectorIndex.open(folder).doc_ids) < 40)
    if not done:
        assert now == old
        run()
    expected = docs[:40] + (docs[40:] if edit == "add" else [])
    gone = {docs[0].doc_id, docs[30].doc_id} | ({docs[4].doc_id} if edit == "delete" else set())
    build([doc for doc in expected if doc.doc_id not in gone], tmp_path / "anew")
    assert_same(ranked(folder), ranked(tmp_path / "anew"))
    # The next edit clears what the killed one left.
    compact_index(folder)
    kept = {shard.name for shard in read_description(folder).shards}
    assert names(folder) - kept <= {"index.json", "ids.sqlite", "index.json.part"}


def stop_after(docs, n):
    yield from docs[:n]
    raise KeyboardInterrupt


def test_an_unfinished_addition_goes_on_and_stands_in_nobodys_way(
    word_encoder, docs, build, ranked, tmp_path
):
    folder = tmp_path / "ix"
    build(docs[:20], folder)
    before = ranked(folder)
    with pytest.raises(KeyboardInterrupt):
        add_documents(folder, stop_after(docs[20:], 17), word_encoder, space="s")
    assert ranked(folder) == before
    with pytest.raises(ConfigError, match="an unfinished addition of documents is here"):
        compact_index(folder)
    with pytest.raises(DataError, match=r"document 1 was .*Remove .*progress.json to start anew"):
        add_documents(folder, docs[30:], word_encoder, space="s")
    delete_documents(folder, [docs[3].doc_id])
    word_encoder.encoded.clear()
    add_documents(folder, docs[20:], word_encoder, space="s")
    assert len(word_encoder.encoded) == 40 - 15
    build([*docs[:3], *docs[4:]], tmp_path / "anew")
    assert_same(ranked(folder), ranked(tmp_path / "anew"))


@pytest.mark.parametrize("num", [1, 3, 7])
@pytest.mark.parametrize("storage", ["bfloat16", "int8"])
def test_merged_parts_are_the_index_of_the_whole(docs, build, ranked, tmp_path, num, storage):
    whole = build(docs, tmp_path / "whole", storage=storage)
    parts = []
    for number in range(num):
        first, end = part_bounds(len(docs), Part(number, num))
        parts.append(tmp_path / f"part-{number}")
        build(docs[first:end], parts[-1], storage=storage, part=Part(number, num))
    merge_indexes(parts[::-1], tmp_path / "merged", origin={"x": 1})
    merged = MultiVectorIndex.open(tmp_path / "merged")
    assert merged.doc_ids == whole.doc_ids
    np.testing.assert_array_equal(merged.offsets, whole.offsets)
    assert (merged.token_vectors(0, 60) == whole.token_vectors(0, 60)).all()
    assert ranked(tmp_path / "merged") == ranked(tmp_path / "whole")
    assert verify_index(tmp_path / "merged").origin == {"x": 1}


def test_merging_keeps_deleted_documents_deleted_and_parts_apart(
    word_encoder, docs, build, ranked, tmp_path
):
    for name, own in (("a", docs[:25]), ("b", docs[25:])):
        build(own, tmp_path / name)
        delete_documents(tmp_path / name, [own[2].doc_id])
    merge_indexes([tmp_path / "a", tmp_path / "b"], tmp_path / "ab")
    gone = {docs[2].doc_id, docs[27].doc_id}
    build([doc for doc in docs if doc.doc_id not in gone], tmp_path / "rest")
    assert_same(ranked(tmp_path / "ab"), ranked(tmp_path / "rest"))
    before = ranked(tmp_path / "ab")
    compact_index(tmp_path / "a")
    delete_documents(tmp_path / "b", [docs[40].doc_id])
    assert ranked(tmp_path / "ab") == before


def test_indexes_that_do_not_go_together_are_refused(docs, build, tmp_path):
    build(docs[:30], tmp_path / "a")
    build(docs[29:], tmp_path / "overlap")
    build(docs[30:], tmp_path / "space", space="t")
    build(docs[30:], tmp_path / "storage", storage="int8")
    build(docs[30:], tmp_path / "pooled", pool_factor=2)
    for name, message in (
        ("space", r"expected the space of .*/a, s, found t"),
        ("storage", r"expected the storage of .*/a, bfloat16, found int8"),
        ("pooled", r"expected the pool factor of .*/a, 1.0, found 2.0"),
    ):
        with pytest.raises(ConfigError, match=message):
            merge_indexes([tmp_path / "a", tmp_path / name], tmp_path / "merged")
    with pytest.raises(DataError, match=r"overlap: Document id .* is used twice"):
        merge_indexes([tmp_path / "a", tmp_path / "overlap"], tmp_path / "merged")
    with pytest.raises(DataError, match=r"is used twice"):
        merge_indexes([tmp_path / "a", tmp_path / "a"], tmp_path / "merged")
    with pytest.raises(ConfigError, match="Expected indexes to merge, found none"):
        merge_indexes([], tmp_path / "merged")
    assert not list(tmp_path.glob("merged*"))


def test_missing_and_repeated_parts_are_refused(docs, build, tmp_path):
    parts = []
    for number in range(3):
        first, end = part_bounds(len(docs), Part(number, 3))
        parts.append(tmp_path / str(number))
        build(docs[first:end], parts[-1], part=Part(number, 3))
    for wrong in (parts[:2], [*parts, parts[1]], parts[1:]):
        with pytest.raises(ConfigError, match="expected every part of a collection once, found"):
            merge_indexes(wrong, tmp_path / "merged")


@pytest.mark.parametrize("n_docs", [1, 5, 60])
def test_parts_share_out_the_documents_in_order(n_docs):
    for num in range(1, n_docs + 1):
        bounds = [part_bounds(n_docs, Part(number, num)) for number in range(num)]
        assert (bounds[0][0], bounds[-1][1]) == (0, n_docs)
        assert all(left[1] == right[0] for left, right in pairwise(bounds))
        sizes = {end - first for first, end in bounds}
        assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize("part", [Part(3, 3), Part(-1, 2), Part(0, 99)])
def test_impossible_parts_are_refused(part):
    with pytest.raises(ConfigError, match=r"shard-id: expected 0 to|shard-num: expected no more"):
        part_bounds(60, part)


def test_damaged_lists_of_deleted_documents_are_refused(docs, build, tmp_path):
    build(docs, tmp_path / "ix")
    delete_documents(tmp_path / "ix", [docs[2].doc_id, docs[9].doc_id])
    path = tmp_path / "ix" / "deleted-00001.bin"
    description = json.loads((tmp_path / "ix" / "index.json").read_text())
    for rows in ([9, 2], [2, 60], [-1, 2], [2, 2]):
        np.array(rows, "<i8").tofile(path)
        facts = index_files.describe_file(path)._asdict()
        description["deleted"] |= facts
        (tmp_path / "ix" / "index.json").write_text(json.dumps(description))
        with pytest.raises(DataError, match="expected places of 2 of 60 documents"):
            MultiVectorIndex.open(tmp_path / "ix")
