"""Other engines with MaxSim of their own: a multi-vector index goes there, queries are asked there.

`export_index` copies an index to Qdrant, LanceDB or a feed for Vespa; `search_exported` encodes
queries as for the index itself, lets the engine rank, and gives a run.
"""

from optical_ir.engines.address import Address, parse_address
from optical_ir.engines.exporting import Exported, export_index
from optical_ir.engines.searching import search_exported, search_store
from optical_ir.engines.stores import open_store

__all__ = [
    "Address",
    "Exported",
    "export_index",
    "open_store",
    "parse_address",
    "search_exported",
    "search_store",
]
