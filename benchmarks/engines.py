"""Engines for token vectors against each other, on an index of real embeddings.

    python -m benchmarks.engines INDEX ENCODER TOPICS... [--qrels FILE...]

All sides search the same queries over the same embeddings in one process, query by query in turn,
so that a busy machine slows all alike; one core each. Every approximate side is timed at several
settings; the table gives the fastest that reaches R@100 of .95, and of .99, of the exact first
100. Times are medians over the queries, and of their ratios to exact search of the same query.
`growth` is a side's time on all documents over that on a tenth of them: 10 is linear. Sides that
fail, or lack a package, are named with the reason. Queries are encoded before.

Target: two-stage search at R@100 of .95 at least 8 times as fast as exact, nDCG@10 within .005.
"""

import statistics
import time
from argparse import ArgumentParser, Namespace
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.engine_sides import SIDES, Case, Side, fast_plaid, lancedb, qdrant
from benchmarks.timing import Ratio, parse_options, print_table, time_interleaved

_LEVELS = (0.95, 0.99)
_DEPTH = 100
EXACT = ("exact", "")
_BATCH = 32
_PRODUCT_ROWS = 1 << 12
"""Of embeddings multiplied at a time, into memory that stays."""


def _add_options(parser: ArgumentParser) -> None:
    parser.add_argument("index", type=Path, help="multi-vector index")
    parser.add_argument("encoder", help="query encoder")
    parser.add_argument("topics", nargs="+", help="TSV files")
    parser.add_argument("--qrels", nargs="+", type=Path, default=[], help="for nDCG@10")
    parser.add_argument("--documents", type=int, help="of the index, the first; default: all")
    parser.add_argument("--queries", type=int, default=60, help="drawn; default: %(default)s")
    parser.add_argument("--candidates", type=int, default=300, help="default: %(default)s")
    parser.add_argument("--keep-codes", action="store_true", help="take those in the index")
    parser.add_argument(
        "--skip", nargs="+", default=[], help="sides to leave out, or growth, or batches"
    )
    parser.add_argument(
        "--add", nargs="+", default=[], choices=["lancedb", "qdrant"], help="sides on the whole"
    )
    parser.add_argument("--fast-plaid", help="Python of an environment that has it")
    parser.add_argument("--seed", type=int, default=42, help="default: %(default)s")


def draw_queries(options: Namespace) -> tuple[list[Any], list[Any]]:
    """Draw queries of all topics, in random order, and encode them."""
    import numpy as np

    from optical_ir.collections import load_queries
    from optical_ir.models import encode_queries, load_encoder

    queries = [query for path in options.topics for query in load_queries(path)]
    order = np.random.default_rng(options.seed).permutation(len(queries))
    drawn = [queries[place] for place in order[: options.queries]]
    vectors = encode_queries(load_encoder(options.encoder), [query.text for query in drawn])
    found = [pair for pair in zip(drawn, vectors, strict=True) if len(pair[1])]
    return [query for query, _ in found], [own for _, own in found]


def build_sides(case: Case, makers: dict[str, Callable[[Case], Side]]) -> dict[str, Side]:
    """Build what can be built; say how long it took, or why it could not be."""
    sides = {}
    print(f"\nBuilt for {case.n_docs} documents, {case.n_tokens} token vectors")
    for name, make in makers.items():
        start = time.perf_counter(), time.process_time()
        try:
            side = make(case)
            side.search(case.vectors[0], side.settings[0])
        except Exception as err:  # Whatever a foreign engine raises is its result.
            print(f"  {name:<12} left out: {type(err).__name__}: {str(err).splitlines()[0][:90]}")
            continue
        wall, cpu = time.perf_counter() - start[0], time.process_time() - start[1]
        size = f"{side.n_bytes / case.n_tokens:8.1f} bytes a token" if side.n_bytes else ""
        print(f"  {name:<12} {wall:8.1f} s, {cpu:8.1f} s of CPU {size}", flush=True)
        sides[name] = side
    return sides


