"""fast-plaid, in an environment of its own, as its wheels need other releases of torch.

    PYTHON benchmarks/fast_plaid_worker.py FOLDER

Builds an index of `FOLDER/vectors.bin` (float16) and `FOLDER/lengths.bin` (int64) of width
`FOLDER/dim.txt`, prints a line, then answers pickled pairs of token embeddings and settings on
its input with the places of documents on its output. `benchmarks.engines --fast-plaid PYTHON`
starts it.
"""

import pickle
import sys
from pathlib import Path
from typing import Any


def main(folder: Path) -> None:
    """Build, then search until the input ends."""
    import numpy as np
    import torch
    from fast_plaid.search import FastPlaid

    torch.set_num_threads(1)
    dim = int((folder / "dim.txt").read_text("ascii"))
    vectors = torch.from_numpy(np.fromfile(folder / "vectors.bin", np.float16)).view(-1, dim)
    lengths = np.fromfile(folder / "lengths.bin", np.int64).tolist()
    engine = FastPlaid(str(folder / "fast-plaid"), device="cpu")
    engine.create(documents_embeddings=list(vectors.split(lengths)))
    # Its own messages go elsewhere, as this output is for answers.
    replies, sys.stdout = sys.stdout.buffer, sys.stderr
    replies.write(b"built\n")
    replies.flush()
    while True:
        try:
            query, settings = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        pickle.dump(_search(engine, torch.from_numpy(query)[None], settings), replies)
        replies.flush()


def _search(engine: Any, query: Any, settings: dict[str, int]) -> list[int]:
    (found,) = engine.search(query, top_k=100, show_progress=False, **settings)
    return [row for row, _ in found]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
