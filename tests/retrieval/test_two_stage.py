"""Two-stage search against brute force, on clustered token vectors."""

import dataclasses

import numpy as np
import pytest
import torch

from optical_ir.errors import ConfigError, DataError
from optical_ir.records import Doc, Query
from optical_ir.retrieval import compress as compress_module
from optical_ir.retrieval.code_kernels import (
    pack_bytes,
    pack_sums,
    pad_queries,
    score_centroids,
    score_codes,
)
from optical_ir.retrieval.codebooks import Codebooks, train_centroids, train_codewords
from optical_ir.retrieval.compress import compress_index, make_entries
from optical_ir.retrieval.index import MultiVectorIndex, build_index
from optical_ir.retrieval.k_means import NearestMeans
from optical_ir.retrieval.search import search_index
from optical_ir.retrieval.token_ann import TokenAnn
from optical_ir.retrieval.two_stage import allow_docs, find_candidates, search_two_stage

DIM, N_DOCS = 24, 600


def unit(rows):
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)


class Given:
    """Give the documents whose places their texts are."""

    dim = DIM

    def __init__(self, docs) -> None:
        self.docs = docs

    def encode_documents(self, texts, *, batch_size=32):
        """Give the token vectors of each."""
        del batch_size
        return [self.docs[int(text)] for text in texts]


def write_index(folder, docs):
    """Write an index of token vectors as `encode` would, in bfloat16."""
    named = [Doc(f"d{n}", str(n)) for n in range(len(docs))]
    return build_index(named, Given(docs), folder, space="s")


def clustered(generator, lengths, words):
    """Documents of a few topics: a token is a word of one of its topics, and noise."""
    docs = []
    for length in lengths:
        topics = generator.integers(0, len(words), 2)
        own = words[generator.choice(topics, length), generator.integers(0, words.shape[1], length)]
        docs.append(unit(own + 0.1 * generator.standard_normal((length, DIM))))
    return docs


@pytest.fixture(scope="module")
def words():
    return unit(np.random.default_rng(0).standard_normal((40, 12, DIM)))


@pytest.fixture(scope="module")
def index(tmp_path_factory, words):
    """600 documents of up to 30 tokens; every seventh has none."""
    generator = np.random.default_rng(1)
    lengths = [0 if n % 7 == 0 else int(generator.integers(1, 31)) for n in range(N_DOCS)]
    return write_index(tmp_path_factory.mktemp("ann") / "ix", clustered(generator, lengths, words))


@pytest.fixture(scope="module")
def ann(index):
    return compress_index(index, n_parts=8)


@pytest.fixture(scope="module")
def vectors(words):
    """Make queries of 0 to 40 tokens: none, a few, a full block of lanes, more than two."""
    return clustered(np.random.default_rng(2), [0, 1, 5, 8, 16, 17, 40, 0, 12], words)


@pytest.fixture(scope="module")
def queries(vectors):
    return [Query(f"q{n}", "") for n in range(len(vectors))]


def ids_of(run):
    return {query_id: [row.doc_id for row in rows] for query_id, rows in run.items()}


def recall(found, wanted):
    pairs = [(set(found[q]), wanted[q]) for q in wanted if wanted[q]]
    return np.mean([len(own & set(best)) / len(best) for own, best in pairs])


def test_few_candidates_hold_most_of_the_exact_top(index, ann, queries, vectors):
    exact = ids_of(search_index(index, queries, vectors, k=10))
    found = search_two_stage(index, ann, queries, vectors, k=10, candidates=40)
    assert recall(ids_of(found), exact) >= 0.95


def test_more_candidates_find_no_less(index, ann, queries, vectors):
    exact = ids_of(search_index(index, queries, vectors, k=10))
    recalls = [
        recall(ids_of(search_two_stage(index, ann, queries, vectors, candidates=count)), exact)
        for count in (10, 20, 80, 300)
    ]
    assert recalls == sorted(recalls)
    assert recalls[-1] > 0.99


def test_scores_are_those_of_exact_search(index, ann, queries, vectors):
    exact = search_index(index, queries, vectors, k=N_DOCS)
    found = search_two_stage(index, ann, queries, vectors, candidates=30)
    for query_id, rows in found.items():
        scores = {row.doc_id: row.score for row in exact[query_id]}
        assert rows == sorted(rows, key=lambda row: (row.score, row.doc_id), reverse=True)
        for row in rows:
            assert row.score == pytest.approx(scores[row.doc_id], abs=1e-4)


@pytest.mark.parametrize("candidates", [514, N_DOCS, 10 * N_DOCS])
def test_as_many_candidates_as_documents_are_exact_search(index, ann, queries, vectors, candidates):
    found = search_two_stage(index, ann, queries, vectors, k=2 * N_DOCS, candidates=candidates)
    assert found == search_index(index, queries, vectors, k=2 * N_DOCS)
    assert len(found["q2"]) == np.count_nonzero(np.diff(index.offsets)) == 514


