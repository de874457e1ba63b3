"""Building an index against only encoding, its memory as documents grow, and what storages cost.

`build` is `write_index` with an encoder whose vectors are there already (synthetic documents,
random unit vectors), so all of it is our own work; `write` only writes the same bytes to a file
and sums them up. The last line gives the share of a real encoding that building would be, at the
`--encoder-speed` that `benchmarks.encode` prints for your machine. Memory is the peak of a process
of its own, above that of the same process with a hundredth of the documents; Linux only.

With `--index`, an index of real vectors, and `--topics` with `--qrels`, documents of it are written
again in every storage and searched.

Target: building adds at most 10 % to encoding, and ten times the documents take at most 1.2 times
the memory.
"""

import subprocess
import sys
import tempfile
import time
from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.timing import Ratio, parse_options, print_table, time_interleaved

_DIM, _LENGTH = 384, 100
_MEMORY = 256 << 20


class SyntheticEncoder:
    """Slices of one block of random unit vectors."""

    dim, longest = _DIM, _LENGTH

    def __init__(self) -> None:
        import numpy as np

        rows = np.random.default_rng(0).standard_normal((20000, _DIM), np.float32)
        self.rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)

    def encode_documents(self, texts: list[str], *, batch_size: int = 32) -> list[Any]:
        """Give `_LENGTH` vectors a text."""
        starts = [int(text.split()[0]) % (len(self.rows) - _LENGTH) for text in texts]
        return [self.rows[start : start + _LENGTH].copy() for start in starts]


def iter_docs(n_docs: int) -> Iterator[Any]:
    """Documents of about `_LENGTH` characters and more, made as they are read."""
    from optical_ir.records import Doc

    for number in range(n_docs):
        yield Doc(f"doc-{number}", f"{number} " + "word " * _LENGTH)


def build(n_docs: int, storage: str = "bfloat16") -> None:
    """Write an index and remove it."""
    from optical_ir.retrieval.index_build import write_index

    with tempfile.TemporaryDirectory() as folder:
        write_index(
            iter_docs(n_docs),
            SyntheticEncoder(),
            Path(folder) / "index",
            space="synthetic",
            storage=storage,
            max_memory=_MEMORY,
        )


def write(n_docs: int) -> None:
    """Write as many bytes as `build` does in bfloat16 and take their SHA-256."""
    import torch

    from optical_ir.files import sha256_file

    encoder = SyntheticEncoder()
    with tempfile.NamedTemporaryFile() as stream:
        for doc in iter_docs(n_docs):
            (rows,) = encoder.encode_documents([doc.text])
            half = torch.from_numpy(rows).to(torch.bfloat16)
            stream.write(half.view(torch.uint8).numpy().tobytes())
        stream.flush()
        sha256_file(stream.name)


def peak_memory(n_docs: int) -> int:
    """Bytes that a process takes at most to build an index of `n_docs` documents."""
    code = f"from benchmarks.index_build import build, peak; build({n_docs}); print(peak())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return int(done.stdout)


def peak() -> int:
    """Most bytes that this process has held.

    Not from getrusage, which on Linux starts with what the parent held.
    """
    status = Path("/proc/self/status").read_text()
    return next(int(row.split()[1]) for row in status.splitlines() if "VmHWM" in row) * 1024


