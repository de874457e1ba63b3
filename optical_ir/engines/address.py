"""Where an engine keeps the vectors: `ENGINE:PLACE/NAME`, one way to write it for all engines.

qdrant:http://localhost:6333/english    collection `english` of a server
qdrant:stores/english                   the same in a folder, by the client alone
lancedb:stores/english                  table `english` of a folder
lancedb:s3://bucket/stores/english      the same in an object store
vespa:feeds/english                     folder with the schema `english` and its feed
vespa:http://localhost:8080/english     that schema on a server

A place is a folder or a URL.
"""

import re
from typing import NamedTuple

from optical_ir.errors import ConfigError

ENGINES = ("qdrant", "lancedb", "vespa")


class Address(NamedTuple):
    """A collection of an engine.

    Attributes
    ----------
    engine : {"qdrant", "lancedb", "vespa"}
    place : str
        A folder, or the URL of a server or an object store.
    name : str
        Of the collection, table or schema there.
    """

    engine: str
    place: str
    name: str

    @property
    def is_url(self) -> bool:
        """Whether the place is a URL rather than a folder."""
        return "://" in self.place

    def __str__(self) -> str:
        return f"{self.engine}:{self.place}/{self.name}"


def parse_address(text: str) -> Address:
    """Read an address; see the module's header for what there is.

    Raises
    ------
    ConfigError
        If it names no known engine, no collection, or one with other characters than letters,
        digits, `_` and, except for Vespa, `-`.

    Examples
    --------
    >>> parse_address("qdrant:http://localhost:6333/english")
    Address(engine='qdrant', place='http://localhost:6333', name='english')
    """
    engine, _, rest = text.partition(":")
    place, _, name = rest.rpartition("/")
    if engine not in ENGINES or not name or place.endswith(":/"):
        raise ConfigError(
            f"expected ENGINE:PLACE/NAME with an engine of {', '.join(ENGINES)}, as "
            f"qdrant:http://localhost:6333/english or lancedb:stores/english, found {text!r}."
        )
    allowed = r"[A-Za-z_]\w*" if engine == "vespa" else r"[\w-]+"
    if not re.fullmatch(allowed, name, re.ASCII):
        raise ConfigError(f"{text}: expected a name of letters, digits and _, found {name!r}.")
    return Address(engine, place or ".", name)
