"""Triples of collections: streamed pairs of documents, mined negatives, and what is refused."""

import dataclasses
import json
from itertools import count
from typing import Self

import pytest
from ir_datasets.formats import GenericDoc, GenericDocPair, GenericQuery

from optical_ir.collections import load_collection
from optical_ir.errors import ConfigError, DataError
from optical_ir.mining import open_triples
from optical_ir.records import ScoredDoc
from optical_ir.training import TeacherSettings, Triple, train_teacher
from optical_ir.trec import write_run

SETTINGS = TeacherSettings(
    max_steps=3, batch_size=2, dev_queries=2, dev_documents=4, first_rank=1, last_rank=4
)
TEXTS = ["red cat", "big dog", "old house", "small bird", "water near tree", "big red house"]


class _EndlessPairs:
    """Looks like a dataset of ir_datasets: pairs without end, documents by id only."""

    def __init__(self) -> None:
        self.read, self.looked_up = 0, set()

    def has(self, kind):
        return kind in ("docs", "queries", "docpairs")

    def docs_cls(self):
        return GenericDoc

    def queries_cls(self):
        return GenericQuery

    def docs_lang(self):
        return "en"

    def queries_lang(self):
        return "en"

    def docs_metadata(self):
        return {}

    def docs_iter(self):
        raise AssertionError("the corpus is never read")

    def docs_store(self):
        return self

    def get(self, doc_id):
        self.looked_up.add(doc_id)
        if int(doc_id) > 99:
            raise KeyError(doc_id)
        return GenericDoc(doc_id, TEXTS[int(doc_id) % len(TEXTS)])

    def queries_iter(self):
        return iter(GenericQuery(f"q{n}", TEXTS[n % len(TEXTS)]) for n in range(12))

    def docpairs_iter(self):
        for number in count():
            self.read += 1
            yield GenericDocPair(f"q{number % 12}", str(number % 12), str(20 + number))


@pytest.fixture
def endless(monkeypatch):
    dataset = _EndlessPairs()
    monkeypatch.setattr("optical_ir.collections.irds._load", lambda dataset_id: dataset)
    return dataset


def test_pairs_are_streamed_as_far_as_the_steps_need_them(endless, tmp_path):
    triples = open_triples(load_collection("endless"), SETTINGS, cache=tmp_path / "run")
    assert triples.rows[:2] == [Triple("q0", "0", ("20",)), Triple("q1", "1", ("21",))]
    assert endless.read == len(triples.rows) == 3 * 2 + 2
    assert not endless.looked_up
    assert triples.queries["q1"] == "big dog"
    assert triples.document("7") == "big dog"
    with pytest.raises(DataError, match=r"no document '100'"):
        triples.document("100")


def test_teacher_trains_on_streamed_pairs(endless, tiny_encoder, tmp_path):
    triples = open_triples(load_collection("endless"), SETTINGS, cache=tmp_path / "run")
    train_teacher(tiny_encoder, triples, tmp_path / "teacher", settings=SETTINGS)
    assert endless.looked_up <= {*map(str, range(12)), *map(str, range(20, 28))}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"max_steps": None}, r"as far as they are needed\. Give max_steps"),
        ({"n_negatives": 2}, r"pairs of documents with 1 negative, found 2"),
    ],
)
def test_streams_that_cannot_be_are_refused(endless, tmp_path, values, message):
    settings = dataclasses.replace(SETTINGS, **values)
    with pytest.raises(ConfigError, match=message):
        open_triples(load_collection("endless"), settings, cache=tmp_path / "run")


@pytest.fixture
def judged(tmp_path):
    """Open a prepared folder of six judged queries."""
    folder = tmp_path / "judged"
    folder.mkdir()
    docs = (json.dumps({"id": f"d{n}", "contents": text}) for n, text in enumerate(TEXTS))
    (folder / "corpus.jsonl").write_text("\n".join(docs) + "\n")
    (folder / "topics.tsv").write_text("".join(f"q{n}\t{t}\n" for n, t in enumerate(TEXTS)))
    (folder / "qrels.txt").write_text("".join(f"q{n} 0 d{n} 1\n" for n in range(6)))
    return load_collection(folder)


RUN = {f"q{n}": [ScoredDoc(f"q{n}", f"d{d}", float(-d)) for d in range(6)] for n in range(6)}


def test_negatives_of_a_run_are_those_of_its_ranks(judged, tmp_path):
    write_run(tmp_path / "given.trec", RUN, tag="given")
    path = str(tmp_path / "given.trec")
    triples = open_triples(judged, SETTINGS, negatives=path, cache=tmp_path / "run")
    assert len(triples.rows) == 6
    for row in triples.rows:
        assert set(row.negatives) <= {"d0", "d1", "d2", "d3"} - {row.positive}
    assert triples.document("d1") == "big dog"


def test_no_negatives_leave_those_of_the_batch(judged, tmp_path):
    triples = open_triples(judged, SETTINGS, negatives="none", cache=tmp_path / "run")
    assert triples.n_negatives == 0


class _CountedBm25:
    """Stands for BM25; counts how often it indexes."""

    built = 0

    @classmethod
    def build(cls, docs, folder, *, overwrite) -> Self:
        cls.built += 1
        folder.mkdir()
        return cls()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def search(self, queries, *, k):
        return {query.query_id: RUN[query.query_id][:k] for query in queries}


def test_negatives_are_mined_once(judged, tmp_path, monkeypatch):
    monkeypatch.setattr("optical_ir.mining.Bm25Index", _CountedBm25)
    cache = tmp_path / "teacher.negatives.trec"
    first, second = (open_triples(judged, SETTINGS, cache=cache).rows for _ in range(2))
    assert first == second
    assert _CountedBm25.built == 1
    assert not list(tmp_path.glob("*.index"))
    other = dataclasses.replace(SETTINGS, last_rank=3)
    with pytest.raises(ConfigError, match=r"made with other settings \(hits\)"):
        open_triples(judged, other, cache=cache)


def test_collection_without_judgements_is_refused(judged, tmp_path):
    unjudged = dataclasses.replace(judged, iter_qrels=lambda: iter([]))
    with pytest.raises(DataError, match=r"expected judgements .*Choose topics that are judged"):
        open_triples(unjudged, SETTINGS, cache=tmp_path / "run")
