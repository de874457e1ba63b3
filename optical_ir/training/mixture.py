"""A bitext of several parts: languages, or sources of different worth."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain

from datasets import Dataset, DatasetDict

from optical_ir.errors import DataError
from optical_ir.records import BitextPair
from optical_ir.training.settings import DistillationSettings

_ENGLISH = "english"
"""Name of the part of English sentences; see `with_english`."""


@dataclass(frozen=True)
class BitextPart:
    """Sentence pairs that are drawn from together.

    Attributes
    ----------
    name : str
        Of the part, as its file; unlike the others.
    pairs : sequence of BitextPair
    share : float
        How often a batch comes from this part, relative to the others' shares.
    """

    name: str
    pairs: Sequence[BitextPair]
    share: float = 1.0


def as_parts(bitext: Sequence[BitextPair] | Sequence[BitextPart]) -> list[BitextPart]:
    """Give the parts of a bitext; pairs alone are one part.

    Raises
    ------
    DataError
        If two parts have one name, or one that of the English part: one would hide the other.
    """
    parts = [item for item in bitext if isinstance(item, BitextPart)]
    names = [part.name for part in parts]
    for name in names:
        if name == _ENGLISH or names.count(name) > 1:
            raise DataError(
                "expected parts of the bitext with names of their own, none of them "
                f"{_ENGLISH!r}, found {', '.join(names)}. Rename or join them."
            )
    pairs = [item for item in bitext if isinstance(item, BitextPair)]
    return parts or [BitextPart("bitext", pairs)]


def split_parts(
    parts: Sequence[BitextPart], settings: DistillationSettings
) -> tuple[list[BitextPart], list[BitextPair]]:
    """Split off the dev pairs: those with the smallest hash, whatever their order and part.

    Raises
    ------
    DataError
        If what is left of a part is less than a batch.
    """
    pairs = set(chain.from_iterable(part.pairs for part in parts))
    dev = sorted(pairs, key=_rank)[: settings.dev_pairs]
    held_out = set(dev)
    train = [replace(part, pairs=[p for p in part.pairs if p not in held_out]) for part in parts]
    for part, whole in zip(train, parts, strict=True):
        if len(part.pairs) < settings.batch_size:
            n_dev, batch_size = settings.dev_pairs, settings.batch_size
            raise DataError(
                f"The bitext {part.name} has {len(whole.pairs)} pairs; expected at least "
                f"{n_dev + batch_size} (dev_pairs {n_dev}, which may all come from it, and one "
                f"batch of {batch_size}). Give more pairs, or lower dev_pairs or batch_size."
            )
    return train, dev


def _rank(pair: BitextPair) -> tuple[bytes, str]:
    return hashlib.sha256(pair.target.encode()).digest(), pair.source


def with_english(parts: Sequence[BitextPart], share: float) -> list[BitextPart]:
    """Add a part in which the English sentences are their own translations.

    The student is drawn to read English as the teacher does, so it can answer English queries too.

    Parameters
    ----------
    share : float
        Part of the batches that are English, below 1; 0 adds nothing.
    """
    if not share:
        return list(parts)
    sentences = dict.fromkeys(pair.target for part in parts for pair in part.pairs)
    total = sum(part.share for part in parts)
    pairs = [BitextPair(sentence, sentence) for sentence in sentences]
    return [*parts, BitextPart(_ENGLISH, pairs, total * share / (1 - share))]


def as_dataset(parts: Sequence[BitextPart]) -> Dataset | DatasetDict:
    """Columns `source` and `target` for the trainer; a dataset by name if there are several."""
    datasets = {
        part.name: Dataset.from_dict(
            {"source": [p.source for p in part.pairs], "target": [p.target for p in part.pairs]}
        )
        for part in parts
    }
    return DatasetDict(datasets) if len(datasets) > 1 else next(iter(datasets.values()))


def digest_parts(parts: Sequence[BitextPart]) -> str:
    """SHA-256 of all pairs, with the names and shares of the parts."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(f"{part.name}\t{part.share}\n".encode())
        for pair in part.pairs:
            digest.update(f"{pair.source}\t{pair.target}\n".encode())
    return digest.hexdigest()
