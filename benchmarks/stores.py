"""Exact MaxSim search here against the engines that an index can be exported to.

Random unit vectors in memory: 1,000 documents of about 80 tokens, exported to engines that run
in this process, then one query of 32 tokens at a time, k = 100. `export` is the time to write
all documents there. Qdrant's client alone, in Python, is for trials; a server is another matter.
"""

import tempfile
import time
from argparse import ArgumentParser
from contextlib import ExitStack
from typing import Any

from benchmarks.search import random_index
from benchmarks.timing import Ratio, parse_options, print_table, time_interleaved

_QUERY_TOKENS = 32


def run_case(index: Any, options: Any) -> None:
    """Export one index to each engine, then time a query on each and print the table."""
    import numpy as np

    from optical_ir.engines import export_index, open_store, parse_address, search_store
    from optical_ir.records import Query
    from optical_ir.retrieval.search import search_index

    tokens = np.random.default_rng(1).standard_normal((_QUERY_TOKENS, index.dim), np.float32)
    vectors = [tokens / np.linalg.norm(tokens, axis=-1, keepdims=True)]
    queries = [Query("q", "")]
    calls: dict[str, Any] = {"search": lambda: search_index(index, queries, vectors, k=100)}
    with ExitStack() as stack:
        for engine in options.engines:
            place = stack.enter_context(tempfile.TemporaryDirectory())
            address = parse_address(f"{engine}:{place}/random")
            start = time.perf_counter()
            export_index(index, address)
            print(f"\nexport to {engine}: {time.perf_counter() - start:.1f} s")
            store = stack.enter_context(open_store(address))
            calls[engine] = lambda store=store: search_store(store, queries, vectors, k=100)
        times = time_interleaved(calls, rounds=options.rounds)
    title = f"bfloat16, dim {index.dim}, {len(index.doc_ids)} documents, 1 query"
    ratios = [Ratio(engine, "search", None) for engine in options.engines]
    print_table(f"{title}, {options.threads} thread(s)", times, ratios)


def _add_options(parser: ArgumentParser) -> None:
    parser.add_argument("--dim", type=int, default=128, help="default: %(default)s")
    parser.add_argument("--documents", type=int, default=1000, help="default: %(default)s")
    engines = ["lancedb", "qdrant"]
    parser.add_argument("--engines", nargs="+", choices=engines, default=engines)


def main() -> None:
    """Time one case and print its table."""
    options = parse_options(__doc__, rounds=7, add=_add_options)
    run_case(random_index(options.dim, "bfloat16", options.documents), options)


if __name__ == "__main__":
    main()
