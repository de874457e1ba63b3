"""The sides of `benchmarks.engines`: each is built from an index and searches one query."""

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, NamedTuple

_QUERY = "q"


class Case:
    """An index, and queries with their token embeddings."""

    def __init__(self, index: Any, queries: list[Any], vectors: list[Any]) -> None:
        self.index, self.queries, self.vectors = index, queries, vectors
        self.n_docs, self.n_tokens = len(index.doc_ids), int(index.offsets[-1])

    @cached_property
    def row_of(self) -> dict[str, int]:
        """Row of each document."""
        return {doc_id: row for row, doc_id in enumerate(self.index.doc_ids)}

    @cached_property
    def doc_of_token(self) -> Any:
        """Row of the document of each token vector."""
        import numpy as np

        return np.repeat(np.arange(self.n_docs), np.diff(self.index.offsets))

    def rows(self, ranked: Any) -> list[int]:
        """Rows of ranked documents."""
        return [self.row_of[row.doc_id] for row in ranked]

    def rerank(self, vectors: Any, rows: Any) -> list[int]:
        """Rank rows by exact MaxSim."""
        import numpy as np

        from optical_ir.records import Query
        from optical_ir.retrieval.two_stage import score_blocks

        rows = np.sort(np.asarray(rows, np.int64))
        return self.rows(score_blocks(self.index, Query(_QUERY, ""), vectors, rows))


class Side(NamedTuple):
    """An engine that is ready.

    Attributes
    ----------
    search : callable
        Of a query's token embeddings and a setting: rows of documents, best first.
    settings : sequence
    n_bytes : int
        What it keeps beside the token embeddings, or 0 if that is not known.
    """

    search: Callable[[Any, Any], Sequence[int]]
    settings: Sequence[Any] = ("",)
    n_bytes: int = 0


def exact(case: Case) -> Side:
    """Our exact search, of each query alone."""
    from optical_ir.records import Query
    from optical_ir.retrieval.search import search_index

    def search(vectors: Any, _: Any) -> list[int]:
        run = search_index(case.index, [Query(_QUERY, "")], [vectors], k=100)
        return case.rows(run[_QUERY])

    return Side(search)


def two_stage(case: Case) -> Side:
    """Our two-stage search, by candidates."""
    from optical_ir.retrieval.compress import compress_index
    from optical_ir.retrieval.token_ann import FOLDER, TokenAnn

    # Codes that were there before are not timed: the benchmark then says so.
    there = (case.index.folder / FOLDER).exists()
    ann = TokenAnn.open(case.index) if there else compress_index(case.index)
    return Side(_search_by(case, ann), (150, 200, 300, 400, 500, 600, 800, 1200, 1600), ann.size)


def centroids(case: Case) -> Side:
    """Our two-stage search without product codes: the best by centroids are re-ranked."""
    from dataclasses import replace

    from optical_ir.retrieval.token_ann import TokenAnn

    ann = TokenAnn.open(case.index)
    without = replace(ann, entry_codes=ann.no_codes)
    return Side(_search_by(case, without), (1000, 2000, 4000), ann.size - ann.entry_codes.nbytes)


def _search_by(case: Case, ann: Any) -> Callable[[Any, int], list[int]]:
    from optical_ir.records import Query
    from optical_ir.retrieval.two_stage import search_two_stage

    def search(vectors: Any, candidates: int) -> list[int]:
        run = search_two_stage(
            case.index, ann, [Query(_QUERY, "")], [vectors], k=100, candidates=candidates
        )
        return case.rows(run[_QUERY])

    return search


def muvera(case: Case) -> Side:
    """One vector a document, Faiss's exact inner products, re-ranked."""
    import faiss

    from optical_ir.models.muvera import Muvera, MuveraSettings
    from optical_ir.retrieval.dense import pool_index

    pooling = Muvera(MuveraSettings(), case.index.dim)
    flat = faiss.IndexFlatIP(pooling.dim)
    flat.add(pool_index(case.index, pooling))

    def search(vectors: Any, candidates: int) -> list[int]:
        _, rows = flat.search(pooling.pool_queries([vectors]), min(candidates, case.n_docs))
        return case.rerank(vectors, rows[0])

    return Side(search, (200, 400, 800, 1600, 3200), 4 * pooling.dim * case.n_docs)


