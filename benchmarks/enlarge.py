"""Makes an index several times the size of a real one, for `benchmarks.engines`.

    python -m benchmarks.enlarge INDEX OUTPUT --times 10

The documents of the index, with their ids, come first, so that judgements hold. The others are put
together: each takes the length of a document, fills it with runs of 16 token embeddings that lie
side by side in documents drawn at random, and moves every embedding by noise, to a mean cosine of
.96 with what it was. So their tokens crowd where real ones do, and no two are alike.
"""

import argparse
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.index_build import StoredEncoder, peak

_RUN_TOKENS = 16
_NOISE = 0.3
"""Mean norm of what is added to a unit vector."""


class EnlargingEncoder(StoredEncoder):
    """Gives the embeddings of an index, and after its last document such as it might have had."""

    def __init__(self, index: Any, seed: int) -> None:
        super().__init__(index)
        self.seed = seed

    def encode_documents(self, texts: list[str], *, batch_size: int = 32) -> list[Any]:
        """Give the embeddings of the documents with these numbers."""
        return [self._document(int(text)) for text in texts]

    def _document(self, number: int) -> Any:
        import numpy as np

        n_docs, offsets = len(self.index.doc_ids), self.index.offsets
        if number < n_docs:
            return self.index.token_vectors(number, number + 1).float().numpy()
        generator = np.random.default_rng([self.seed, number])
        row = number % n_docs
        length, runs = int(offsets[row + 1] - offsets[row]), []
        for start in range(0, length, _RUN_TOKENS):
            drawn = int(generator.integers(n_docs))
            own = self.index.token_vectors(drawn, drawn + 1)
            n_tokens = min(_RUN_TOKENS, length - start)
            first = int(generator.integers(max(1, len(own) - n_tokens + 1)))
            runs.append(own[first : first + n_tokens].float().numpy())
        rows = np.concatenate(runs) if runs else np.empty((0, self.dim), np.float32)
        noise = generator.standard_normal(rows.shape, np.float32)
        rows = rows + noise * (_NOISE / np.sqrt(self.dim))
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def iter_docs(index: Any, times: int) -> Iterator[Any]:
    """Documents whose texts are their numbers."""
    from optical_ir.records import Doc

    n_docs = len(index.doc_ids)
    for number in range(n_docs * times):
        name = index.doc_ids[number] if number < n_docs else f"synthetic-{number}"
        yield Doc(name, str(number))


def main() -> None:
    """Write the index and say how long it took."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("index", type=Path, help="multi-vector index of real embeddings")
    parser.add_argument("output", type=Path)
    parser.add_argument("--times", type=int, default=10, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=42, help="default: %(default)s")
    options = parser.parse_args()
    from optical_ir.retrieval.index import MultiVectorIndex
    from optical_ir.retrieval.index_build import write_index

    index = MultiVectorIndex.open(options.index)
    encoder = EnlargingEncoder(index, options.seed)
    start = time.perf_counter(), time.process_time()
    docs = iter_docs(index, options.times)
    write_index(docs, encoder, options.output, space=index.space, storage=index.storage)
    wall, cpu = time.perf_counter() - start[0], time.process_time() - start[1]
    made = MultiVectorIndex.open(options.output)
    print(f"{len(made.doc_ids)} documents, {int(made.offsets[-1])} token embeddings")
    print(f"{wall:.0f} s, {cpu:.0f} s of CPU, at most {peak() >> 20} MiB of memory")


if __name__ == "__main__":
    main()
