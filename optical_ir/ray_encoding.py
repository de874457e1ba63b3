"""Encoding a collection on a Ray cluster: parts of it side by side, joined into one index.

The documents are cut into parts of whole blocks. Each part is a row of a Ray Data set, which
actors that hold the encoder map to a multi-vector index of the part. Parts lie beside the output,
in a folder that all nodes see, so a part that is there is not encoded again:

    <output>.parts/00000-<hash>.jsonl    documents of the first part
    <output>.parts/00000-<hash>/         their index

The hash is of the documents and of how they are encoded. Blocks are those of `write_index`, so
machines of one kind give the index that one of them would give.
"""

import hashlib
import json
import os
import platform
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from optical_ir.errors import ConfigError, DataError, DependencyError, OpticalError
from optical_ir.files import check_output, iter_lines, write_file
from optical_ir.models import embedding_space, fast_inference, load_encoder
from optical_ir.records import Doc
from optical_ir.retrieval.index import MultiVectorIndex
from optical_ir.retrieval.index_build import write_index
from optical_ir.retrieval.index_merge import merge_indexes

Progress = Callable[[Iterable[Path], int], Iterable[Path]]

BLOCK = 1024
"""Documents that `write_index` encodes together."""


@dataclass(frozen=True)
class RaySettings:
    """How a collection is encoded on a cluster.

    Attributes
    ----------
    address : str, optional
        Of the cluster, as `ray.init` takes it: `auto`, `ray://HOST:10001`, or `local` for this
        machine alone. By default the cluster that `RAY_ADDRESS` names or that runs here, else
        this machine.
    workers : int
        Processes that hold an encoder each.
    cpus, gpus : float
        What each of them needs.
    blocks_per_part : int
        Blocks of 1024 documents a part: the unit that is lost when a machine fails.
    """

    address: str | None = None
    workers: int = 1
    cpus: float = 1
    gpus: float = 0
    blocks_per_part: int = 16

    def __post_init__(self) -> None:
        if min(self.workers, self.blocks_per_part) < 1 or self.cpus < 0 or self.gpus < 0:
            raise ConfigError(
                f"expected one worker and one block a part or more, found {asdict(self)}."
            )


def encode_with_ray(
    docs: Iterable[Doc],
    encoder: str,
    output: Path | str,
    settings: RaySettings,
    *,
    storage: str = "bfloat16",
    batch_size: int = 32,
    max_length: int | None = None,
    origin: dict[str, Any] | None = None,
    overwrite: bool = False,
    progress: Progress = lambda parts, total: parts,
) -> MultiVectorIndex:
    """Encode documents on a Ray cluster; after a kill the same call goes on with what is missing.

    Parameters
    ----------
    docs : iterable of Doc
        Streamed into the folder of the parts.
    encoder : str
        Name of the teacher; a folder must be one that all nodes see.
    output : path
        In a folder that all nodes see, under the same path.
    storage, batch_size, origin, overwrite
        See `write_index`.
    progress : callable
        Passes on the parts that are done, given how many there are to do.

    Returns
    -------
    MultiVectorIndex
        Documents are in the order of `docs`.

    Raises
    ------
    ConfigError
        If `output` exists, a node has another encoder of that name, or no cluster answers.
    DataError
        If there are no documents, or an id is used twice.
    DependencyError
        If Ray is not installed.
    """
    output = check_output(output, overwrite=overwrite).resolve()
    if Path(encoder).is_dir():
        # Processes of the cluster run in folders of their own.
        encoder = str(Path(encoder).resolve())
    space = embedding_space(encoder, load_encoder(encoder, document_length=max_length))
    task = {
        "encoder": encoder,
        "space": space,
        "storage": storage,
        "batch_size": batch_size,
        "max_length": max_length,
    }
    folder = output.with_name(output.name + ".parts")
    folder.mkdir(exist_ok=True)
    parts = list(_write_parts(folder, docs, task, n_docs=settings.blocks_per_part * BLOCK))
    if not parts:
        raise DataError(f"{output}: expected documents to index, found none.")
    missing = [part for part in parts if not part.exists()]
    for _ in progress(_encode_parts(missing, task, settings), len(missing)):
        pass
    merge_indexes(parts, output, origin=origin or {}, overwrite=overwrite)
    shutil.rmtree(folder)
    return MultiVectorIndex.open(output)