def _time_build(options: Any) -> None:
    n_docs = options.documents
    calls = {"build": lambda: build(n_docs), "write": lambda: write(n_docs)}
    times = time_interleaved(calls, rounds=options.rounds)
    n_tokens = n_docs * _LENGTH
    title = f"{n_docs} documents, {n_tokens} tokens of dim {_DIM}, bfloat16"
    print_table(f"{title}, {options.threads} thread(s)", times, [Ratio("build", "write")])
    own = sorted(times["build"])[len(times["build"]) // 2]
    for name, seconds in times.items():
        print(f"  {name}: {n_tokens / sorted(seconds)[len(seconds) // 2]:.0f} tokens a second")
    share = own / (n_tokens / options.encoder_speed)
    print(
        f"  build / encoding at {options.encoder_speed} tokens a second: {share:.3f}"
        f"     target at most 0.1: {'met' if share <= 0.1 else 'missed'}"
    )


def _measure_memory(options: Any) -> None:
    least = peak_memory(max(1, options.documents // 100))
    one, ten = (peak_memory(options.documents * times) for times in (1, 10))
    print(f"\nPeak memory with max_memory {_MEMORY >> 20} MiB (a process: {least >> 20} MiB)")
    for times, found in ((1, one), (10, ten)):
        print(f"  {options.documents * times:>9} documents: {(found - least) >> 20} MiB more")
    print(f"  ratio of the processes {ten / one:.3f}     target at most 1.2")


class StoredEncoder:
    """Gives the vectors that an index has, document by document."""

    longest = 512

    def __init__(self, index: Any) -> None:
        self.index, self.dim = index, index.dim

    def encode_documents(self, texts: list[str], *, batch_size: int = 32) -> list[Any]:
        """Give the vectors of the documents in these rows."""
        rows = [int(text) for text in texts]
        return [self.index.token_vectors(row, row + 1).float().numpy() for row in rows]


def _choose_docs(source: Any, qrels: list[list[Any]], pool: int) -> list[int]:
    """Rows of all judged documents, filled up at random to `pool` documents; 0 takes all."""
    import numpy as np

    if not pool:
        return list(range(len(source.doc_ids)))
    judged = {source.rows[row.doc_id] for own in qrels for row in own}
    others = [row for row in source.rows.values() if row not in judged]
    drawn = np.random.default_rng(0).permutation(others)[: max(0, pool - len(judged))]
    return sorted([*judged, *drawn.tolist()])


def _compare_storages(options: Any) -> None:
    from optical_ir.collections import load_qrels, load_queries
    from optical_ir.records import Doc
    from optical_ir.retrieval.index import MultiVectorIndex
    from optical_ir.retrieval.queries import encode_for

    source = MultiVectorIndex.open(options.index)
    queries = [load_queries(name) for name in options.topics]
    qrels = [load_qrels(name) for name in options.qrels]
    vectors = [encode_for(source, options.encoder, own) for own in queries]
    rows = _choose_docs(source, qrels, options.pool)
    docs = [Doc(source.doc_ids[row], str(row)) for row in rows]
    n_queries = sum(map(len, queries))
    print(f"\n{len(docs)} documents of {options.index}, {n_queries} queries")
    print("storage               tokens  bytes/token  mean sq. error  nDCG@10   R@100  seconds")
    for storage in options.storages:
        name, _, factor = storage.partition("/")
        with tempfile.TemporaryDirectory(dir=options.scratch) as folder:
            path = Path(folder) / "index"
            begun = time.perf_counter()
            _store(docs, source, path, name, float(factor or 1))
            seconds = time.perf_counter() - begun
            tokens, size, error = _facts(path)
            ndcg, recall = _search(path, queries, vectors, qrels)
        print(
            f"{storage:<16} {tokens:>11} {size / tokens:12.1f} {error:15.6f}"
            f"   {ndcg:.4f}  {recall:.4f} {seconds:8.1f}",
            flush=True,
        )


def _store(docs: list[Any], source: Any, path: Path, storage: str, factor: float) -> None:
    from optical_ir.retrieval.index_build import write_index

    encoder = StoredEncoder(source)
    write_index(docs, encoder, path, space=source.space, storage=storage, pool_factor=factor)


def _facts(path: Path) -> tuple[int, int, float]:
    """Token vectors of an index, their bytes, and the mean of their squared errors."""
    from optical_ir.retrieval.index_description import read_description

    found = read_description(path)
    size = sum(shard.files["vectors.bin"].bytes for shard in found.shards)
    error = sum(shard.mean_squared_error * shard.tokens for shard in found.shards)
    return found.n_tokens, size, error / found.n_tokens


def _search(path: Path, queries: Any, vectors: Any, qrels: Any) -> tuple[float, float]:
    """Give nDCG@10 and R@100, each in the mean over the sets of queries."""
    from optical_ir.evaluation import evaluate
    from optical_ir.retrieval.index import MultiVectorIndex
    from optical_ir.retrieval.search import search_index

    index = MultiVectorIndex.open(path)
    means = []
    for own, encoded, judged in zip(queries, vectors, qrels, strict=True):
        run = search_index(index, own, encoded, k=100)
        means.append(evaluate(judged, run, measures=["nDCG@10", "R@100"]).mean())
    return tuple(sum(own[name] for own in means) / len(means) for name in ("nDCG@10", "R@100"))


def _add_options(parser: ArgumentParser) -> None:
    parser.add_argument("--documents", type=int, default=5000, help="default: %(default)s")
    parser.add_argument(
        "--encoder-speed", type=int, default=10000, help="tokens a second; default: %(default)s"
    )
    parser.add_argument("--index", type=Path, help="a multi-vector index of real vectors")
    parser.add_argument("--encoder", default="embedded", help="of the queries")
    parser.add_argument("--topics", type=Path, nargs="+", default=[])
    parser.add_argument("--qrels", type=Path, nargs="+", default=[])
    parser.add_argument(
        "--pool",
        type=int,
        default=3000,
        help="documents: all judged ones, others at random; 0 for all (default: %(default)s)",
    )
    parser.add_argument(
        "--storages",
        nargs="+",
        default=[*("float32", "bfloat16", "float16", "int8", "pq"), "bfloat16/2", "pq/2"],
        help="NAME or NAME/POOL_FACTOR; default: all",
    )
    parser.add_argument("--scratch", type=Path, help="folder for the indexes that are tried")
    parser.add_argument("--only-memory", action="store_true", help="leave the rest out")
    parser.add_argument("--only-storages", action="store_true", help="leave the rest out")


def main() -> None:
    """Time, measure and compare, and print the tables."""
    options = parse_options(__doc__, rounds=3, add=_add_options)
    if not (options.only_storages or options.only_memory):
        _time_build(options)
    if not options.only_storages:
        _measure_memory(options)
    if options.index:
        _compare_storages(options)


if __name__ == "__main__":
    main()
