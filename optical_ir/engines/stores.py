"""What an engine must be able to do, and the door to those that can."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol

from optical_ir.engines.address import Address
from optical_ir.engines.blocks import Block
from optical_ir.errors import ConfigError
from optical_ir.models.encoder import TokenVectors


class Layout(NamedTuple):
    """What a collection shall hold.

    Attributes
    ----------
    dim : int
        Width of the token embeddings.
    space : str
        Key of their embedding space, see `optical_ir.models.embedding_space`.
    is_half : bool
        Whether two bytes a value are enough, as for an index in bfloat16.
    """

    dim: int
    space: str
    is_half: bool = False


class Store(Protocol):
    """A collection of an engine that is open; `folder`, `dim` and `space` as an index has them."""

    @property
    def folder(self) -> str:
        """The address."""

    @property
    def dim(self) -> int:
        """Width of the token embeddings."""

    @property
    def space(self) -> str:
        """Key of the embedding space."""

    def digests(self) -> Mapping[str, str] | None:
        """Give the hash of the token embeddings of each document there; None if it cannot tell."""

    def put(self, block: Block) -> None:
        """Write documents; those that are there already are replaced."""

    def remove(self, doc_ids: Sequence[str]) -> None:
        """Delete documents; those that are not there are none of its business."""

    def search(self, vectors: TokenVectors, *, k: int, exact: bool) -> list[tuple[str, float]]:
        """Find the best documents and their MaxSim with at least one query token.

        With `exact` all documents are scored, otherwise the engine's own index may choose.
        """


def open_store(
    address: Address, layout: Layout | None = None, *, overwrite: bool = False
) -> AbstractContextManager[Store]:
    """Open a collection of an engine, to be closed by `with`.

    Parameters
    ----------
    layout : Layout, optional
        Makes the collection if there is none; without, it must be there.
    overwrite : bool
        Whether a Vespa feed that exists may be replaced. The others are updated.

    Raises
    ------
    ConfigError
        If no server answers, the collection is of another embedding space or width than
        `layout`, or is no collection of token embeddings.
    DataError
        If there is no such collection and no `layout`.
    DependencyError
        If the engine's client is not installed.
    """
    from optical_ir.engines.lancedb import open_lancedb
    from optical_ir.engines.qdrant import open_qdrant
    from optical_ir.engines.vespa import open_vespa, write_vespa

    if address.engine == "vespa":
        return write_vespa(address, layout, overwrite=overwrite) if layout else open_vespa(address)
    if address.engine == "qdrant":
        return open_qdrant(address, layout)
    return open_lancedb(address, layout)


def check_layout(address: Address, layout: Layout | None, dim: int, space: str) -> None:
    """Refuse to mix token embeddings of several teachers in a collection.

    Raises
    ------
    ConfigError
        If they are of another width or space than is there.
    """
    if layout and (layout.dim, layout.space) != (dim, space):
        raise ConfigError(
            f"{address} holds token vectors of dim {dim} and space {space!r}, the index has dim "
            f"{layout.dim} and space {layout.space!r}. Choose another name."
        )


def no_collection(address: Address) -> str:
    """Say that a collection is missing, and how to make it."""
    return (
        f"{address}: expected token vectors of an index, found none. Write them there with: "
        f"optical-ir export-index --to {address}"
    )
