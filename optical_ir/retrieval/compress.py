"""Making the token codes of an index: codebooks from a sample, then block by block.

Memory holds the sample and some blocks of documents. After a kill the same call goes on where it
stopped. The result depends on the seed, not on the number of threads.
"""

import json
import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from optical_ir.errors import ConfigError, DataError
from optical_ir.files import sha256_file, write_folder
from optical_ir.retrieval.codebooks import (
    Codebooks,
    sample_size,
    train_centroids,
    train_codewords,
)
from optical_ir.retrieval.index import MultiVectorIndex
from optical_ir.retrieval.index_files import write_json
from optical_ir.retrieval.k_means import NearestMeans
from optical_ir.retrieval.token_ann import (
    FOLDER,
    FORMAT,
    TokenAnn,
    fingerprint,
    read_codebooks,
    write_codebooks,
)
from optical_ir.threads import map_in_threads

Blocks = Iterable[tuple[int, int]]

_BLOCK_TOKENS = 1 << 14
_MOST_CENTROIDS = 1 << 16
_ENTRY_FILES = ("entry_counts.bin", "entry_centroids.bin", "entry_codes.bin")


class Entries(NamedTuple):
    """What documents one after another are coded as.

    Attributes
    ----------
    counts : array, shape (n_docs,), int32
    centroids : array, shape (n_entries,), uint16
    means : Tensor, shape (n_entries, dim), float32
        Of the document's tokens at the centroid, less the centroid.
    """

    counts: npt.NDArray[np.int32]
    centroids: npt.NDArray[np.uint16]
    means: torch.Tensor


def compress_index(
    index: MultiVectorIndex,
    *,
    n_parts: int = 32,
    threads: int = 1,
    seed: int = 42,
    overwrite: bool = False,
    track: Callable[[list[tuple[int, int]]], Blocks] = iter,
) -> TokenAnn:
    """Make the token codes of an index, in its folder; after a kill the same call goes on.

    Parameters
    ----------
    n_parts : int
        Bytes of a code; more find more with the same number of candidates.
    threads : int
        Cores to use.
    track : callable
        Shows progress: is given the blocks to code and yields them.

    Raises
    ------
    ConfigError
        If there are codes already and not `overwrite`, or `n_parts` is not from 1 to the
        embeddings' width.
    DataError
        If the index has no token embeddings.
    """
    if not 1 <= n_parts <= index.dim:
        raise ConfigError(f"bytes of a code: expected 1 to {index.dim}, found {n_parts}.")
    if not index.offsets[-1]:
        raise DataError(f"{index.folder}: expected documents with token embeddings, found none.")
    claim = {"format": FORMAT, "index": fingerprint(index), "n_parts": n_parts, "seed": seed}
    with write_folder(index.folder / FOLDER, overwrite=overwrite, resume=True) as part:
        builder = _Builder(part, claim)
        codebooks = builder.codebooks(index, threads)
        centroids = NearestMeans(codebooks.centroids)

        def code(block: tuple[int, int]) -> tuple[Entries, npt.NDArray[np.uint8]]:
            lengths = np.diff(index.offsets[block[0] : block[1] + 1])
            entries = make_entries(index.token_vectors(*block).float(), lengths, centroids)
            return entries, codebooks.encode(entries.means)

        blocks = [own for own in index.iter_blocks(_BLOCK_TOKENS) if own[0] >= builder.n_docs]
        for entries, codes in map_in_threads(code, track(blocks), threads):
            builder.append(entries, codes)
        builder.finish(len(codebooks.centroids))
    return TokenAnn.open(index)


def count_centroids(n_tokens: int) -> int:
    """Centroids for so many token vectors: a power of two near eight times the square root.

    With more of them fewer documents need exact scores, but a query takes longer with their own.
    """
    return min(1 << round(math.log2(8 * math.sqrt(n_tokens))), _MOST_CENTROIDS)