@pytest.mark.parametrize("candidates", [None, 15, N_DOCS])
def test_filtered_search_is_filtered_brute_force(index, ann, queries, vectors, candidates):
    """Among few documents all are scored; among many, those found are the best of their kind."""
    allowed = allow_docs(index, [f"d{n}" for n in range(0, N_DOCS, 50)])
    everything = search_index(index, queries, vectors, k=N_DOCS)
    kept = {row.doc_id for row in everything["q2"]} & {
        doc_id for doc_id, own in zip(index.doc_ids, allowed, strict=True) if own
    }
    expected = {
        q: [row.doc_id for row in rows if row.doc_id in kept] for q, rows in everything.items()
    }
    if candidates is None:
        found = search_index(index, queries, vectors, k=N_DOCS, allowed=allowed)
    else:
        found = search_two_stage(
            index, ann, queries, vectors, candidates=candidates, allowed=allowed
        )
    assert ids_of(found) == expected


def test_filtered_candidates_are_as_good_as_unfiltered_ones(index, ann, queries, vectors):
    allowed = np.arange(N_DOCS) % 2 == 0
    exact = ids_of(search_index(index, queries, vectors, k=10, allowed=allowed))
    found = ids_of(
        search_two_stage(index, ann, queries, vectors, k=10, candidates=40, allowed=allowed)
    )
    assert all(allowed[int(doc_id[1:])] for ids in found.values() for doc_id in ids)
    assert all(len(found[q]) == len(exact[q]) for q in exact)
    assert recall(found, exact) >= 0.95


def test_deleted_documents_are_never_found(index, ann, queries, vectors):
    everything = ids_of(search_two_stage(index, ann, queries, vectors, k=5, candidates=50))
    gone = {doc_id for ids in everything.values() for doc_id in ids}
    live = np.array([doc_id not in gone for doc_id in index.doc_ids])
    index = dataclasses.replace(index, live=live)
    for count in (50, N_DOCS):
        found = ids_of(search_two_stage(index, ann, queries, vectors, candidates=count))
        assert not gone & {doc_id for ids in found.values() for doc_id in ids}
        assert len(found["q2"]) == min(count, 514 - len(gone))


def test_nothing_depends_on_batch_order_and_threads(index, ann, queries, vectors):
    together = search_two_stage(index, ann, queries, vectors, candidates=25)
    assert together == search_two_stage(index, ann, queries, vectors, candidates=25, threads=3)
    turned = search_two_stage(index, ann, queries[::-1], vectors[::-1], candidates=25)
    assert list(turned) == [query.query_id for query in queries[::-1]]
    assert turned == together
    for query, own in zip(queries, vectors, strict=True):
        assert search_two_stage(index, ann, [query], [own], candidates=25) == {
            query.query_id: together[query.query_id]
        }


def test_as_many_candidates_are_found_as_are_wanted(index, ann):
    """Of few allowed documents too, whatever the query."""
    allowed = np.zeros(N_DOCS, np.bool_)
    allowed[np.flatnonzero(np.diff(index.offsets) == 1)] = True
    query = unit(np.random.default_rng(9).standard_normal((1, DIM)))
    for count in (1, np.count_nonzero(allowed) - 1):
        rows = find_candidates(ann, query, count, allowed)
        assert len(set(rows)) == count
        assert allowed[rows].all()


def test_queries_without_tokens_and_no_queries_find_nothing(index, ann):
    empty = np.zeros((0, DIM), np.float32)
    assert search_two_stage(index, ann, [], []) == {}
    assert search_two_stage(index, ann, [Query("q", "")], [empty], candidates=5) == {"q": []}


def test_other_width_is_refused(index, ann):
    with pytest.raises(ConfigError, match="of dim 23"):
        search_two_stage(index, ann, [Query("q", "")], [np.ones((1, DIM - 1), np.float32)])


def test_unknown_documents_are_refused(index):
    with pytest.raises(DataError, match=r"1 of 2 document ids .* as 'x'\. Leave them out"):
        allow_docs(index, ["d3", "x"])


def best_sums(entry_offsets, rows, products):
    """MaxSim by the products of all entries with the tokens of a query."""
    pairs = zip(entry_offsets[rows], entry_offsets[rows + 1], strict=True)
    return np.array([products[first:last].max(0).sum() for first, last in pairs])


def assert_same_but_for_a_constant(found, expected, atol):
    gaps = expected - found
    np.testing.assert_allclose(gaps, gaps.mean(), atol=atol)


