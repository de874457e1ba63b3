"""Exact MaxSim search against one plain torch product of the same size and dtype.

The product is all token embeddings times all query tokens, into memory that is already there,
without taking maxima or ranking. Random unit vectors in memory: 4,000 documents of about 80
tokens, queries of 32. `first pass` is `approximate_scores`; `search` is `search_index` with
k = 100, which scores its candidates again in float32 and ranks.

Target: at most 1.4 times the product.
"""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from benchmarks.timing import Ratio, parse_options, print_table, time_interleaved

_QUERY_TOKENS = 32


def random_index(dim: int, dtype: str, n_docs: int) -> Any:
    """Index of random unit vectors, held in memory."""
    import numpy as np
    import torch

    from optical_ir.retrieval.index import MultiVectorIndex

    lengths = np.random.default_rng(0).integers(60, 101, n_docs)
    offsets = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
    embeddings = torch.randn(int(offsets[-1]), dim, generator=torch.Generator().manual_seed(0))
    embeddings = torch.nn.functional.normalize(embeddings, dim=-1).to(getattr(torch, dtype))
    doc_ids = [str(number) for number in range(n_docs)]
    return MultiVectorIndex.from_tensor(Path("random"), embeddings, offsets, doc_ids, "random")


def run_case(index: Any, n_queries: int, options: Any) -> None:
    """Time one batch of queries on one index and print its table."""
    import numpy as np
    import torch

    from optical_ir.records import Query
    from optical_ir.retrieval.search import approximate_scores, search_index

    rng = np.random.default_rng(1)
    tokens = rng.standard_normal((n_queries, _QUERY_TOKENS, index.dim), np.float32)
    tokens /= np.linalg.norm(tokens, axis=-1, keepdims=True)
    vectors = list(tokens)
    queries = [Query(str(number), "") for number in range(n_queries)]
    columns = torch.from_numpy(tokens).flatten(0, 1).to(getattr(torch, index.storage)).T
    embeddings = index.token_vectors(0, len(index.doc_ids))
    products = torch.empty(len(embeddings), columns.shape[1], dtype=columns.dtype)
    calls = {
        "product": lambda: torch.mm(embeddings, columns, out=products),
        "first pass": lambda: approximate_scores(index, vectors),
        "search": lambda: search_index(index, queries, vectors, k=options.k),
    }
    times = time_interleaved(calls, rounds=options.rounds)
    name = str(columns.dtype).removeprefix("torch.")
    title = f"{name}, dim {index.dim}, {len(embeddings)} tokens, {n_queries} queries"
    ratios = [Ratio("first pass", "product", 1.4), Ratio("search", "product", 1.4)]
    print_table(f"{title}, {options.threads} thread(s)", times, ratios)


def _add_options(parser: ArgumentParser) -> None:
    for name, default in (("--dim", [128, 384]), ("--queries", [1, 32])):
        parser.add_argument(name, type=int, nargs="+", default=default, help="default: %(default)s")
    parser.add_argument("--documents", type=int, default=4000, help="default: %(default)s")
    parser.add_argument("--k", type=int, default=100, help="default: %(default)s")
    parser.add_argument(
        "--dtype",
        nargs="+",
        choices=["bfloat16", "float32"],
        help="default: both, float32 alone where bfloat16 products are slow",
    )


def main() -> None:
    """Time all cases and print a table each."""
    options = parse_options(__doc__, rounds=7, add=_add_options)
    import torch

    from optical_ir.models.precision import has_fast_bfloat16

    both = ["bfloat16", "float32"]
    fast = has_fast_bfloat16(torch.device("cpu"))
    for dtype in options.dtype or (both if fast else both[1:]):
        for dim in options.dim:
            index = random_index(dim, dtype, options.documents)
            for n_queries in options.queries:
                run_case(index, n_queries, options)


if __name__ == "__main__":
    main()
