"""Telling at once whether a document id was used before, in bounded memory."""

import sqlite3
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

from optical_ir.errors import DataError

_CACHE = 64 << 20
"""Bytes of ids that are held in memory; the rest is on disk."""


class DocumentIds:
    """The ids seen so far, in a scratch file that is removed in the end.

    Parameters
    ----------
    path : Path
        The scratch file; one that is there, left by a kill, is replaced.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        path.unlink(missing_ok=True)
        self._table = sqlite3.connect(path, isolation_level=None)
        for setting in ("journal_mode = OFF", "synchronous = OFF", f"cache_size = -{_CACHE >> 10}"):
            self._table.execute(f"PRAGMA {setting}")
        self._table.execute("CREATE TABLE ids (id TEXT PRIMARY KEY) WITHOUT ROWID")
        self._table.execute("BEGIN")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._table.close()
        self._path.unlink(missing_ok=True)

    def add(self, doc_id: str) -> None:
        """Add an id.

        Raises
        ------
        DataError
            If it was added before.
        """
        if not self._table.execute("INSERT OR IGNORE INTO ids VALUES (?)", (doc_id,)).rowcount:
            raise DataError(f"Document id {doc_id!r} is used twice. Give each its own.")

    def add_all(self, doc_ids: Iterable[str]) -> None:
        """Add some ids; see `add`."""
        for doc_id in doc_ids:
            self.add(doc_id)