def test_packed_centroid_scores_are_maxsim_of_the_centroids(index, ann, vectors):
    rows = np.flatnonzero(np.diff(index.offsets))
    centroids = ann.codebooks.centroids
    for own in (v for v in vectors if len(v)):
        words, steps = pack_bytes(centroids @ pad_queries(own).mT)
        best = score_centroids()(words, ann.entry_centroids, ann.entry_offsets, rows)
        products = (centroids @ torch.from_numpy(own).T).numpy()[ann.entry_centroids]
        expected = best_sums(ann.entry_offsets, rows, products)
        found = best.view(np.uint8).reshape(len(rows), -1) @ steps
        assert_same_but_for_a_constant(found, expected, atol=steps.sum())


def test_packed_sums_are_maxsim_of_what_the_codes_stand_for(index, ann, vectors):
    books = ann.codebooks
    parts = books.codewords[torch.arange(8), torch.from_numpy(ann.entry_codes.astype(np.int64))]
    rest = parts.flatten(1) @ books.rotation.T
    means = rest + books.centroids[torch.from_numpy(ann.entry_centroids.astype(np.int64))]
    rows = np.flatnonzero(np.diff(index.offsets))
    for own in (v for v in vectors if len(v)):
        tokens = pad_queries(own)
        rotated = (tokens @ books.rotation).unflatten(2, (8, -1))
        code_scores = torch.einsum("bnpw,pcw->bpcn", rotated, books.codewords).contiguous()
        *words, steps = pack_sums(books.centroids @ tokens.mT, code_scores)
        best = score_codes()(*words, ann.entry_centroids, ann.entry_codes, ann.entry_offsets, rows)
        found = best.view(np.uint16).reshape(len(rows), -1) @ steps
        expected = best_sums(ann.entry_offsets, rows, (means @ torch.from_numpy(own).T).numpy())
        assert_same_but_for_a_constant(found, expected, atol=0.01 * len(own))


def test_packed_sums_never_overflow():
    """The worst case: every term at its most, all rounded up."""
    lanes = torch.ones(2, 1, 16)
    lanes[1, :, 1:] = 0
    centroid_scores = torch.tensor([[0.0], [1.0]]) * lanes
    code_scores = torch.linspace(-1, 1, 256).view(1, 1, 256, 1) * lanes[:, None]
    words, code_words, steps = pack_sums(centroid_scores, code_scores.expand(2, 250, 256, 16))
    codes = np.full((1, 250), 255, np.uint8)
    best = score_codes()(
        words, code_words, np.array([1], np.uint16), codes, np.array([0, 1]), np.array([0])
    )
    assert best.view(np.uint16).ravel()[:17] @ steps[:17] == pytest.approx(17 * 501, rel=0.01)
    assert not best.view(np.uint16).ravel()[17:].any()


def test_entries_are_means_of_tokens_at_a_centroid():
    centroids = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    vectors = torch.tensor([[0.9, 0.1], [0.1, 0.8], [0.7, 0.3], [0.2, 0.9]])
    entries = make_entries(vectors, np.array([3, 0, 1]), NearestMeans(centroids))
    assert entries.counts.tolist() == [2, 0, 1]
    assert entries.centroids.tolist() == [0, 1, 1]
    expected = [[-0.2, 0.2], [0.1, -0.2], [0.2, -0.1]]
    np.testing.assert_allclose(entries.means.numpy(), expected, atol=1e-6)


@pytest.mark.parametrize("n_parts", [1, 5, 8, 24])
def test_more_bytes_stand_for_vectors_more_closely(n_parts):
    generator = np.random.default_rng(3)
    rows = torch.from_numpy(generator.standard_normal((3000, DIM)).astype(np.float32))
    rotation, codewords = train_codewords(rows, n_parts, generator)
    books = Codebooks(torch.zeros(1, DIM), rotation, codewords)
    kept = rotation[:, rotation.any(dim=0)]
    np.testing.assert_allclose((kept @ kept.T).numpy(), np.eye(DIM), atol=1e-4)
    codes = torch.from_numpy(books.encode(rows).astype(np.int64))
    near = codewords[torch.arange(n_parts), codes].flatten(1) @ rotation.T
    left = float((rows - near).square().sum() / rows.square().sum())
    assert left < {1: 0.85, 5: 0.45, 8: 0.25, 24: 0.01}[n_parts]


def test_fewer_vectors_than_means_are_all_kept():
    rows = torch.eye(3)
    means = train_centroids(rows, 10, np.random.default_rng(0))
    assert sorted(means.tolist()) == sorted(rows.tolist())


