"""Running an experiment: each stage reads files, writes files, and is skipped once it is done.

<output>/teacher                     the teacher
<output>/teacher-untrained           what it was before training, where it is trained
<output>/index/<collection name>     multi-vector index; <collection name>-plain: one vector each
<output>/bm25/<collection name>      the Lucene index, and its origin in .json beside it
<output>/lexicons/<language>.tsv     translation probabilities that were learned
<output>/students/<name>             students
<output>/qrels/qrels.<collection>-<topics>.txt
<output>/runs/run.<collection>-<topics>.<system>.trec

Runs and judgements have their provenance in `.json` beside them; `optical-ir verify` reads both.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from rich.progress import Progress
from sentence_transformers import MultiVectorEncoder

from optical_ir.collections import Collection, load_collection, read_probabilistic_lexicon
from optical_ir.console import track
from optical_ir.errors import ConfigError, DataError
from optical_ir.evaluation import describe_qrels, describe_run
from optical_ir.experiment import Experiment, Student, Task
from optical_ir.mining import open_triples
from optical_ir.models import (
    center_encoder,
    fast_inference,
    load_encoder,
    read_description,
    save_teacher,
)
from optical_ir.models.single_vector import SingleVectorEncoder
from optical_ir.provenance import describe_origin, write_origin
from optical_ir.psq_lexicons import psq_lexicons
from optical_ir.records import Qrel, Query
from optical_ir.retrieval.bm25 import Bm25Index
from optical_ir.retrieval.index import build_index
from optical_ir.retrieval.java import find_anserini_jar, find_java
from optical_ir.run_facts import describe_engine, describe_translation
from optical_ir.stages import (
    digest_queries,
    is_done,
    read_json,
    read_settings,
    settings_of,
)
from optical_ir.training import contrastive_loss, distil, make_loss, train_teacher
from optical_ir.training_data import (
    bitext_parts,
    read_language_bitext,
    read_language_lexicon,
    settings_of_training,
    switched_parts,
)
from optical_ir.trec import Run, read_qrels, read_run, read_topics, write_qrels, write_run


class SystemRun(NamedTuple):
    """A run, the queries that its system was given (a translation may lack some), its origin."""

    run: Run
    query_ids: frozenset[str]
    origin: Mapping[str, Any] = {}


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
        self.students_folder, self.runs_folder = output / "students", output / "runs"
        self._bm25: dict[Path, Bm25Index] = {}

    def collection(self, key: str, topics: str | None = None) -> Collection:
        """Open a collection of the experiment, with the queries named `topics`."""
        return self.open(self._name(key), topics)

    def _name(self, key: str) -> str:
        return self.experiment.collections[key].name or key

    def _folder_name(self, key: str) -> str:
        """Name of the indexes of a collection, which keys with other queries over it share."""
        name = self._name(key).strip("/").replace("/", "-")
        # Of dots alone it would be this folder, or the one above.
        return name if name.strip(".") else key

    def open(self, name: str, topics: str | None = None) -> Collection:
        """Open any collection by its name, or by its folder in the experiment's data."""
        folder = self.data / name
        if name != "demo" and folder.is_dir():
            return load_collection(folder, topics=topics)
        try:
            return load_collection(name, topics=topics)
        except ConfigError as err:
            raise ConfigError(f"{folder}: there is no such folder, and {err}") from err

    def queries(self, task: Task) -> list[Query]:
        """Read the queries of a task, as they are asked."""
        queries = self.collection(task.collection, task.topics).iter_queries()
        return [query for query in queries if task.has(query.query_id)]

    def translations(self, task: Task, system: str) -> list[Query]:
        """Read the queries of a task as a translation system gives them in English."""
        queries = read_topics(self.data / task.translations[system])
        return [query for query in queries if task.has(query.query_id)]

    def qrels(self, task: Task) -> list[Qrel]:
        """Read the judgements of a task; some ir_datasets ids judge a pair twice alike."""
        collection = self.collection(task.collection, task.topics)
        qrels = dict.fromkeys(collection.iter_qrels())
        return [qrel for qrel in qrels if task.has(qrel.query_id)]

    def check_inputs(self) -> None:
        """Meet what is missing or malformed before hours of work, not after."""
        for name, language in self.experiment.languages.items():
            for file in language.bitext:
                read_language_bitext(self.experiment, self.data, name, file)
            read_language_lexicon(self.experiment, self.data, name)
            if language.psq_lexicon is not None:
                read_probabilistic_lexicon(self.data / language.psq_lexicon)
        for student in self.experiment.students.values():
            if student.like is not None:
                read_topics(self.data / student.like)
        for task in self.experiment.tasks:
            self.qrels(task)
            own = {query.query_id for query in self.queries(task)}
            for system, file in task.translations.items():
                if own.isdisjoint(query.query_id for query in self.translations(task, system)):
                    raise DataError(
                        f"{self.data / file}: expected translations of the queries of topics "
                        f"{task.topics!r}, found other query ids. Check the path."
                    )
        if not all(self._bm25_folder(key).exists() for key in self.experiment.collections):
            find_anserini_jar()
            find_java()

    def qrels_file(self, task: Task) -> Path:
        """File of a task's judgements, written if it is not there."""
        path = self.output / "qrels" / f"qrels.{task.key}.txt"
        plan, qrels = self.experiment.collections[task.collection], self.qrels(task)
        settings = {"collection": self._name(task.collection), "topics": task.name}
        if not is_done(path, read_settings(path), settings):
            part = path.with_name(path.name + ".part")
            write_qrels(part, qrels, overwrite=True)
            source = {"source": plan.source or None, "licence": plan.licence or None}
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
        if plan.train_on is None:
            return self._untrained(folder)
        settings = asdict(plan)
        if not is_done(folder, settings_of(read_description(folder)), settings):
            start = load_encoder(self._untrained(self.output / "teacher-untrained"))
            train_teacher(
                start,
                open_triples(
                    self.open(plan.train_on),
                    plan.training,
                    cache=self.output / "teacher-negatives.trec",
                ),
                folder,
                settings=plan.training,
                origin=describe_origin(settings=settings),
                progress=self.progress,
            )
        return folder

    def _untrained(self, folder: Path) -> Path:
        plan, of_training = self.experiment.teacher, ("train_on", "training")
        settings = {key: value for key, value in asdict(plan).items() if key not in of_training}
        if is_done(folder, settings_of(read_description(folder)), settings):
            return folder
        encoder = load_encoder(plan.encoder)
        if plan.center_on is not None:
            docs = islice(self.open(plan.center_on).iter_docs(), plan.n_docs)
            texts = (doc.text for doc in docs)
            shown = track(texts, "Centring the teacher", plan.n_docs, progress=self.progress)
            encoder = center_encoder(encoder, shown, dim=plan.dim)
        save_teacher(encoder, folder, origin=describe_origin(settings=settings))
        return folder

    def student(self, student: Student) -> Path:
        """Folder of a student, trained if it is not there."""
        folder = self.students_folder / student.name
        lexicons = self.psq_lexicons if student.plan.gloss else {}
        settings = {"space": self.space}
        settings |= settings_of_training(self.experiment, self.data, student, lexicons)
        if not is_done(folder, settings_of(read_description(folder)), settings):
            switch_on = student.plan.switch_on
            if switch_on is None:
                parts = bitext_parts(self.experiment, self.data, student, lexicons)
                loss_factory = make_loss
            else:
                collection, loss_factory = self.open(switch_on), contrastive_loss
                parts = switched_parts(self.experiment, self.data, student, collection)
            distil(
                load_encoder(self.teacher),
                parts,
                folder,
                base=self.teacher,
                settings=student.settings,
                loss_factory=loss_factory,
                space=self.space,
                origin=describe_origin(settings=settings),
                progress=self.progress,
            )
        return folder

    @cached_property
    def psq_lexicons(self) -> dict[str, Path]:
        """Files of translation probabilities by language; see `optical_ir.psq_lexicons`."""
        folder, teacher = self.output / "lexicons", lambda: self.teacher
        return psq_lexicons(self.experiment, self.data, folder, teacher, progress=self.progress)

    def index_folder(self, key: str) -> Path:
        """Folder of the teacher's index of a collection, built if it is not there."""
        return self.build_index(
            key, lambda: fast_inference(load_encoder(self.teacher)), space=self.space
        )

    def build_index(
        self,
        key: str,
        load: Callable[[], MultiVectorEncoder | SingleVectorEncoder],
        *,
        space: str,
        suffix: str = "",
    ) -> Path:
        """Encode a collection with what `load` gives, if its index of that name is not there."""
        folder = self.output / "index" / (self._folder_name(key) + suffix)
        settings = {"collection": self._name(key), "teacher": self.space}
        if not is_done(folder, settings_of(read_json(folder / "index.json")), settings):
            collection = self.collection(key)
            docs = collection.iter_docs()
            shown = track(docs, f"Encoding {key}", collection.n_docs, progress=self.progress)
            build_index(
                shown, load(), folder, space=space, origin=describe_origin(settings=settings)
            )
        return folder

    @cached_property
    def space(self) -> str:
        """Key of the teacher's embedding space."""
        return str(read_description(self.teacher)["space"])

    def _bm25_folder(self, key: str) -> Path:
        return self.output / "bm25" / self._folder_name(key)

    def bm25(self, key: str) -> Bm25Index:
        """Lucene index of a collection, built if it is not there."""
        folder = self._bm25_folder(key)
        if folder not in self._bm25:
            settings = {"collection": self._name(key)}
            if not is_done(folder, read_settings(folder), settings):
                write_origin(folder, settings=settings)
                Bm25Index.build(self.collection(key).iter_docs(), folder).close()
            self._bm25[folder] = Bm25Index(folder)
        return self._bm25[folder]

    def _sources(self, task: Task, system: str) -> dict[str, Any]:
        """Facts of the translation that the name of a system ends in, and of BM25's engine."""
        names = [name for name in task.translations if system.endswith(f"-{name}")]
        file = task.translations[max(names, key=len)] if names else None
        facts = describe_translation(self.data / file) if file else {}
        return facts | ({"engine": describe_engine()} if system.startswith("bm25") else {})

    def run_file(self, task: Task, system: str) -> Path:
        """Path of a system's run, whether it is there or not."""
        return self.runs_folder / f"run.{task.key}.{system}.trec"

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
        """Search and write the run of a system, or read it if it is there.

        The origin has the seconds that the search took, encoding of queries included, and those
        of the processor.
        """
        path = self.run_file(task, system)
        settings = {
            "collection": self._name(task.collection),
            "topics": task.name,
            "queries": len(queries),
            "queries_sha256": digest_queries(queries),
            "hits": self.experiment.hits,
            "system": system,
            **settings,
        }
        if not is_done(path, read_settings(path), settings):
            part = path.with_name(path.name + ".part")
            start = time.perf_counter(), time.process_time()
            run = search()
            seconds = time.perf_counter() - start[0], time.process_time() - start[1]
            write_run(part, run, tag=system, overwrite=True)
            facts = {
                "seconds": round(seconds[0], 3),
                "cpu_seconds": round(seconds[1], 3),
                "seed": student["settings"]["seed"] if student else None,
                "student": student,
                **self._sources(task, system),
                **describe_run(part, self.qrels_file(task), measures=self.experiment.measures),
            }
            # First, since a run without it would count as one of other settings.
            write_origin(path, settings=settings, facts=facts, is_run=True)
            part.replace(path)
        found = read_run(path, may_be_empty=True)
        query_ids = [query.query_id for query in queries]
        answers = {query_id: found.get(query_id, []) for query_id in query_ids}
        return SystemRun(answers, frozenset(query_ids), read_json(Path(f"{path}.json")))
