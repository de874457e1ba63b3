"""One door to all collections: a prepared folder, the packaged demo, or an ir_datasets id."""

from dataclasses import replace
from importlib.resources import files
from pathlib import Path

from optical_ir.collections.collection import Collection
from optical_ir.collections.folder import open_folder
from optical_ir.collections.irds import open_irds
from optical_ir.errors import ConfigError
from optical_ir.records import Qrel, Query
from optical_ir.trec import read_qrels, read_topics


def load_collection(name: Path | str, *, topics: str | None = None) -> Collection:
    """Open a collection by its name.

    Parameters
    ----------
    name : path or str
        The word `demo` for the packaged collection, the path of a prepared folder (write
        `./demo` for one of that name), or an ir_datasets id.
    topics : str, optional
        Which queries: in a folder the `<name>` of `topics.<name>.tsv`, in `demo` the query
        language, in ir_datasets a field of the queries (default: their default text).

    Raises
    ------
    ConfigError
        If nothing of that name is found, or `topics` does not single out queries in it.

    Examples
    --------
    >>> demo = load_collection("demo", topics="sw")
    >>> demo.query_lang, demo.doc_lang
    ('sw', 'en')
    """
    if name == "demo":
        demo = open_folder(demo_folder(), topics=topics)
        return replace(demo, doc_lang="en", query_lang=topics)
    if Path(name).is_dir():
        return open_folder(name, topics=topics)
    return open_irds(str(name), query_field=topics)


def load_queries(source: Path | str) -> list[Query]:
    """Read queries from a topics file, or from a collection by its name.

    Raises
    ------
    ConfigError
        If `source` is neither a file nor the name of a collection with queries.
    DataError
        If the file is malformed.
    """
    if Path(source).is_file():
        return read_topics(source)
    return list(_from_collection(source).iter_queries())


def load_qrels(source: Path | str) -> list[Qrel]:
    """Read judgements from a qrels file, or from a collection by its name; see `load_queries`."""
    if Path(source).is_file():
        return read_qrels(source)
    return list(_from_collection(source).iter_qrels())


def _from_collection(source: Path | str) -> Collection:
    try:
        return load_collection(source)
    except ConfigError as err:
        raise ConfigError(f"{source}: there is no such file, and {err}") from err


def demo_folder() -> Path:
    """Folder of the packaged demo collection; also holds `bitext.<lang>-en.tsv`."""
    return Path(str(files("optical_ir.collections"))) / "demo"
