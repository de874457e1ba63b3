"""Reading text strictly and writing files so that nothing is lost.

Every reader of the toolkit takes its lines from `iter_lines`, so encoding trouble is met in one
place; every writer goes through `write_file` or `write_folder`, which build beside the target
and rename, so a target is either the old one or complete.
"""

import errno
import gzip
import hashlib
import io
import json
import os
import shutil
import tomllib
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

from filelock import FileLock, Timeout

from optical_ir.errors import ConfigError, DataError, OpticalError

_BOM = b"\xef\xbb\xbf"
_FULL = (errno.ENOSPC, errno.EDQUOT)
_TORCH_CANNOT_WRITE = ("PytorchStreamWriter failed", "iostream error", "unexpected pos")


def iter_lines(path: Path | str, *, may_be_empty: bool = False) -> Iterator[tuple[int, str]]:
    """Lines of a UTF-8 file, plain or `.gz`, with their numbers from 1 and without line ends.

    Raises
    ------
    DataError
        If the file is missing, unreadable, or empty and not `may_be_empty`, starts with a byte
        order mark, has a CR at a line's end, or is not UTF-8; the message names the line and the
        remedy.
    """
    path = Path(path)
    number = 0
    try:
        with _open(path) as stream:
            for number, raw in enumerate(stream, start=1):
                yield number, _decode(path, number, raw)
    except FileNotFoundError as err:
        raise DataError(f"{path}: expected a file, found none. Check the path.") from err
    except IsADirectoryError as err:
        raise DataError(f"{path}: expected a file, found a folder.") from err
    except (OSError, EOFError, zlib.error) as err:
        raise DataError(f"{path}: cannot be read ({err}).") from err
    if number == 0 and not may_be_empty:
        raise DataError(f"{path}: expected at least one line, found an empty file.")


def _open(path: Path) -> IO[bytes]:
    if path.suffix != ".gz":
        return path.open("rb")
    # By itself a GzipFile goes through several calls in Python for each line.
    return io.BufferedReader(cast("io.RawIOBase", gzip.open(path, "rb")))


def _decode(path: Path, number: int, raw: bytes) -> str:
    if number == 1 and raw.startswith(_BOM):
        raise DataError(
            f"{path}, line 1: starts with a byte order mark. "
            f"Save as UTF-8 without BOM, for example: sed -i '1s/^\\xEF\\xBB\\xBF//' {path}"
        )
    line = raw.rstrip(b"\n")
    if line.endswith(b"\r"):
        raise DataError(
            f"{path}, line {number}: ends with CR LF (Windows line ends). "
            f"Convert it, for example: sed -i 's/\\r$//' {path}"
        )
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as err:
        raise DataError(
            f"{path}, line {number}: is not UTF-8 (byte {err.object[err.start]:#04x} at column "
            f"{err.start + 1}). Convert it, for example: iconv -f ISO-8859-1 -t UTF-8"
        ) from err


def read_toml(path: Path | str) -> dict[str, Any]:
    """Read a TOML file.

    Raises
    ------
    ConfigError
        If it is not TOML.
    DataError
        See `iter_lines`.
    """
    try:
        return tomllib.loads("\n".join(line for _, line in iter_lines(path)))
    # Beside its own error tomllib lets through those of Python's numbers and of its stack.
    except (ValueError, RecursionError) as err:
        raise ConfigError(f"{path}: is not TOML ({err}).") from err


def parse_json(text: str | bytes) -> Any:
    """Parse JSON that may come from anywhere.

    Raises
    ------
    ValueError
        If it is not JSON in UTF-8, or nests deeper than Python can follow.
    """
    try:
        return json.loads(text)
    except RecursionError as err:
        raise ValueError("it is nested too deeply") from err


def read_json_object(path: Path) -> dict[str, Any]:
    """Read a file that holds one JSON object, as descriptions and records of progress do.

    Raises
    ------
    OSError
        If it cannot be read.
    ValueError
        If it holds anything else; the message ends no sentence.
    """
    content = parse_json(path.read_bytes())
    if not isinstance(content, dict):
        raise ValueError(f"expected an object, found {type(content).__name__}")
    return content


