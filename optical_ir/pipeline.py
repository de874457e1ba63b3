"""Running an experiment: each stage reads files, writes files, and is skipped once it is done.

<output>/teacher                     the teacher
<output>/index/<collection>          its multi-vector index; <collection>-plain: one vector each
<output>/bm25/<collection>           the Lucene index, and its origin in <collection>.json
<output>/students/<name>             students
<output>/qrels/qrels.<collection>-<topics>.txt
<output>/runs/run.<collection>-<topics>.<system>.trec

Runs and judgements have their provenance in `.json` beside them; `optical-ir verify` reads both.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from rich.progress import Progress
from sentence_transformers import MultiVectorEncoder

from optical_ir.collections import Collection, load_collection, read_bitext
from optical_ir.console import track
from optical_ir.errors import ConfigError, DataError
from optical_ir.evaluation import describe_qrels, describe_run
from optical_ir.experiment import Experiment, Task
from optical_ir.files import sha256_file
from optical_ir.models import (
    center_encoder,
    fast_inference,
    load_encoder,
    read_description,
    save_teacher,
)
from optical_ir.models.single_vector import SingleVectorEncoder
from optical_ir.provenance import describe_origin, write_origin
from optical_ir.records import Qrel, Query, ScoredDoc
from optical_ir.retrieval.bm25 import Bm25Index
from optical_ir.retrieval.index import build_index
from optical_ir.retrieval.java import find_anserini_jar, find_java
from optical_ir.retrieval.search import search_with
from optical_ir.stages import (
    digest_queries,
    index_hash,
    is_done,
    read_json,
    read_settings,
    settings_of,
    student_settings,
)
from optical_ir.training import distil
from optical_ir.trec import Run, read_qrels, read_run, read_topics, write_qrels, write_run

ZERO_SHOT = "zero-shot"
BM25 = "bm25"


class SystemRun(NamedTuple):
    """A run, and the queries that its system was given: a translation may lack some."""

    run: Run
    query_ids: frozenset[str]


def student_system(student: str) -> str:
    """Name of the system in which a student answers the queries."""
    return f"optical-{student}"


class Pipeline:
    """The stages of one experiment over one output folder.

    Parameters
    ----------
    experiment : Experiment
    data : Path
        Folder that the collections and files of the experiment are relative to.
    output : Path
        Experiments with the same teacher may share it.
    progress : Progress, optional
        Shows every stage that takes long.
    """

    def __init__(
        self, experiment: Experiment, data: Path, output: Path, progress: Progress | None = None
    ) -> None:
        self.experiment, self.data, self.output = experiment, data, output
        self.progress = progress

    def run(self) -> dict[str, dict[str, SystemRun]]:
        """Run what is missing; give the runs by topics and system, in table order."""
        self._check_inputs()
        tasks = self.experiment.tasks
        shown = track(tasks, "Tasks", len(tasks), progress=self.progress)
        return {task.topics: self._run_task(task) for task in shown}

    def collection(self, topics: str) -> Collection:
        """Open the experiment's collection with the queries named `topics`."""
        return self._open(self.experiment.collection, topics)

    def _open(self, name: str, topics: str | None = None) -> Collection:
        folder = self.data / name
        if name != "demo" and folder.is_dir():
            return load_collection(folder, topics=topics)
        try:
            return load_collection(name, topics=topics)
        except ConfigError as err:
            raise ConfigError(f"{folder}: there is no such folder, and {err}") from err

    def _check_inputs(self) -> None:
        """Meet what is missing or malformed before hours of work, not after."""
        for plan in self.experiment.students.values():
            read_bitext(self.data / plan.bitext, query_lang=plan.query_lang)
            if not (self.data / plan.bitext).is_file():
                raise ConfigError(
                    f"{self.data / plan.bitext}: expected a file, found the prefix of two. Name "
                    "the foreign one."
                )
        for task in self.experiment.tasks:
            self._judgements(task)
            own = {query.query_id for query in self.collection(task.topics).iter_queries()}
            for file in task.translations.values():
                if own.isdisjoint(query.query_id for query in read_topics(self.data / file)):
                    raise DataError(
                        f"{self.data / file}: expected translations of the queries of topics "
                        f"{task.topics!r}, found other query ids. Check the path."
                    )
        if not self._bm25_folder.exists():
            find_anserini_jar()
            find_java()

    def _run_task(self, task: Task) -> dict[str, SystemRun]:
        self.qrels_file(task)
        own = list(self.collection(task.topics).iter_queries())
        translated = {
            name: read_topics(self.data / file) for name, file in task.translations.items()
        }
        teacher, student = self.teacher, self.student(task.student)
        system = student_system(task.student)
        runs = {
            system: self._dense(task, system, student, own),
            ZERO_SHOT: self._dense(task, ZERO_SHOT, teacher, own),
        }
        for name, queries in translated.items():
            runs[f"teacher-{name}"] = self._dense(task, f"teacher-{name}", teacher, queries)
        runs[BM25] = self._sparse(task, BM25, own)
        for name, queries in translated.items():
            runs[f"{BM25}-{name}"] = self._sparse(task, f"{BM25}-{name}", queries)
        return runs

    def _judgements(self, task: Task) -> list[Qrel]:
        # Some ir_datasets ids judge a pair twice alike.
        return list(dict.fromkeys(self.collection(task.topics).iter_qrels()))

    def _key(self, task: Task) -> str:
        return f"{self.experiment.collection_key}-{task.topics}"

    def qrels_file(self, task: Task) -> Path:
        """File of a task's judgements, written if it is not there."""
        path = self.output / "qrels" / f"qrels.{self._key(task)}.txt"
        experiment, qrels = self.experiment, self._judgements(task)
        settings = {"collection": experiment.collection, "topics": task.topics}
        if not is_done(path, read_settings(path), settings):
            part = path.with_name(path.name + ".part")
            write_qrels(part, qrels, overwrite=True)
            source = {"source": experiment.source or None, "licence": experiment.licence or None}
            write_origin(path, settings=settings, facts={**source, **describe_qrels(part)})
            part.replace(path)
        elif read_qrels(path) != qrels:
            raise ConfigError(
                f"{path} holds other judgements than the collection. Remove it, or choose another "
                "--output."
            )
        return path

    @cached_property
    def teacher(self) -> Path:
        """Folder of the teacher, made if it is not there."""
        plan, folder = self.experiment.teacher, self.output / "teacher"
        settings = asdict(plan)
        if is_done(folder, settings_of(read_description(folder)), settings):
            return folder
        encoder = load_encoder(plan.encoder)
        if plan.center_on is not None:
            docs = islice(self._open(plan.center_on).iter_docs(), plan.n_docs)
            texts = (doc.text for doc in docs)
            shown = track(texts, "Centring the teacher", plan.n_docs, progress=self.progress)
            encoder = center_encoder(encoder, shown, dim=plan.dim)
        save_teacher(encoder, folder, origin=describe_origin(settings=settings))
        return folder

    def student(self, name: str) -> Path:
        """Folder of a student, distilled if it is not there."""
        plan, folder = self.experiment.students[name], self.output / "students" / name
        bitext = self.data / plan.bitext
        settings = {
            **asdict(plan),
            "bitext_sha256": sha256_file(bitext),
            "space": read_description(self.teacher)["space"],
        }
        if not is_done(folder, settings_of(read_description(folder)), settings):
            distil(
                load_encoder(self.teacher),
                read_bitext(bitext, query_lang=plan.query_lang),
                folder,
                settings=plan.settings,
                space=settings["space"],
                origin=describe_origin(settings=settings, inputs={"bitext": bitext}),
                progress=self.progress,
            )
        return folder

    @cached_property
    def index_folder(self) -> Path:
        """Folder of the teacher's index of the collection, built if it is not there."""
        return self.build_index(
            self.experiment.collection_key,
            lambda: fast_inference(load_encoder(self.teacher)),
            space=self.space,
        )

    def build_index(
        self,
        name: str,
        load: Callable[[], MultiVectorEncoder | SingleVectorEncoder],
        *,
        space: str,
    ) -> Path:
        """Encode the collection into index `name` with what `load` gives, if it is not there."""
        folder = self.output / "index" / name
        settings = {"collection": self.experiment.collection, "teacher": self.space}
        if not is_done(folder, settings_of(read_json(folder / "index.json")), settings):
            collection = self._open(self.experiment.collection)
            docs = collection.iter_docs()
            shown = track(docs, "Encoding documents", collection.n_docs, progress=self.progress)
            build_index(
                shown,
                load(),
                folder,
                space=space,
                origin=describe_origin(settings=settings),
            )
        return folder

    @cached_property
    def space(self) -> str:
        """Key of the teacher's embedding space."""
        return str(read_description(self.teacher)["space"])

    @property
    def _bm25_folder(self) -> Path:
        return self.output / BM25 / self.experiment.collection_key

    @cached_property
    def bm25(self) -> Bm25Index:
        """The Lucene index of the collection, built if it is not there."""
        folder = self._bm25_folder
        settings = {"collection": self.experiment.collection}
        if not is_done(folder, read_settings(folder), settings):
            write_origin(folder, settings=settings)
            Bm25Index.build(self._open(self.experiment.collection).iter_docs(), folder).close()
        return Bm25Index(folder)

    def _dense(self, task: Task, system: str, encoder: Path, queries: Sequence[Query]) -> SystemRun:
        def search() -> dict[str, list[ScoredDoc]]:
            return search_with(str(encoder), folder, queries, k=self.experiment.hits)

        folder = self.index_folder
        settings = {
            "encoder": sha256_file(encoder / "model.safetensors"),
            "index": index_hash(folder),
        }
        return self.make_run(
            task, system, queries, settings, search, student=student_settings(encoder)
        )

    def _sparse(self, task: Task, system: str, queries: Sequence[Query]) -> SystemRun:
        def search() -> dict[str, list[ScoredDoc]]:
            return self.bm25.search(queries, k=self.experiment.hits)

        index = read_json(self.bm25.folder / "index.json")["corpus_sha256"]
        return self.make_run(task, system, queries, {"index": index}, search)

    def make_run(
        self,
        task: Task,
        system: str,
        queries: Sequence[Query],
        settings: dict[str, Any],
        search: Callable[[], Run],
        *,
        student: dict[str, Any] | None = None,
    ) -> SystemRun:
        """Search and write the run of a system, or read it if it is there."""
        path = self.output / "runs" / f"run.{self._key(task)}.{system}.trec"
        settings = {
            "collection": self.experiment.collection,
            "topics": task.topics,
            "queries": len(queries),
            "queries_sha256": digest_queries(queries),
            "hits": self.experiment.hits,
            "system": system,
            **settings,
        }
        if not is_done(path, read_settings(path), settings):
            part = path.with_name(path.name + ".part")
            write_run(part, search(), tag=system, overwrite=True)
            facts = {
                "seed": student["settings"]["seed"] if student else None,
                "student": student,
                **describe_run(part, self.qrels_file(task), measures=self.experiment.measures),
            }
            # First, since a run without it would count as one of other settings.
            write_origin(path, settings=settings, facts=facts)
            part.replace(path)
        found = read_run(path, may_be_empty=True)
        query_ids = [query.query_id for query in queries]
        run = {query_id: found.get(query_id, []) for query_id in query_ids}
        return SystemRun(run, frozenset(query_ids))
