"""The sides of `benchmarks.engines`: each is built from an index and searches one query."""

import pickle
import subprocess
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

_QUERY = "q"


class Case:
    """An index, and queries with their token embeddings."""

    def __init__(self, index: Any, queries: list[Any], vectors: list[Any]) -> None:
        self.index, self.queries, self.vectors = index, queries, vectors
        self.n_docs, self.n_tokens = len(index.doc_ids), int(index.offsets[-1])
        self.held = ExitStack()
        """What sides keep open while they are searched."""

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
    from optical_ir.records import Query
    from optical_ir.retrieval.compress import compress_index
    from optical_ir.retrieval.token_ann import FOLDER, TokenAnn
    from optical_ir.retrieval.two_stage import search_two_stage

    # Codes that were there before are not timed: the benchmark then says so.
    there = (case.index.folder / FOLDER).exists()
    ann = TokenAnn.open(case.index) if there else compress_index(case.index)

    def search(vectors: Any, candidates: int) -> list[int]:
        run = search_two_stage(
            case.index, ann, [Query(_QUERY, "")], [vectors], k=100, candidates=candidates
        )
        return case.rows(run[_QUERY])

    few, many = (150, 200, 300, 400, 500, 600, 800, 1200, 1600), (3200, 6400, 12800)
    return Side(search, (*few, *(n for n in many if n <= case.n_docs // 8)), ann.size)


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


def lancedb(case: Case, folder: Path) -> Side:
    """LanceDB with its own approximate index, by the partitions it probes; 100, as it ranks.

    Its index is trained with fewer iterations than it would choose, as these take minutes for
    ten thousand token vectors on one core.
    """
    from optical_ir.engines import export_index, parse_address

    address = parse_address(f"lancedb:{folder}/store/{case.n_docs}")
    export_index(case.index, address)
    import lancedb
    from lancedb.index import IvfPq

    table = lancedb.connect(str(folder / "store")).open_table(str(case.n_docs))
    training = IvfPq(distance_type="cosine", max_iterations=8, sample_rate=64)
    table.create_index("vectors", config=training)

    def search(vectors: Any, n_probe: int) -> list[int]:
        query = table.search(vectors, vector_column_name="vectors").distance_type("cosine")
        found = query.nprobes(n_probe).refine_factor(4).select(["doc_id", "_distance"])
        return [case.row_of[row["doc_id"]] for row in found.limit(100).to_list()]

    return Side(search, (20, 80, 320))


def qdrant(case: Case, folder: Path) -> Side:
    """Qdrant's client alone, which scores every document in Python."""
    from optical_ir.engines import export_index, open_store, parse_address, search_store
    from optical_ir.records import Query

    address = parse_address(f"qdrant:{folder}/qdrant/{case.n_docs}")
    export_index(case.index, address)
    store = case.held.enter_context(open_store(address))

    def search(vectors: Any, _: Any) -> list[int]:
        run = search_store(store, [Query(_QUERY, "")], [vectors], k=100)
        return case.rows(run[_QUERY])

    return Side(search)


def fast_plaid(case: Case, python: str, folder: Path) -> Side:
    """fast-plaid's own search of its codes, in a process of its own; 100 documents, as it ranks.

    Parameters
    ----------
    python : str
        Interpreter of an environment that has it.
    folder : Path
        For its index, and the token embeddings that it is made of.
    """
    import numpy as np

    (folder / "dim.txt").write_text(str(case.index.dim), "ascii")
    np.diff(case.index.offsets).astype(np.int64).tofile(folder / "lengths.bin")
    with (folder / "vectors.bin").open("wb") as file:
        for block in case.index.iter_blocks(1 << 16):
            case.index.token_vectors(*block).half().numpy().tofile(file)
    worker = subprocess.Popen(
        [python, str(Path(__file__).with_name("fast_plaid_worker.py")), str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    asked, replies = worker.stdin, worker.stdout
    while (line := replies.readline()) != b"built\n":
        if not line:
            raise RuntimeError(f"fast-plaid ended with {worker.wait()} before it was built")

    def search(vectors: Any, setting: tuple[int, int]) -> list[int]:
        n_probe, n_full = setting
        pickle.dump((vectors, {"n_ivf_probe": n_probe, "n_full_scores": n_full}), asked)
        asked.flush()
        return pickle.load(replies)

    size = sum(path.stat().st_size for path in (folder / "fast-plaid").rglob("*"))
    return Side(search, [(4, 1024), (8, 4096), (16, 8192), (32, 16384)], size)


SIDES = {
    "exact": exact,
    "two-stage": two_stage,
    "muvera": muvera,
    "faiss": faiss_tokens,
}
