"""Vespa: a schema and a feed that its own tools deploy and read, and search over HTTP.

    <folder>/<name>.sd     schema `name`, with the rank profile `maxsim`
    <folder>/feed.jsonl    one operation a line: put, or remove of a deleted document

A document's token vectors are a mixed tensor, `tensor<bfloat16>(token{}, x[dim])`, or of float
for an index in float32. In the feed each token is a block of hexadecimal digits, the bits of its
values, which both sides keep as they are.

References
----------
https://docs.vespa.ai/en/reference/document-json-format.html#tensor
"""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NoReturn

import torch
from torch import Tensor

from optical_ir.engines.address import Address
from optical_ir.engines.blocks import Block
from optical_ir.engines.stores import Layout, no_collection
from optical_ir.errors import ConfigError, DataError
from optical_ir.files import write_folder
from optical_ir.models.encoder import TokenVectors

_NAMESPACE = "optical"
_TIMEOUT = 300
"""Seconds for a request: an exact search reads all documents."""

_SCHEMA = """\
schema {name} {{
    document {name} {{
        field doc_id type string {{ indexing: summary | attribute }}
        field space type string {{ indexing: summary | attribute }}
        field dim type int {{ indexing: summary | attribute }}
        field vectors type {kind}(token{{}}, x[{dim}]) {{
            indexing: attribute
            attribute: paged
        }}
    }}
    rank-profile maxsim {{
        inputs {{
            query(tokens) tensor<float>(query_token{{}}, x[{dim}])
        }}
        first-phase {{
            expression: sum(reduce(sum(query(tokens) * attribute(vectors), x), max, token), query_token)
        }}
    }}
}}
"""  # noqa: E501


class VespaFeed:
    """A feed that is being written; knows nothing of what a server has."""

    def __init__(self, address: Address, layout: Layout, stream: IO[str]) -> None:
        self.address, self.layout, self.stream = address, layout, stream
        self.folder, self.dim, self.space = str(address), layout.dim, layout.space

    def digests(self) -> None:
        """See `Store`."""
        return

    def put(self, block: Block) -> None:
        """See `Store`."""
        for doc_id, vectors in zip(block.doc_ids, block.vectors, strict=True):
            rows = hex_rows(vectors, is_half=self.layout.is_half)
            fields = {
                "doc_id": doc_id,
                "space": self.space,
                "dim": self.dim,
                "vectors": {str(token): row for token, row in enumerate(rows)},
            }
            self._write({"put": self._document(doc_id), "fields": fields})

    def remove(self, doc_ids: Sequence[str]) -> None:
        """See `Store`."""
        for doc_id in doc_ids:
            self._write({"remove": self._document(doc_id)})

    def search(self, vectors: TokenVectors, *, k: int, exact: bool) -> NoReturn:
        """Refuse: a feed is to be fed to a server first."""
        raise ConfigError(f"{self.folder} is a feed. Search the server that it was fed to.")

    def _document(self, doc_id: str) -> str:
        return f"id:{_NAMESPACE}:{self.address.name}::{doc_id}"

    def _write(self, operation: dict[str, Any]) -> None:
        self.stream.write(json.dumps(operation, ensure_ascii=False) + "\n")


def hex_rows(vectors: Tensor, *, is_half: bool) -> list[str]:
    """Write each row's bits as hexadecimal digits, four a value in bfloat16 and else eight."""
    values = vectors.to(torch.bfloat16) if is_half else vectors.float()
    bits = values.view(torch.uint16 if is_half else torch.uint32).numpy()
    return [row.tobytes().hex() for row in bits.astype(bits.dtype.newbyteorder(">"))]


@contextmanager
def write_vespa(address: Address, layout: Layout, *, overwrite: bool) -> Iterator[VespaFeed]:
    """Write the schema and a feed into a folder, see `open_store`."""
    if address.is_url:
        raise ConfigError(
            f"{address}: expected a folder for the feed, as vespa:feeds/{address.name}. Write it "
            "there, deploy the schema and run: vespa feed feed.jsonl"
        )
    kind = "tensor<bfloat16>" if layout.is_half else "tensor<float>"
    schema = _SCHEMA.format(name=address.name, kind=kind, dim=layout.dim)
    with write_folder(Path(address.place) / address.name, overwrite=overwrite) as part:
        (part / f"{address.name}.sd").write_text(schema, "utf-8")
        with (part / "feed.jsonl").open("w", encoding="utf-8") as stream:
            yield VespaFeed(address, layout, stream)


class VespaServer:
    """A schema on a server that was fed, see `Store`; it can be searched only."""

    def __init__(self, address: Address) -> None:
        self.address, self.folder = address, str(address)
        hits = self._ask({"hits": 1})
        if not hits:
            raise DataError(no_collection(Address("vespa", "FOLDER", address.name)))
        self.dim, self.space = int(hits[0]["fields"]["dim"]), str(hits[0]["fields"]["space"])

    def digests(self) -> NoReturn:
        """Refuse: Vespa's own tools write."""
        raise ConfigError(
            f"{self.folder}: write a feed into a folder, and feed it with vespa feed."
        )

    def put(self, block: Block) -> None:
        """Refuse, as `digests` does."""
        self.digests()

    def remove(self, doc_ids: Sequence[str]) -> None:
        """Refuse, as `digests` does."""
        self.digests()

    def search(self, vectors: TokenVectors, *, k: int, exact: bool) -> list[tuple[str, float]]:
        """See `Store`; always exact."""
        tokens = {str(row): values for row, values in enumerate(vectors.tolist())}
        hits = self._ask({"hits": k, "ranking": "maxsim", "input.query(tokens)": tokens})
        return [(hit["fields"]["doc_id"], float(hit["relevance"])) for hit in hits]

    def _ask(self, body: dict[str, Any]) -> list[dict[str, Any]]:
        body = body | {
            "yql": f"select doc_id, space, dim from {self.address.name} where true",
            "timeout": f"{_TIMEOUT}s",
            # Otherwise a search that takes long gives the best of the documents it has seen.
            "ranking.softtimeout.enable": False,
        }
        root = self._post(json.dumps(body).encode())["root"]
        if root.get("errors"):
            raise ConfigError(f"{self.address}: Vespa refused ({root['errors']}).")
        children: list[dict[str, Any]] = root.get("children", [])
        return children

    def _post(self, content: bytes) -> dict[str, Any]:
        url = f"{self.address.place}/search/"
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(url, content, headers)
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT) as answer:
                found: dict[str, Any] = json.load(answer)
        except urllib.error.HTTPError as err:
            reason = err.read().decode("utf-8", "replace")
            raise ConfigError(f"{url}: Vespa refused ({err}: {reason[:500]}).") from err
        except (OSError, ValueError) as err:
            raise ConfigError(
                f"{url}: expected a Vespa server, but none answered ({err}). Check the address."
            ) from err
        return found


@contextmanager
def open_vespa(address: Address) -> Iterator[VespaServer]:
    """Open a schema on a server for search, see `open_store`."""
    if not address.is_url:
        raise ConfigError(
            f"{address} is a folder. Feed it to a server and name that: "
            f"vespa:http://localhost:8080/{address.name}"
        )
    yield VespaServer(address)
