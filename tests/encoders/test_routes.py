"""Every way between our encoders and Pyserini's own commands, each in a process of its own."""

import copy
import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch

from optical_ir.evaluation import evaluate
from optical_ir.models import (
    center_encoder,
    encode_queries,
    load_encoder,
    load_single_vector,
    read_description,
    save_teacher,
)
from optical_ir.models.export import export_muvera, export_single_vector
from optical_ir.models.folder import write_description
from optical_ir.models.muvera import MuveraSettings
from optical_ir.records import Doc, Qrel, Query, ScoredDoc
from optical_ir.retrieval.encoded_queries import write_encoded_queries
from optical_ir.retrieval.index import MultiVectorIndex, build_index
from optical_ir.retrieval.lucene_vectors import build_vector_index
from optical_ir.retrieval.rerank import rerank
from optical_ir.retrieval.search import search_index
from optical_ir.trec import read_run, write_qrels, write_run, write_topics

pytestmark = pytest.mark.java

WORDS = "the a cat dog bird house water tree red big small old sees eats near under and".split()
RNG = np.random.default_rng(5)
DOCS = [Doc(f"d{n}", " ".join(RNG.choice(WORDS, RNG.integers(4, 14)))) for n in range(40)]
QUERIES = [
    Query("q1", "paka ona ndege"),
    Query("q2", "red house near water"),
    Query("10", "nyumba kubwa \U0001f3e0 karibu"),
    Query("9", "the old dog eats"),
]
QUERY_TEXTS = [query.text for query in QUERIES]
MUVERA = MuveraSettings(repetitions=4, bits=2, projection=8)
ON_CPU = ("--device", "cpu")


class Work(NamedTuple):
    """What the routes start from."""

    folder: Path
    corpus: Path
    topics: Path
    teacher: Path
    student: Path
    index: MultiVectorIndex


