"""How alike the tokens of a query are, and what the ranking gains or loses where they differ more.

Likeness is the mean cosine between two scored tokens of a query, over the queries. A share of the
query's mean vector is taken from each token, which is then normalised again: share 0 is the encoder
as it is, and a negative share makes the tokens more alike. Not a timing, so it has no target.
"""

from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]
MEASURES = ("nDCG@10", "R@100")


def take_mean(vectors: Vectors, share: float) -> Vectors:
    """Take a share of the mean from unit vectors, shape (n_tokens, dim), and normalise again."""
    rest = vectors - np.float32(share) * vectors.mean(axis=0, keepdims=True)
    unit: Vectors = rest / np.linalg.norm(rest, axis=1, keepdims=True)
    return unit


def mean_likeness(queries: Sequence[Vectors]) -> float:
    """Mean over the queries of the mean cosine between two of their tokens."""
    cosines = [vectors @ vectors.T for vectors in queries if len(vectors) > 1]
    return float(np.mean([(c.sum() - len(c)) / (len(c) * (len(c) - 1)) for c in cosines]))


def main() -> None:
    """Print a line a share."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--encoder", required=True, help="name or folder, of the queries")
    parser.add_argument("--index", type=Path, required=True)
    parser.add_argument("--topics", type=Path, required=True)
    parser.add_argument("--qrels", type=Path, required=True, help="says which topics are asked")
    parser.add_argument("--shares", type=float, nargs="+", default=[0.0, 0.3, 0.6])
    options = parser.parse_args()
    if max(options.shares) >= 1:
        parser.error("expected shares below 1: of a query of one token nothing would be left")
    from optical_ir.evaluation import evaluate
    from optical_ir.retrieval.index import MultiVectorIndex
    from optical_ir.retrieval.queries import encode_for
    from optical_ir.retrieval.search import search_index
    from optical_ir.trec import read_qrels, read_topics

    qrels = list(read_qrels(options.qrels))
    judged = {qrel.query_id for qrel in qrels}
    queries = [query for query in read_topics(options.topics) if query.query_id in judged]
    index = MultiVectorIndex.open(options.index)
    encoded = encode_for(index, options.encoder, queries)
    print(f"{len(queries)} queries: share, likeness, {', '.join(MEASURES)}")
    for share in options.shares:
        vectors = [take_mean(own, share) for own in encoded]
        run = search_index(index, queries, vectors, k=100)
        means = evaluate(qrels, run, measures=MEASURES).mean()
        values = [f"{means[measure]:.4f}" for measure in MEASURES]
        print(f"{share:5.2f}  {mean_likeness(vectors):.3f}  {'  '.join(values)}", flush=True)


if __name__ == "__main__":
    main()