def _write_parts(
    folder: Path, docs: Iterable[Doc], task: dict[str, Any], *, n_docs: int
) -> Iterator[Path]:
    """Write the documents of each part, of `n_docs` or in the last one more; give their indexes."""
    seen: set[str] = set()
    for number, part_docs in enumerate(_cut(docs, n_docs)):
        ids = [doc.doc_id for doc in part_docs]
        seen.update(ids)
        if len(seen) != number * n_docs + len(ids):
            raise DataError(
                f"{folder}: a document id is used twice among the first "
                f"{number * n_docs + len(ids)} documents. Give each its own."
            )
        lines = "".join(json.dumps(doc) + "\n" for doc in part_docs)
        content = json.dumps(task, sort_keys=True) + "\n" + lines
        part = folder / f"{number:05}-{hashlib.sha256(content.encode()).hexdigest()[:16]}"
        with write_file(_docs_file(part), overwrite=True) as stream:
            stream.write(lines)
        yield part


def _cut(docs: Iterable[Doc], n_docs: int) -> Iterator[list[Doc]]:
    """Cut into lists of `n_docs`; what is left at the end joins the last one.

    A part of its own might be of documents without any token, of which there is no index.
    """
    stream = iter(docs)
    part = list(islice(stream, n_docs))
    while following := list(islice(stream, n_docs)):
        if len(following) < n_docs:
            part += following
        else:
            yield part
            part = following
    if part:
        yield part


def _docs_file(part: Path) -> Path:
    return part.with_name(part.name + ".jsonl")


def _encode_parts(parts: list[Path], task: dict[str, Any], settings: RaySettings) -> Iterator[Path]:
    """Encode parts on the cluster; give each when it is done."""
    if not parts:
        return
    with _cluster(settings.address):
        import ray.data

        ray.data.DataContext.get_current().enable_progress_bars = False
        rows = [{"part": str(part)} for part in parts]
        pool = ray.data.ActorPoolStrategy(
            size=min(settings.workers, len(rows)),
            # A part takes long: none shall wait for a process that has another.
            max_tasks_in_flight_per_actor=1,
        )
        done = ray.data.from_items(rows, override_num_blocks=len(rows)).map_batches(
            PartEncoder,
            fn_constructor_args=(task,),
            batch_size=1,
            compute=pool,
            num_cpus=settings.cpus,
            num_gpus=settings.gpus,
        )
        try:
            for row in done.iter_rows():
                yield Path(row["part"])
        except Exception as err:
            cause = _user_error(err)
            if cause is None:
                raise
            raise type(cause)(str(cause)) from err


@contextmanager
def _cluster(address: str | None) -> Iterator[None]:
    """Connect to a cluster, unless the caller is connected already."""
    try:
        import ray
    except ImportError as err:
        raise DependencyError(
            "Encoding on a cluster needs the package ray, which is not installed. "
            "Run: pip install 'optical-ir[ray]'"
        ) from err
    if ray.is_initialized():
        yield
        return
    # A cluster that is started here tells nobody of its use, unless the user wants it to.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        ray.init(address=address, logging_level="error", log_to_driver=False)
    except (ConnectionError, ValueError, RuntimeError) as err:
        raise ConfigError(
            f"expected a Ray cluster at {address!r}, but none answered ({err}). Start one with "
            "ray start, or pass the address local."
        ) from err
    try:
        yield
    finally:
        ray.shutdown()


def _user_error(err: BaseException | None) -> OpticalError | None:
    """Find the error of ours that an actor raised in what Ray made of it."""
    while err is not None and not isinstance(err, OpticalError):
        err = getattr(err, "cause", None) or err.__cause__
    for kind in (DataError, ConfigError, DependencyError):
        if isinstance(err, kind):
            return kind(getattr(err, "cause", err))
    return None


class PartEncoder:
    """An encoder in an actor, which maps parts of a collection to their indexes.

    Parameters
    ----------
    task : dict
        Name of the `encoder`, the key of its `space`, `storage`, `batch_size`, `max_length`.
    """

    def __init__(self, task: dict[str, Any]) -> None:
        self.task = task
        model = load_encoder(task["encoder"], document_length=task["max_length"])
        space = embedding_space(task["encoder"], model)
        if space != task["space"]:
            raise ConfigError(
                f"{platform.node()}: expected encoder {task['encoder']} of space "
                f"{task['space']!r}, found {space!r}. Give all nodes the same files."
            )
        self.model = fast_inference(model)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Encode the parts of a batch, whose paths are in its column `part`."""
        for part in map(Path, batch["part"]):
            if not part.exists():
                write_index(
                    _read_docs(part),
                    self.model,
                    part,
                    space=self.task["space"],
                    storage=self.task["storage"],
                    batch_size=self.task["batch_size"],
                )
        return batch


def _read_docs(part: Path) -> Iterator[Doc]:
    for _, line in iter_lines(_docs_file(part)):
        yield Doc(*json.loads(line))
