"""Encoding collections, given by name, into multi-vector indexes, and changing these.

What `index.json` tells of an index's origin is written here and read again when documents are
added, so that they are encoded as the others were.
"""

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from optical_ir.collections import Collection, load_collection
from optical_ir.errors import ConfigError
from optical_ir.models import embedding_space, fast_inference, load_encoder
from optical_ir.provenance import describe_origin
from optical_ir.records import Doc
from optical_ir.retrieval.index_build import DEFAULT_MEMORY, write_index
from optical_ir.retrieval.index_description import Part, read_description
from optical_ir.retrieval.index_edit import add_documents, compact_index, delete_documents
from optical_ir.retrieval.index_merge import merge_indexes, part_bounds

ShowDocs = Callable[[Iterable[Doc], int | None], Iterable[Doc]]
"""Passes on the documents it is given, with their number, and shows how many went by."""


@dataclass(frozen=True)
class EncodeSettings:
    """What the token vectors of an index depend on.

    Attributes
    ----------
    collection, encoder : str
        By name.
    max_length : int, optional
        Tokens kept of a document; the encoder's own by default.
    storage : str
    pool_factor : float
        See `optical_ir.retrieval.index_build.write_index`.
    """

    collection: str
    encoder: str
    max_length: int | None = None
    storage: str = "bfloat16"
    pool_factor: float = 1


def encode_collection(
    output: Path | str,
    settings: EncodeSettings,
    *,
    part: Part | None = None,
    max_memory: int = DEFAULT_MEMORY,
    batch_size: int = 32,
    device: str | None = None,
    overwrite: bool = False,
    progress: ShowDocs | None = None,
) -> None:
    """Encode a collection, or a part of it, into a new index.

    Parameters
    ----------
    max_memory, batch_size
        See `optical_ir.retrieval.index_build.write_index`, as for what is raised.
    device : str, optional
        Torch device; the best one by default.
    """
    source = load_collection(settings.collection)
    docs, n_docs = _docs_of(source, part)
    model = load_encoder(settings.encoder, device=device, document_length=settings.max_length)
    space = embedding_space(settings.encoder, model)  # before weights are cast
    write_index(
        progress(docs, n_docs) if progress else docs,
        fast_inference(model),
        output,
        overwrite=overwrite,
        space=space,
        storage=settings.storage,
        pool_factor=settings.pool_factor,
        max_memory=max_memory,
        batch_size=batch_size,
        origin=describe_origin(settings=asdict(settings)),
        part=part,
    )


def _docs_of(source: Collection, part: Part | None) -> tuple[Iterable[Doc], int | None]:
    if part is None:
        return source.iter_docs(), source.n_docs
    n_docs = source.n_docs
    if n_docs is None:
        n_docs = sum(1 for _ in source.iter_docs())
    first, end = part_bounds(n_docs, part)
    return islice(source.iter_docs(), first, end), end - first


def add_collection(
    index: Path | str,
    collection: str,
    *,
    encoder: str | None = None,
    max_memory: int = DEFAULT_MEMORY,
    batch_size: int = 32,
    device: str | None = None,
    progress: ShowDocs | None = None,
) -> None:
    """Encode a collection as an index was encoded, and append its documents.

    Parameters
    ----------
    encoder : str, optional
        Where the index's encoder is now; by default where the index says it was.

    Raises
    ------
    ConfigError
        If the index does not name its encoder and none is given, or it is another.
    DataError
        See `optical_ir.retrieval.index_edit.add_documents`.
    """
    before = dict((read_description(Path(index)).origin or {}).get("settings") or {})
    name = encoder or before.get("encoder")
    if not name:
        raise ConfigError(
            f"{index}: expected an index that names its encoder, found none. Name it with "
            "--encoder."
        )
    source = load_collection(collection)
    model = load_encoder(name, device=device, document_length=before.get("max_length"))
    space = embedding_space(name, model)
    docs: Iterable[Doc] = source.iter_docs()
    add_documents(
        index,
        progress(docs, source.n_docs) if progress else docs,
        fast_inference(model),
        space=space,
        max_memory=max_memory,
        batch_size=batch_size,
        origin=describe_origin(settings={"added": collection, "encoder": name}),
    )


def delete_by_id(index: Path | str, doc_ids: Iterable[str]) -> None:
    """Delete documents, and write down in the index who did it."""
    ids = list(doc_ids)
    delete_documents(index, ids, origin=describe_origin(settings={"deleted": len(ids)}))


def compact(index: Path | str) -> None:
    """Compact an index, and write down in it who did it."""
    compact_index(index, origin=describe_origin(settings={"compacted": True}))


def merge(parts: Iterable[Path], output: Path | str, *, overwrite: bool = False) -> None:
    """Merge indexes; the merged one has those settings of their origin in which all agree."""
    folders = list(parts)
    origins = [dict(read_description(folder).origin or {}) for folder in folders]
    settings: list[dict[str, Any]] = [dict(origin.get("settings") or {}) for origin in origins]
    common = {
        key: value
        for key, value in (settings[0] if settings else {}).items()
        if all(other.get(key) == value for other in settings)
    }
    origin = {**describe_origin(settings=common), "parts": origins}
    merge_indexes(folders, output, origin=origin, overwrite=overwrite)