def make_entries(
    vectors: torch.Tensor, lengths: npt.NDArray[np.int64], centroids: NearestMeans
) -> Entries:
    """Average the token vectors of each document that share a centroid.

    Parameters
    ----------
    vectors : Tensor, shape (n_tokens, dim), float32
        Of documents one after another, of the given `lengths`.
    """
    nearest, n_centroids = centroids.find(vectors).numpy(), len(centroids.means)
    docs = np.repeat(np.arange(len(lengths)), lengths)
    keys, places = np.unique(docs * n_centroids + nearest, return_inverse=True)
    means = torch.zeros(len(keys), vectors.shape[1])
    means.index_add_(0, torch.from_numpy(places), vectors)
    means /= torch.from_numpy(np.bincount(places, minlength=len(keys)))[:, None]
    own = keys % n_centroids
    means -= centroids.means[torch.from_numpy(own)]
    counts = np.bincount(keys // n_centroids, minlength=len(lengths)).astype(np.int32)
    return Entries(counts, own.astype(np.uint16), means)


def _train(index: MultiVectorIndex, n_parts: int, seed: int) -> Codebooks:
    """Codebooks from the tokens of documents drawn at random."""
    generator = np.random.default_rng(seed)
    lengths = np.diff(index.offsets)
    n_centroids = count_centroids(int(index.offsets[-1]))
    drawn = generator.permutation(len(lengths))
    enough = np.searchsorted(np.cumsum(lengths[drawn]), sample_size(n_centroids)) + 1
    rows = np.sort(drawn[:enough])
    sample = index.gather(rows)
    centroids = train_centroids(sample, n_centroids, generator)
    means = make_entries(sample, lengths[rows], NearestMeans(centroids)).means
    return Codebooks(centroids, *train_codewords(means, n_parts, generator))


class _Builder:
    """Unfinished codes on disk, and `progress.json` with the sizes that hold."""

    def __init__(self, folder: Path, claim: dict[str, Any]) -> None:
        self.folder, self.claim = folder, claim
        path = folder / "progress.json"
        progress = json.loads(path.read_text()) if path.exists() else {}
        self.n_docs, sizes = 0, dict.fromkeys(_ENTRY_FILES, 0)
        self.is_trained = progress.get("claim") == claim
        if self.is_trained:
            self.n_docs, sizes = progress["n_docs"], progress["sizes"]
        for name, size in sizes.items():
            with (folder / name).open("ab") as stream:
                # What was appended after the last record of progress may be half a block.
                stream.truncate(size)

    def codebooks(self, index: MultiVectorIndex, threads: int) -> Codebooks:
        """Train the codebooks, or read those of an earlier attempt."""
        if not self.is_trained:
            seed, n_parts = self.claim["seed"], self.claim["n_parts"]
            (trained,) = map_in_threads(lambda _: _train(index, n_parts, seed), [None], threads)
            write_codebooks(self.folder, trained)
            self._record()
        return read_codebooks(self.folder, index.dim, self.claim["n_parts"])

    def append(self, entries: Entries, codes: npt.NDArray[np.uint8]) -> None:
        arrays: tuple[npt.NDArray[Any], ...] = (entries.counts, entries.centroids, codes)
        for name, array in zip(_ENTRY_FILES, arrays, strict=True):
            with (self.folder / name).open("ab") as stream:
                stream.write(array.tobytes())
        self.n_docs += len(entries.counts)
        self._record()

    def _record(self) -> None:
        sizes = {name: (self.folder / name).stat().st_size for name in _ENTRY_FILES}
        progress = {"claim": self.claim, "n_docs": self.n_docs, "sizes": sizes}
        write_json(self.folder / "progress.json", progress)

    def finish(self, n_centroids: int) -> None:
        counts = np.fromfile(self.folder / "entry_counts.bin", np.int32)
        n_entries = int(counts.sum(dtype=np.int64))
        files = {
            path.name: [path.stat().st_size, sha256_file(path)]
            for path in sorted(self.folder.glob("*.bin"))
        }
        sizes = {"n_docs": self.n_docs, "n_entries": n_entries, "n_centroids": n_centroids}
        write_json(self.folder / "ann.json", {**self.claim, **sizes, "files": files})
        (self.folder / "progress.json").unlink()