@pytest.fixture
def copy(index, tmp_path):
    """Give an own index with codes, to damage."""
    import shutil

    shutil.copytree(index.folder, tmp_path / "ix", ignore=shutil.ignore_patterns("ann*"))
    own = MultiVectorIndex.open(tmp_path / "ix")
    compress_index(own, n_parts=8)
    return own


def files_of(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_same_seed_gives_the_same_bytes_on_any_threads(copy, ann):
    assert files_of(copy.folder / "ann") == files_of(ann.folder)
    compress_index(copy, n_parts=8, threads=3, overwrite=True)
    assert files_of(copy.folder / "ann") == files_of(ann.folder)
    compress_index(copy, n_parts=8, seed=7, overwrite=True)
    assert files_of(copy.folder / "ann") != files_of(ann.folder)


def test_groups_of_centroids_give_the_same_bytes_on_any_threads(copy, ann, monkeypatch):
    """As in a large index: here centroids are too few to be put into groups by themselves."""
    monkeypatch.setattr("optical_ir.retrieval.k_means._FEW", 256)
    compress_index(copy, n_parts=8, overwrite=True)
    grouped = files_of(copy.folder / "ann")
    assert grouped["centroids.bin"] != files_of(ann.folder)["centroids.bin"], "groups were used"
    compress_index(copy, n_parts=8, threads=3, overwrite=True)
    assert files_of(copy.folder / "ann") == grouped


def test_an_interrupted_build_goes_on(copy, monkeypatch):
    monkeypatch.setattr(compress_module, "_BLOCK_TOKENS", 512)
    compress_index(copy, n_parts=8, overwrite=True)
    whole = files_of(copy.folder / "ann")
    taken = []

    def stop_after(count):
        def track(blocks):
            for position, block in enumerate(blocks):
                if position == count:
                    raise KeyboardInterrupt
                taken.append(block)
                yield block

        return track

    with pytest.raises(KeyboardInterrupt):
        compress_index(copy, n_parts=8, overwrite=True, track=stop_after(9))
    assert files_of(copy.folder / "ann") == whole, "the old codes stay until the new ones are done"
    with (copy.folder / "ann.tmp" / "entry_codes.bin").open("ab") as stream:
        stream.write(b"half a block")
    monkeypatch.setattr(compress_module, "_train", None)
    n_before = len(taken)
    compress_index(copy, n_parts=8, overwrite=True, track=stop_after(10**6))
    assert files_of(copy.folder / "ann") == whole
    assert taken[n_before][0] > 0
    assert not (copy.folder / "ann.tmp").exists()


def test_codes_that_exist_are_kept(copy):
    with pytest.raises(ConfigError, match=r"exists.*--overwrite"):
        compress_index(copy, n_parts=8)


@pytest.mark.parametrize("n_parts", [0, DIM + 1])
def test_bytes_out_of_range_are_refused(index, n_parts):
    with pytest.raises(ConfigError, match="expected 1 to 24, found"):
        compress_index(index, n_parts=n_parts)


def test_missing_codes_name_the_command(copy):
    import shutil

    shutil.rmtree(copy.folder / "ann")
    with pytest.raises(DataError, match="Make them with: optical-ir compress --index"):
        TokenAnn.open(copy)


def test_codes_of_another_index_are_refused(copy, words, tmp_path):
    other = clustered(np.random.default_rng(5), np.diff(copy.offsets).tolist(), words)
    (copy.folder / "ann").rename(tmp_path / "ann")
    replaced = write_index(tmp_path / "other", other)
    (tmp_path / "ann").rename(replaced.folder / "ann")
    with pytest.raises(DataError, match="another or of an earlier state"):
        TokenAnn.open(replaced)


@pytest.mark.parametrize(
    ("name", "damage", "message"),
    [
        ("entry_codes.bin", lambda raw: raw[:-1], "The token codes are damaged"),
        ("entry_centroids.bin", lambda raw: b"\xff" * len(raw), "The token codes are damaged"),
        ("centroids.bin", None, "described|describes, found none"),
        ("ann.json", lambda raw: raw[:-9], "is not JSON"),
        ("ann.json", lambda raw: b"[]", "expected format 2, found None"),
    ],
)
def test_damaged_codes_are_refused(copy, name, damage, message):
    path = copy.folder / "ann" / name
    if damage is None:
        path.unlink()
    else:
        path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataError, match=message):
        TokenAnn.open(copy)


def test_a_flipped_bit_of_the_codes_is_found_when_asked_for(copy):
    path = copy.folder / "ann" / "entry_codes.bin"
    raw = bytearray(path.read_bytes())
    raw[100] ^= 1
    path.write_bytes(raw)
    TokenAnn.open(copy)
    with pytest.raises(DataError, match=r"entry_codes\.bin.*The token codes are damaged"):
        TokenAnn.open(copy, check=True)
