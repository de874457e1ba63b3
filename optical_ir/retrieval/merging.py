"""Several multi-vector indexes of one embedding space, one after the other, as one."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from optical_ir.errors import ConfigError, DataError
from optical_ir.files import sha256_file, write_folder
from optical_ir.retrieval.index import MultiVectorIndex

_DATA_FILES = ("embeddings.bin", "doc_lengths.bin", "doc_ids.txt")
_SAME = ("format", "dim", "dtype", "space")


def merge_indexes(
    parts: Sequence[Path],
    output: Path | str,
    *,
    origin: dict[str, Any],
    overwrite: bool = False,
) -> MultiVectorIndex:
    """Write the documents of several indexes, in their order, into a new one.

    Raises
    ------
    ConfigError
        If `output` exists, or the parts differ in embedding space, width or dtype.
    DataError
        If there are no parts, one is damaged, or a document id is used twice.
    """
    opened = [MultiVectorIndex.open(part) for part in parts]
    if not opened:
        raise DataError(f"{output}: expected documents to index, found none.")
    descriptions = [json.loads((part / "index.json").read_text("utf-8")) for part in parts]
    claims = [{key: description[key] for key in _SAME} for description in descriptions]
    for part, claim in zip(parts, claims, strict=True):
        if claim != claims[0]:
            raise ConfigError(f"{part}: expected an index of {claims[0]}, found {claim}.")
    n_docs = sum(len(index.doc_ids) for index in opened)
    if len({doc_id for index in opened for doc_id in index.doc_ids}) != n_docs:
        raise DataError(f"{output}: a document id is used twice. Give each document its own.")
    with write_folder(output, overwrite=overwrite) as folder:
        for name in _DATA_FILES:
            with (folder / name).open("wb") as target:
                for part in parts:
                    with (part / name).open("rb") as source:
                        shutil.copyfileobj(source, target)
        description = {
            **claims[0],
            "n_docs": n_docs,
            "n_tokens": sum(len(index.embeddings) for index in opened),
            "sha256": {name: sha256_file(folder / name) for name in _DATA_FILES},
            "origin": origin,
        }
        text = json.dumps(description, indent=2, default=str) + "\n"
        (folder / "index.json").write_text(text, "utf-8")
    return MultiVectorIndex.open(output)
