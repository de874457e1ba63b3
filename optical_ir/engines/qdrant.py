"""Qdrant: a collection of multivectors compared by MaxSim, on a server or in a folder.

A point is a document. Its id is made from the document id, so writing it again replaces it; its
payload has `doc_id` and `digest`. Token vectors are compared by their dot product, which for
unit vectors is the cosine, and no graph is built: every search scores every document.
"""

import os
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from optical_ir.engines.address import Address
from optical_ir.engines.blocks import Block
from optical_ir.engines.stores import Layout, check_layout, no_collection
from optical_ir.errors import ConfigError, DataError, DependencyError
from optical_ir.models.encoder import TokenVectors

_IDS = uuid.UUID("8a2f0c86-5a2c-4b6f-9f0e-6a3e1c1d7b52")
"""Namespace of the points' ids."""

_PAGE = 10_000
_TIMEOUT = 300
"""Seconds for a request: an exact search reads the whole collection."""


class QdrantStore:
    """An open collection, see `Store`."""

    def __init__(self, client: Any, address: Address) -> None:
        self.client, self.address, self.folder = client, address, str(address)
        config = client.get_collection(address.name).config
        vectors = config.params.vectors
        if not getattr(vectors, "multivector_config", None):
            raise ConfigError(
                f"{address} is no collection of multivectors that optical-ir made. Choose another."
            )
        self.dim = int(vectors.size)
        self.space = str((config.metadata or {}).get("space", ""))

    def digests(self) -> dict[str, str]:
        """See `Store`."""
        found: dict[str, str] = {}
        offset = None
        while True:
            points, offset = self.client.scroll(
                self.address.name, limit=_PAGE, offset=offset, with_payload=["doc_id", "digest"]
            )
            found.update((point.payload["doc_id"], point.payload["digest"]) for point in points)
            if offset is None:
                return found

    def put(self, block: Block) -> None:
        """See `Store`."""
        from qdrant_client import models

        digests = block.digests()
        points = [
            models.PointStruct(
                id=_point_id(doc_id),
                vector=vectors.float().tolist(),
                payload={"doc_id": doc_id, "digest": digests[doc_id]},
            )
            for doc_id, vectors in zip(block.doc_ids, block.vectors, strict=True)
        ]
        self.client.upsert(self.address.name, points, wait=True)

    def remove(self, doc_ids: Sequence[str]) -> None:
        """See `Store`."""
        for start in range(0, len(doc_ids), _PAGE):
            ids = [_point_id(doc_id) for doc_id in doc_ids[start : start + _PAGE]]
            self.client.delete(self.address.name, ids, wait=True)

    def search(self, vectors: TokenVectors, *, k: int, exact: bool) -> list[tuple[str, float]]:
        """See `Store`."""
        from qdrant_client import models

        # The client alone always scores everything, and warns when it is told to.
        params = models.SearchParams(exact=exact) if self.address.is_url else None
        found = self.client.query_points(
            self.address.name,
            query=vectors.tolist(),
            limit=k,
            search_params=params,
            with_payload=["doc_id"],
        )
        return [(point.payload["doc_id"], float(point.score)) for point in found.points]


def _point_id(doc_id: str) -> str:
    return str(uuid.uuid5(_IDS, doc_id))


@contextmanager
def open_qdrant(address: Address, layout: Layout | None) -> Iterator[QdrantStore]:
    """Open a collection, see `open_store`. A key of the server is read from QDRANT_API_KEY."""
    client = _connect(address, make=layout is not None)
    try:
        with _server_errors(address):
            if not client.collection_exists(address.name):
                if layout is None:
                    raise DataError(no_collection(address))
                _create(client, address.name, layout)
            store = QdrantStore(client, address)
            check_layout(address, layout, store.dim, store.space)
            yield store
    finally:
        client.close()


def _connect(address: Address, *, make: bool) -> Any:
    try:
        from qdrant_client import QdrantClient
    except ImportError as err:
        raise DependencyError(
            "Qdrant needs the package qdrant-client, which is not installed. "
            "Run: pip install 'optical-ir[qdrant]'"
        ) from err
    if address.is_url:
        key = os.environ.get("QDRANT_API_KEY")
        # The check warns from a thread of its own, also where the server is only slow.
        return QdrantClient(
            url=address.place, api_key=key, timeout=_TIMEOUT, check_compatibility=False
        )
    if not make and not Path(address.place).is_dir():
        raise DataError(no_collection(address))
    try:
        return QdrantClient(path=address.place)
    except RuntimeError as err:
        raise ConfigError(
            f"{address.place}: is in use by another process ({err}). Wait for it, or use a server."
        ) from err


def _create(client: Any, name: str, layout: Layout) -> None:
    from qdrant_client import models

    comparator = models.MultiVectorComparator.MAX_SIM
    vectors = models.VectorParams(
        size=layout.dim,
        distance=models.Distance.DOT,
        datatype=models.Datatype.FLOAT16 if layout.is_half else models.Datatype.FLOAT32,
        multivector_config=models.MultiVectorConfig(comparator=comparator),
        # A graph over documents of many vectors is slow to build, and exact search uses none.
        hnsw_config=models.HnswConfigDiff(m=0),
        on_disk=True,
    )
    client.create_collection(name, vectors_config=vectors, metadata={"space": layout.space})


@contextmanager
def _server_errors(address: Address) -> Iterator[None]:
    from qdrant_client.http.exceptions import ApiException, ResponseHandlingException

    try:
        yield
    except ResponseHandlingException as err:
        raise ConfigError(
            f"{address.place}: expected a Qdrant server, but none answered ({err}). Start one, or "
            "check the address."
        ) from err
    except ApiException as err:
        raise ConfigError(f"{address.place}: the Qdrant server refused ({err}).") from err