def time_sides(case: Case, sides: dict[str, Side]) -> tuple[dict[Any, Any], dict[Any, Any]]:
    """Search each query with each side at each setting; seconds and rows found of each."""
    seconds: dict[Any, list[float]] = defaultdict(list)
    rows: dict[Any, list[Any]] = defaultdict(list)
    keys = [(name, setting) for name, side in sides.items() for setting in side.settings]
    for own in case.vectors:
        for name, setting in keys:
            start = time.perf_counter()
            found = sides[name].search(own, setting)
            seconds[name, setting].append(time.perf_counter() - start)
            rows[name, setting].append(list(found[:_DEPTH]))
    return dict(seconds), dict(rows)


def recall_of(rows: list[Any], exact: list[Any]) -> float:
    """Part of the exact first 100 that is found, in the mean of the queries."""
    shared = [len(set(own) & set(best)) / len(best) for own, best in zip(rows, exact, strict=True)]
    return statistics.fmean(shared)


def ndcg_of(case: Case, rows: list[Any], qrels: dict[str, set[str]]) -> float:
    """Mean nDCG@10 against judgements of one grade."""
    import numpy as np

    gains = 1 / np.log2(np.arange(2, 12))
    values = []
    for query, own in zip(case.queries, rows, strict=True):
        relevant = qrels.get(query.query_id, set())
        hits = np.array([case.index.doc_ids[row] in relevant for row in own[:10]], float)
        best = gains[: len(relevant)].sum()
        values.append(float((hits * gains[: len(hits)]).sum() / best) if relevant else 0.0)
    return statistics.fmean(values)


def print_levels(case: Case, timed: Any, tenth: Any, qrels: dict[str, set[str]]) -> None:
    """Print, for each side and level of recall, the fastest setting that reaches it."""
    seconds, rows = timed
    exact = seconds[EXACT]
    own_ndcg = ndcg_of(case, rows[EXACT], qrels)
    print(f"\n{case.n_docs} documents, {len(exact)} queries; exact nDCG@10 {own_ndcg:.4f}")
    print(f"  {'side':<12} {'setting':<22} {'R@100':>6} {'ms':>8} {'exact/':>7} {'loss':>7} growth")
    medians = {key: statistics.median(own) for key, own in seconds.items()}
    recalls = {key: recall_of(own, rows[EXACT]) for key, own in rows.items()}
    for name in dict.fromkeys(name for name, _ in seconds):
        keys = [key for key in seconds if key[0] == name]
        for level in _LEVELS:
            reaching = [key for key in keys if recalls[key] >= level]
            if not reaching:
                best = max(keys, key=lambda key: recalls[key])
                print(f"  {name:<12} at most R@100 {recalls[best]:.3f}, no {level}")
                continue
            key = min(reaching, key=lambda key: medians[key])
            ratio = statistics.median(a / b for a, b in zip(exact, seconds[key], strict=True))
            loss = own_ndcg - ndcg_of(case, rows[key], qrels)
            growth = medians[key] / statistics.median(tenth[key]) if key in tenth else None
            print(
                f"  {name:<12} {key[1]!s:<22} {recalls[key]:6.3f} {1000 * medians[key]:8.1f} "
                f"{ratio:7.2f} {loss:7.4f} {f'{growth:5.1f}' if growth else ''}"
            )
            if len(keys) == 1:
                break


def print_all_settings(timed: Any) -> None:
    """Print every setting, for those who choose another level."""
    seconds, rows = timed
    print("\nAll settings")
    for key, own in seconds.items():
        recall = recall_of(rows[key], rows[EXACT])
        name = f"{key[0]} {key[1]}"
        print(f"  {name:<32} R@100 {recall:.3f} {1000 * statistics.median(own):9.1f} ms")


