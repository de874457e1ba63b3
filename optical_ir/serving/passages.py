"""Texts of the passages in a SQLite file, so that memory does not grow with the collection."""

import sqlite3
import tempfile
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Self

from optical_ir.errors import DataError
from optical_ir.files import check_output, lock_output
from optical_ir.records import Doc

_FORMAT = "optical-ir passages 1"
_BLOCK = 1000


class PassageStore:
    """Texts by document id, read from disk as they are asked for.

    Parameters
    ----------
    path : Path
        What `build` has written.

    Raises
    ------
    DataError
        If there is no such file, or it is of another kind.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        self._lock = threading.Lock()
        if not path.is_file():
            raise DataError(f"{path}: expected a file of passages, found none. Check the path.")
        uri = f"{path.absolute().as_uri()}?mode=ro"
        self._connection = sqlite3.connect(uri, uri=True, check_same_thread=False)
        try:
            (found,) = self._connection.execute("SELECT format FROM about").fetchone()
        except (sqlite3.DatabaseError, TypeError):
            found = None
        if found != _FORMAT:
            self._connection.close()
            raise DataError(
                f"{path}: expected a file of passages, found something else. Name another file "
                "with --passages, or remove it."
            )

    @classmethod
    def build(cls, docs: Iterable[Doc], path: Path | None = None) -> Self:
        """Write the texts of documents and open them.

        Parameters
        ----------
        docs : iterable of Doc
            Read once.
        path : Path, optional
            Must not exist; a temporary file, removed by `close`, if not given.
        """
        if path is None:
            folder = tempfile.TemporaryDirectory(prefix="optical-ir-passages-")
            store = cls.build(docs, Path(folder.name) / "passages.sqlite")
            store._temporary = folder
            return store
        check_output(path)
        part = path.with_name(path.name + ".tmp")
        with lock_output(path):
            part.unlink(missing_ok=True)
            try:
                _write(part, docs)
                part.replace(path)
            finally:
                part.unlink(missing_ok=True)
        return cls(path)

    def check(self, doc_ids: Sequence[str]) -> None:
        """Make sure that all documents of an index are here.

        Raises
        ------
        DataError
            If one is missing.
        """
        for block in _blocks(doc_ids):
            found = self.texts(block)
            if missing := [doc_id for doc_id in block if doc_id not in found]:
                raise DataError(
                    f"{self.path}: expected the texts of all {len(doc_ids)} documents of the "
                    f"index, found none of {missing[0]!r}. Name the collection that was indexed "
                    "with --collection, and another file with --passages."
                )

    def texts(self, doc_ids: Sequence[str]) -> dict[str, str]:
        """Texts of documents by id; of those that are here."""
        marks = ", ".join("?" * len(doc_ids))
        query = f"SELECT doc_id, text FROM docs WHERE doc_id IN ({marks})"
        with self._lock:
            return dict(self._connection.execute(query, list(doc_ids)).fetchall())

    def close(self) -> None:
        """Close the file, and remove it if it is temporary."""
        self._connection.close()
        if self._temporary:
            self._temporary.cleanup()


def _blocks(doc_ids: Sequence[str]) -> Iterator[Sequence[str]]:
    """Cut ids into as many as one statement may name."""
    for start in range(0, len(doc_ids), _BLOCK):
        yield doc_ids[start : start + _BLOCK]


def _write(path: Path, docs: Iterable[Doc]) -> None:
    connection = sqlite3.connect(path)
    try:
        # Beside the target and renamed when complete, so it needs no journal of its own.
        connection.execute("PRAGMA journal_mode = OFF")
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("CREATE TABLE about (format TEXT)")
        connection.execute("CREATE TABLE docs (doc_id TEXT PRIMARY KEY, text TEXT) WITHOUT ROWID")
        connection.executemany("INSERT INTO docs VALUES (?, ?)", docs)
        connection.execute("INSERT INTO about VALUES (?)", [_FORMAT])
        connection.commit()
    except sqlite3.IntegrityError as err:
        raise DataError(
            "expected a collection whose document ids are each used once, found one twice "
            f"({err}). Give every document its own."
        ) from err
    finally:
        connection.close()