def faiss_tokens(case: Case) -> Side:
    """Token vectors in Faiss's IVF with 4-bit product codes; documents met are re-ranked."""
    import faiss
    import numpy as np

    faiss.omp_set_num_threads(1)
    dim = case.index.dim
    n_lists = 2 ** round(np.log2(np.sqrt(case.n_tokens)))
    ivf = faiss.index_factory(dim, f"IVF{n_lists},PQ{dim // 6}x4fs", faiss.METRIC_INNER_PRODUCT)
    rows = np.random.default_rng(0).permutation(case.n_docs)[: max(1, 40 * n_lists // 100)]
    ivf.train(case.index.gather(np.sort(rows)).numpy())
    for block in case.index.iter_blocks(1 << 16):
        ivf.add(case.index.token_vectors(*block).float().numpy())

    def search(vectors: Any, setting: tuple[int, int]) -> list[int]:
        n_tokens, candidates = setting
        scores, tokens = ivf.search(vectors, n_tokens, params=faiss.SearchParametersIVF(nprobe=16))
        # What a document lacks counts as the least that was found (XTR).
        sums = np.zeros(case.n_docs, np.float32)
        for own, found in zip(scores, tokens, strict=True):
            own, found = own[found >= 0], found[found >= 0]
            docs, first = np.unique(case.doc_of_token[found], return_index=True)
            sums[docs] += own[first] - own[-1]
        met = np.flatnonzero(sums)
        best = met[np.argsort(-sums[met], kind="stable")[:candidates]]
        return case.rerank(vectors, best)

    settings = [(1000, 400), (2000, 800), (4000, 800), (4000, 1600), (8000, 3200)]
    return Side(search, settings, case.n_tokens * (dim // 12 + 8))


def lancedb(case: Case) -> Side:
    """LanceDB's multi-vector column, searched without an index."""
    import lancedb as lance
    import pyarrow as pa

    kind = pa.list_(pa.list_(pa.float32(), case.index.dim))
    vectors = [doc.tolist() for doc in _split(case)]
    rows = [row for row, doc in enumerate(vectors) if doc]
    table = pa.table(
        {"row": rows, "vector": pa.array([vectors[row] for row in rows], kind)},
    )
    own = lance.connect(case.index.folder / "lance").create_table("docs", table)

    def search(vectors: Any, _: Any) -> list[int]:
        return [row["row"] for row in own.search(vectors).metric("cosine").limit(100).to_list()]

    return Side(search)


def qdrant(case: Case) -> Side:
    """Search with qdrant-client's local mode, in memory."""
    from qdrant_client import QdrantClient, models

    client = QdrantClient(":memory:")
    config = models.VectorParams(
        size=case.index.dim,
        distance=models.Distance.COSINE,
        multivector_config=models.MultiVectorConfig(
            comparator=models.MultiVectorComparator.MAX_SIM
        ),
    )
    client.create_collection("docs", vectors_config=config)
    points = [
        models.PointStruct(id=row, vector=doc.tolist())
        for row, doc in enumerate(_split(case))
        if len(doc)
    ]
    client.upsert("docs", points=points)

    def search(vectors: Any, _: Any) -> list[int]:
        found = client.query_points("docs", query=vectors.tolist(), limit=100).points
        return [point.id for point in found]

    return Side(search)


def fast_plaid(case: Case) -> Side:
    """PLAID in Rust, on the token embeddings of the documents."""
    from fast_plaid import search as plaid

    engine = plaid.FastPlaid(index=str(case.index.folder / "plaid"), device="cpu")
    docs = _split(case)
    kept = [row for row, doc in enumerate(docs) if len(doc)]
    engine.create(documents_embeddings=[docs[row] for row in kept])

    def search(vectors: Any, n_probes: int) -> list[int]:
        import torch

        query = torch.from_numpy(vectors)[None]
        (found,) = engine.search(queries_embeddings=query, top_k=100, n_ivf_probe=n_probes)
        return [kept[row] for row, _ in found]

    return Side(search, (8, 32))


def pylate(case: Case) -> Side:
    """PyLate's PLAID."""
    from pylate import indexes

    engine = indexes.PLAID(str(case.index.folder), "pylate", override=True)
    docs = [doc.numpy() for doc in _split(case)]
    kept = [row for row, doc in enumerate(docs) if len(doc)]
    engine.add_documents([str(row) for row in kept], [docs[row] for row in kept])

    def search(vectors: Any, _: Any) -> list[int]:
        return [int(found["id"]) for found in engine([vectors], k=100)[0]]

    return Side(search)


def colbert(case: Case) -> Side:
    """Stanford's PLAID, which takes checkpoints and no token embeddings."""
    import colbert as stanford

    del case
    raise NotImplementedError(f"{stanford.__name__} indexes texts by its own checkpoints alone")


def _split(case: Case) -> Sequence[Any]:
    import numpy as np

    tokens = case.index.token_vectors(0, case.n_docs).float()
    return tokens.split(np.diff(case.index.offsets).tolist())


LOCAL_SIDES = {
    "exact": exact,
    "two-stage": two_stage,
    "centroids": centroids,
    "muvera": muvera,
    "faiss": faiss_tokens,
}
PEER_SIDES = {
    "lancedb": lancedb,
    "qdrant": qdrant,
    "fast-plaid": fast_plaid,
    "pylate": pylate,
    "colbert": colbert,
}
"""Sides that are slow or foreign: they search a part of the documents."""