def print_batches(case: Case, candidates: int, threads: int, rounds: int) -> None:
    """Time 32 queries together: the bare product, exact and two-stage search."""
    import numpy as np
    import torch

    from optical_ir.models.precision import has_fast_bfloat16
    from optical_ir.records import Query
    from optical_ir.retrieval.search import search_index
    from optical_ir.retrieval.token_ann import TokenAnn
    from optical_ir.retrieval.two_stage import search_two_stage

    vectors = [case.vectors[number % len(case.vectors)] for number in range(_BATCH)]
    queries = [Query(str(number), "") for number in range(_BATCH)]
    index, ann = case.index, TokenAnn.open(case.index)
    dtype = torch.bfloat16 if has_fast_bfloat16(torch.device("cpu")) else torch.float32
    columns = torch.from_numpy(np.concatenate(vectors)).to(dtype).T
    rows = index.token_vectors(*next(index.iter_blocks(_PRODUCT_ROWS))).to(dtype)
    buffer = torch.empty(len(rows), columns.shape[1], dtype=dtype)

    def product() -> None:
        """Multiply as many rows, of one block as they do not matter."""
        for _ in range(round(int(index.offsets[-1]) / len(rows))):
            torch.mm(rows, columns, out=buffer)

    settings = {"k": _DEPTH, "candidates": candidates, "threads": threads}
    calls = {
        "product": product,
        "exact": lambda: search_index(index, queries, vectors, k=_DEPTH),
        "two-stage": lambda: search_two_stage(index, ann, queries, vectors, **settings),
    }
    times = time_interleaved(calls, rounds=rounds)
    ratios = [Ratio("exact", "product", 1.3), Ratio("exact", "two-stage", 8, at_least=True)]
    title = f"{_BATCH} queries together, {case.n_docs} documents, {candidates} candidates"
    print_table(f"{title}, {threads} thread(s)", times, ratios)


def read_judgements(paths: list[Path]) -> dict[str, set[str]]:
    """Read the relevant documents of each query."""
    from optical_ir.collections import load_qrels

    relevant: dict[str, set[str]] = defaultdict(set)
    for qrel in (qrel for path in paths for qrel in load_qrels(str(path))):
        if qrel.relevance > 0:
            relevant[qrel.query_id].add(qrel.doc_id)
    return dict(relevant)


def main() -> None:
    """Build, search and print, on all documents and a tenth of them."""
    options = parse_options(__doc__, rounds=3, add=_add_options)
    if options.documents and options.keep_codes:
        raise SystemExit("--keep-codes takes the codes of a whole index: leave --documents out")
    from optical_ir.retrieval.index import MultiVectorIndex

    index = MultiVectorIndex.open(options.index)
    queries, vectors = draw_queries(options)
    qrels = read_judgements(options.qrels)
    makers = {name: make for name, make in SIDES.items() if name not in options.skip}
    with TemporaryDirectory() as temporary:

        def case_of(name: str, n_docs: int) -> Case:
            folder = Path(temporary) / name
            folder.mkdir()
            return Case(cut_index(index, n_docs, folder), queries, vectors)

        n_docs = min(options.documents or len(index.doc_ids), len(index.doc_ids))
        if options.keep_codes:
            print("Token codes of the whole are those in the index: not built, not timed.")
            whole = Case(index, queries, vectors)
        else:
            whole = case_of("whole", n_docs)
        timed = time_sides(whole, build_sides(whole, makers | _foreign(options, Path(temporary))))
        few = {}
        if "growth" not in options.skip:
            tenth = case_of("tenth", max(1, n_docs // 10))
            few, _ = time_sides(tenth, build_sides(tenth, makers))
        print_levels(whole, timed, few, qrels)
        print_all_settings(timed)
        if "batches" not in options.skip:
            print_batches(whole, options.candidates, options.threads, options.rounds)


def _foreign(options: Namespace, folder: Path) -> dict[str, Callable[[Case], Side]]:
    """Engines that are asked for, as they are slow or need an environment of their own."""
    own = {"lancedb": lancedb, "qdrant": qdrant}
    sides: dict[str, Callable[[Case], Side]] = {
        name: lambda case, make=own[name]: make(case, folder) for name in options.add
    }
    if options.fast_plaid:
        sides["fast-plaid"] = lambda case: fast_plaid(case, options.fast_plaid, folder)
    return sides


def cut_index(index: Any, n_docs: int, folder: Path) -> Any:
    """Give the first documents of an index as one of their own, its codes in `folder`."""
    return type(index).from_tensor(
        folder,
        index.token_vectors(0, n_docs),
        index.offsets[: n_docs + 1],
        index.doc_ids[:n_docs],
        index.space,
    )


if __name__ == "__main__":
    main()