def check_output(path: Path | str, *, overwrite: bool = False) -> Path:
    """Refuse, before any work is done, an output path that exists or cannot be written.

    Raises
    ------
    ConfigError
        If `path` exists and `overwrite` is false, or its folder cannot be made or written.
    """
    path = Path(path)
    if path.exists() and not overwrite:
        raise ConfigError(f"{path} exists. Choose another output or pass --overwrite.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as err:
        raise ConfigError(f"{path.parent}: cannot make this folder ({err.strerror}).") from err
    if not os.access(path.parent, os.W_OK):
        raise ConfigError(f"{path.parent}: is not writable. Choose another output.")
    return path


@contextmanager
def write_file(path: Path | str, *, overwrite: bool = False) -> Iterator[IO[str]]:
    """Text stream into `<path>.tmp`, renamed to `path` on success and removed on failure.

    A `path` that ends in `.gz` is compressed, without a time stamp: same text, same bytes.
    """
    path = check_output(path, overwrite=overwrite)
    if path.is_dir():
        raise ConfigError(f"{path} is a folder, expected a file. Choose another output.")
    part = path.with_name(path.name + ".tmp")
    try:
        with _storage_errors(path):
            with _open_text(part, compressed=path.suffix == ".gz") as stream:
                yield stream
            part.replace(path)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def _open_text(path: Path, *, compressed: bool) -> Iterator[IO[str]]:
    if not compressed:
        with path.open("w", encoding="utf-8", newline="\n") as stream:
            yield stream
        return
    import io

    with path.open("wb") as raw, gzip.GzipFile("", "wb", 9, raw, mtime=0) as packed:
        with io.TextIOWrapper(packed, encoding="utf-8", newline="\n") as stream:
            yield stream


@contextmanager
def write_folder(
    path: Path | str, *, overwrite: bool = False, resume: bool = False
) -> Iterator[Path]:
    """Folder `<path>.tmp` to fill, renamed to `path` on success.

    With `resume` the unfinished folder of an earlier attempt is handed out again and, on
    failure, kept for the next one; otherwise it starts empty and is removed on failure.

    Raises
    ------
    ConfigError
        See `check_output`; also if another process is making the same folder.
    """
    path = check_output(path, overwrite=overwrite)
    if path.is_file():
        raise ConfigError(f"{path} is a file, expected a folder. Choose another output.")
    part = path.with_name(path.name + ".tmp")
    with lock_output(path):
        if part.exists() and not resume:
            shutil.rmtree(part)
        done = False
        try:
            part.mkdir(exist_ok=True)
            yield part
            _replace_folder(part, path)
            done = True
        finally:
            if not done and not resume:
                shutil.rmtree(part, ignore_errors=True)


@contextmanager
def lock_output(path: Path) -> Iterator[None]:
    """Hold `<path>.lock` while an output is made.

    Raises
    ------
    ConfigError
        If another process holds it.
    """
    lock = FileLock(path.with_name(path.name + ".lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout as err:
        raise ConfigError(
            f"{path}: another process is making it. Wait for that, or choose another output."
        ) from err
    try:
        with _storage_errors(path):
            yield
    finally:
        Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()


def _replace_folder(part: Path, path: Path) -> None:
    old = path.with_name(path.name + ".old")
    if path.exists():
        if old.exists():
            shutil.rmtree(old)
        path.rename(old)
    part.rename(path)
    if old.exists():
        shutil.rmtree(old)


@contextmanager
def _storage_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OpticalError:
        raise
    except Exception as err:
        if _is_full(err):
            raise ConfigError(
                f"{path}: no space left on the device. Free some and run the same command again."
            ) from err
        if isinstance(err, OSError) and err.errno in (errno.EFBIG, errno.EROFS):
            raise ConfigError(
                f"{path}: cannot be written ({err.strerror}). Choose another output, or mend that "
                "and run the same command again."
            ) from err
        raise


def _is_full(err: BaseException) -> bool:
    """Whether an error says that a file could not grow, in the words of whoever wrote it.

    Safetensors gives the system's number in its message, torch none at all.
    """
    if isinstance(err, OSError) and err.errno is not None:
        return err.errno in _FULL
    text = str(err)
    of_torch = isinstance(err, RuntimeError) and any(words in text for words in _TORCH_CANNOT_WRITE)
    return of_torch or any(f"os error {number})" in text for number in _FULL)


def sha256_file(path: Path | str) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def sha256_text(path: Path | str) -> str:
    """SHA-256 of a file's text, which is what a `.gz` file unpacks to, in hexadecimal."""
    path = Path(path)
    if path.suffix != ".gz":
        return sha256_file(path)
    with gzip.open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
