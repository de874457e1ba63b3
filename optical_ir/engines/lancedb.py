"""LanceDB: a table with a column of multivectors, in a folder or an object store.

    doc_id   string
    digest   string, the hash of its token embeddings
    vectors  list of fixed-size lists of float16 or float32, a token each

LanceDB compares multivectors by cosine only and gives the sum over query tokens of one minus the
largest cosine, so MaxSim is the number of query tokens minus its distance.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from optical_ir.engines.address import Address
from optical_ir.engines.blocks import Block
from optical_ir.engines.stores import Layout, check_layout, no_collection
from optical_ir.errors import ConfigError, DataError, DependencyError
from optical_ir.models.encoder import TokenVectors

_BUFFER_VALUES = 1 << 26
"""Values gathered before they are written, 256 MiB: each write makes a file and a version."""

_IDS_A_FILTER = 1000


class LanceStore:
    """An open table, see `Store`. What `put` took is written when there is enough, or at the end.

    Attributes
    ----------
    table : lancedb.table.Table
    """

    def __init__(self, table: Any, address: Address) -> None:
        self.table, self.folder = table, str(address)
        metadata = table.schema.metadata or {}
        if b"space" not in metadata or "vectors" not in table.schema.names:
            raise ConfigError(f"{address} is no table that optical-ir made. Choose another name.")
        self.space = metadata[b"space"].decode()
        self.dim = int(table.schema.field("vectors").type.value_type.list_size)
        self._buffer = Block([], [])
        self._present: set[str] = set()

    def digests(self) -> dict[str, str]:
        """See `Store`."""
        columns = self.table.search().select(["doc_id", "digest"]).to_arrow().to_pydict()
        found = dict(zip(columns["doc_id"], columns["digest"], strict=True))
        self._present = set(found)
        return found

    def put(self, block: Block) -> None:
        """See `Store`."""
        self._buffer.doc_ids.extend(block.doc_ids)
        self._buffer.vectors.extend(block.vectors)
        if sum(map(len, self._buffer.vectors)) * self.dim >= _BUFFER_VALUES:
            self.flush()

    def flush(self) -> None:
        """Write what `put` took."""
        block, self._buffer = self._buffer, Block([], [])
        if not block.doc_ids:
            return
        rows = _to_arrow(block, self.table.schema)
        if self._present.isdisjoint(block.doc_ids):
            # Appending reads nothing; replacing joins with what is there.
            self.table.add(rows)
        else:
            merge = self.table.merge_insert("doc_id")
            merge.when_matched_update_all().when_not_matched_insert_all().execute(rows)

    def remove(self, doc_ids: Sequence[str]) -> None:
        """See `Store`."""
        for start in range(0, len(doc_ids), _IDS_A_FILTER):
            quoted = (_quote(doc_id) for doc_id in doc_ids[start : start + _IDS_A_FILTER])
            self.table.delete(f"doc_id IN ({', '.join(quoted)})")

    def search(self, vectors: TokenVectors, *, k: int, exact: bool) -> list[tuple[str, float]]:
        """See `Store`."""
        query = self.table.search(vectors, vector_column_name="vectors").distance_type("cosine")
        if exact:
            query = query.bypass_vector_index()
        found = query.select(["doc_id", "_distance"]).limit(k).to_arrow().to_pydict()
        pairs = zip(found["doc_id"], found["_distance"], strict=True)
        return [(doc_id, len(vectors) - distance) for doc_id, distance in pairs]


def _quote(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _to_arrow(block: Block, schema: Any) -> Any:
    import pyarrow as pa

    kind = schema.field("vectors").type
    tokens, dim = kind.value_type, kind.value_type.list_size
    # bfloat16 has fewer digits than float16; what is too small for float16 is below 1e-7.
    dtype = np.float16 if tokens.value_type == pa.float16() else np.float32
    values = torch.cat(list(block.vectors)).float().numpy().astype(dtype).ravel()
    offsets = np.cumsum([0, *map(len, block.vectors)], dtype=np.int32)
    flat = pa.FixedSizeListArray.from_arrays(pa.array(values), dim).cast(tokens)
    digests = block.digests()
    columns = {
        "doc_id": pa.array(block.doc_ids, pa.string()),
        "digest": pa.array([digests[doc_id] for doc_id in block.doc_ids], pa.string()),
        "vectors": pa.ListArray.from_arrays(pa.array(offsets), flat).cast(kind),
    }
    return pa.table(columns, schema=schema)


@contextmanager
def open_lancedb(address: Address, layout: Layout | None) -> Iterator[LanceStore]:
    """Open a table, see `open_store`. Keys of object stores are read from their own variables."""
    try:
        import lancedb
    except ImportError as err:
        raise DependencyError(
            "LanceDB needs the package lancedb, which is not installed. "
            "Run: pip install 'optical-ir[lancedb]'"
        ) from err
    if layout is None and not address.is_url and not Path(address.place).is_dir():
        raise DataError(no_collection(address))
    store = LanceStore(_open_table(lancedb.connect(address.place), address, layout), address)
    check_layout(address, layout, store.dim, store.space)
    yield store
    if layout is not None:
        store.flush()


def _open_table(database: Any, address: Address, layout: Layout | None) -> Any:
    try:
        return database.open_table(address.name)
    except (ValueError, FileNotFoundError) as err:
        if not re.search("not found", str(err), re.IGNORECASE):
            raise
        if layout is None:
            raise DataError(no_collection(address)) from err
    return database.create_table(address.name, schema=_schema(layout))


def _schema(layout: Layout) -> Any:
    import pyarrow as pa

    kind = pa.float16() if layout.is_half else pa.float32()
    fields = [
        pa.field("doc_id", pa.string()),
        pa.field("digest", pa.string()),
        pa.field("vectors", pa.list_(pa.list_(kind, layout.dim))),
    ]
    return pa.schema(fields, metadata={"space": layout.space})