@pytest.fixture(scope="module")
def work(tiny_encoder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("routes")
    (folder / "corpus").mkdir()
    lines = (json.dumps({"id": doc.doc_id, "contents": doc.text}) for doc in DOCS)
    (folder / "corpus" / "docs.jsonl").write_text("\n".join(lines) + "\n")
    write_topics(folder / "topics.tsv", QUERIES)
    teacher = center_encoder(tiny_encoder, [doc.text for doc in DOCS] * 4)
    save_teacher(teacher, folder / "teacher", origin={})
    space = read_description(folder / "teacher")["space"]
    student = copy.deepcopy(teacher)
    torch.manual_seed(1)
    with torch.no_grad():
        for weight in student[0].parameters():
            weight.add_(0.02 * torch.randn_like(weight))
    # A name that would select ANCE without the launcher.
    student.save_pretrained(str(folder / "Guidance"), create_model_card=False)
    write_description(folder / "Guidance", {"role": "student", "space": space})
    index = build_index(DOCS, teacher, folder / "index", space=space, storage="float32")
    names = ("corpus", "topics.tsv", "teacher", "Guidance")
    return Work(folder, *(folder / name for name in names), index)


@pytest.fixture(scope="module")
def muvera(work):
    """Give teacher and student with settings of MUVERA."""
    folders = []
    for source in (work.teacher, work.student):
        folders.append(source.with_name(f"{source.name}-fde"))
        export_muvera(load_encoder(source), folders[-1], MUVERA, space=work.index.space, origin={})
    return folders


@pytest.fixture(scope="module")
def muvera_index(work, muvera, pyserini):
    """Give the Faiss index of fixed-dimensional encodings that Pyserini makes."""
    pytest.importorskip("faiss")
    pyserini(
        *("encoders", "pyserini.encode", "input", "--corpus", work.corpus),
        *("output", "--embeddings", work.folder / "faiss-fde", "--to-faiss"),
        *("encoder", "--encoder", muvera[0], "--dimension", MUVERA.dim, "--batch-size", 7, *ON_CPU),
    )
    return work.folder / "faiss-fde"


def check_scores(run, query_vectors, document_vectors, *, score=lambda cosine: cosine):
    """Ranking and scores are those of all inner products."""
    assert run.keys() == {query.query_id for query in QUERIES}
    for query, own in zip(QUERIES, query_vectors @ document_vectors.T, strict=True):
        found = {row.doc_id: row.score for row in run[query.query_id]}
        expected = {doc.doc_id: score(float(value)) for doc, value in zip(DOCS, own, strict=True)}
        assert found == pytest.approx(expected, abs=1e-5)
        assert [row.score for row in run[query.query_id]] == sorted(found.values(), reverse=True)


def test_stock_commands_read_the_plain_checkpoint_as_we_do(work, pyserini, tmp_path):
    pytest.importorskip("faiss")
    plain = tmp_path / "teacher", tmp_path / "student"
    for source, folder in zip((work.teacher, work.student), plain, strict=True):
        export_single_vector(load_encoder(source), folder, origin={})
    ours = load_single_vector(plain[0]).encode_documents([doc.text for doc in DOCS])
    auto = ("--encoder-class", "auto", "--pooling", "mean", "--l2-norm", *ON_CPU)
    for output in (["vectors"], ["faiss", "--to-faiss"]):
        pyserini(
            *("pyserini.encode", "input", "--corpus", work.corpus),
            *("output", "--embeddings", tmp_path / output[0], *output[1:]),
            *("encoder", "--encoder", plain[0], "--prefix", "passage:", "--dimension", 32, *auto),
        )
    lines = (tmp_path / "vectors" / "embeddings.jsonl").read_text().splitlines()
    stored = {record["id"]: record["vector"] for record in map(json.loads, lines)}
    assert np.array([stored[doc.doc_id] for doc in DOCS]) == pytest.approx(ours, abs=1e-5)
    pyserini(
        *("pyserini.search.faiss", "--index", tmp_path / "faiss", "--topics", work.topics),
        *("--encoder", plain[1], "--query-prefix", "query:", *auto, "--hits", len(DOCS)),
        *("--output", tmp_path / "run"),
    )
    queries = load_single_vector(plain[1]).encode_queries(QUERY_TEXTS)
    check_scores(read_run(tmp_path / "run"), queries, ours)


def test_launcher_searches_means_of_any_encoder(work, pyserini, tmp_path):
    pytest.importorskip("faiss")
    pyserini(
        *("encoders", "pyserini.encode", "input", "--corpus", work.corpus),
        *("output", "--embeddings", tmp_path / "faiss", "--to-faiss"),
        *("encoder", "--encoder", work.teacher, "--dimension", 32, "--batch-size", 7, *ON_CPU),
    )
    pyserini(
        *("encoders", "pyserini.search.faiss", "--index", tmp_path / "faiss", "--batch-size", 2),
        *("--topics", work.topics, "--encoder", work.student, "--hits", len(DOCS)),
        *("--output", tmp_path / "run"),
    )
    queries = load_single_vector(work.student).encode_queries(QUERY_TEXTS)
    documents = load_single_vector(work.teacher).encode_documents([doc.text for doc in DOCS])
    check_scores(read_run(tmp_path / "run"), queries, documents)


def fixed_dimensional(muvera):
    teacher, student = map(load_single_vector, muvera)
    return (
        student.encode_queries(QUERY_TEXTS),
        teacher.encode_documents([doc.text for doc in DOCS]),
    )


def test_faiss_finds_candidates_that_maxsim_ranks(work, muvera, muvera_index, pyserini, tmp_path):
    pyserini(
        *("encoders", "pyserini.search.faiss", "--index", muvera_index, "--topics", work.topics),
        *("--encoder", muvera[1], "--hits", len(DOCS), "--output", tmp_path / "run"),
    )
    first_stage = read_run(tmp_path / "run")
    check_scores(first_stage, *fixed_dimensional(muvera))
    tokens = encode_queries(load_encoder(work.student), QUERY_TEXTS)
    found = rerank(work.index, first_stage, QUERIES, tokens)
    exact = search_index(work.index, QUERIES, tokens)
    for query in QUERIES:
        expected = {row.doc_id: row.score for row in exact[query.query_id]}
        own = {row.doc_id: row.score for row in found[query.query_id]}
        assert own == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("kind", ["flat", "hnsw"])
def test_lucene_searches_vector_topics(work, muvera, pyserini, tmp_path, kind):
    pyserini(
        *("encoders", "pyserini.encode", "input", "--corpus", work.corpus),
        *("output", "--embeddings", tmp_path / "vectors"),
        *("encoder", "--encoder", muvera[0], *ON_CPU),
    )
    build_vector_index(tmp_path / "vectors", tmp_path / "ix", hnsw=kind == "hnsw")
    queries, documents = fixed_dimensional(muvera)
    write_encoded_queries(QUERIES, queries, tmp_path / "encoded")
    pyserini(
        *("pyserini.search.lucene", "--dense", f"--{kind}", "--index", tmp_path / "ix"),
        *("--topics", tmp_path / "encoded" / "vectors.tsv", "--hits", len(DOCS)),
        *("--output", tmp_path / "run"),
    )
    run = read_run(tmp_path / "run")
    check_scores(run, queries, documents, score=lambda cosine: (1 + cosine) / 2)


def test_stock_pyserini_searches_without_a_model(work, muvera, muvera_index, pyserini, tmp_path):
    queries, documents = fixed_dimensional(muvera)
    write_encoded_queries(QUERIES, queries, tmp_path / "encoded")
    pyserini(
        *("pyserini.search.faiss", "--index", muvera_index, "--hits", len(DOCS)),
        *("--encoded-queries", tmp_path / "encoded"),
        *("--topics", tmp_path / "encoded" / "topics.tsv", "--output", tmp_path / "run"),
    )
    check_scores(read_run(tmp_path / "run"), queries, documents)


@pytest.fixture(scope="module")
def bm25(work, pyserini):
    """Give Pyserini's own BM25 run, and its index."""
    index, run = work.folder / "lucene", work.folder / "run.bm25"
    pyserini(
        *("pyserini.index.lucene", "--collection", "JsonCollection", "--input", work.corpus),
        *("--generator", "DefaultLuceneDocumentGenerator", "--index", index),
    )
    pyserini(
        *("pyserini.search.lucene", "--index", index, "--topics", work.topics, "--bm25"),
        *("--hits", 30, "--output", run),
    )
    return index, run


def test_run_of_pyserini_is_ranked_anew(work, bm25):
    theirs = read_run(bm25[1])
    tokens = encode_queries(load_encoder(work.student), QUERY_TEXTS)
    found = rerank(work.index, theirs, QUERIES, tokens)
    exact = search_index(work.index, QUERIES, tokens)
    assert len(theirs["9"]) > 5
    for query_id, rows in theirs.items():
        kept = {row.doc_id for row in rows}
        expected = [row.doc_id for row in exact[query_id] if row.doc_id in kept]
        assert [row.doc_id for row in found[query_id]] == expected


def test_pyserini_fuses_our_run_with_its_own(work, bm25, pyserini, tmp_path):
    tokens = encode_queries(load_encoder(work.student), QUERY_TEXTS)
    write_run(tmp_path / "ours", search_index(work.index, QUERIES, tokens), tag="student")
    pyserini(
        *("pyserini.fusion", "--method", "rrf", "--runs", tmp_path / "ours", bm25[1]),
        *("--output", tmp_path / "fused", "--runtag", "fused"),
    )
    runs = [read_run(path) for path in (tmp_path / "ours", bm25[1])]
    for query_id, rows in read_run(tmp_path / "fused").items():
        for row in rows:
            ranks = [
                1 + [own.doc_id for own in run[query_id]].index(row.doc_id)
                for run in runs
                if row.doc_id in {own.doc_id for own in run.get(query_id, ())}
            ]
            assert row.score == pytest.approx(sum(1 / (60 + rank) for rank in ranks), abs=1e-5)


def test_hybrid_search_takes_our_encoders(work, bm25, muvera, muvera_index, pyserini, tmp_path):
    pyserini(
        *("encoders", "pyserini.search.hybrid", "dense", "--index", muvera_index),
        *("--encoder", muvera[1], *ON_CPU, "sparse", "--index", bm25[0]),
        *("fusion", "--alpha", 0, "run", "--topics", work.topics, "--hits", len(DOCS)),
        *("--output", tmp_path / "run"),
    )
    run = read_run(tmp_path / "run")
    # With alpha 0 the dense scores alone count.
    check_scores(run, *fixed_dimensional(muvera))


def ties(rng, query_id):
    """Rows with few distinct scores, as Pyserini's fusion writes them."""
    doc_ids = rng.permutation([f"d{n}" for n in range(150)])
    return [
        ScoredDoc(query_id, doc_id, float(score))
        for doc_id, score in zip(doc_ids, np.sort(rng.integers(0, 12, 150))[::-1] / 4, strict=True)
    ]


@pytest.mark.parametrize("written_by", ["us", "others"])
def test_trec_eval_gives_the_figures_of_evaluate(pyserini, tmp_path, written_by):
    rng = np.random.default_rng(9)
    run = {query_id: ties(rng, query_id) for query_id in ("q1", "q2", "7", "unjudged")}
    qrels = [
        Qrel(query_id, f"d{n}", int(rng.integers(0, 3)))
        for query_id in ("q1", "q2", "7", "unanswered")
        for n in rng.permutation(200)[:30]
    ]
    write_qrels(tmp_path / "qrels", qrels)
    if written_by == "us":
        write_run(tmp_path / "run", run, tag="ours")
    else:
        rows = [row for rows in run.values() for row in rows]
        lines = (f"{row.query_id} Q0 {row.doc_id} 1 {row.score} x\n" for row in rows)
        (tmp_path / "run").write_text("".join(lines))
    names = {"nDCG@10": "ndcg_cut_10", "AP": "map", "RR": "recip_rank", "R@100": "recall_100"}
    flags = [
        flag for name in ("ndcg_cut.10", "map", "recip_rank", "recall.100") for flag in ("-m", name)
    ]
    out = pyserini("pyserini.eval.trec_eval", "-c", *flags, tmp_path / "qrels", tmp_path / "run")
    theirs = {line.split()[0]: line.split()[2] for line in out.splitlines() if "\tall\t" in line}
    ours = evaluate(qrels, read_run(tmp_path / "run"), measures=list(names)).mean()
    assert {name: f"{ours[name]:.4f}" for name in names} == {
        name: theirs[other] for name, other in names.items()
    }
