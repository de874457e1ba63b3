"""What an experiment finds with one vector a text, as engines like Faiss and Lucene hold.

All forms are searched exactly here, so that the figures are those of the vectors and not of an
engine's approximation. What a form with candidates for MaxSim finds is also re-ranked.
"""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from optical_ir.experiment import Task
from optical_ir.models import load_encoder
from optical_ir.models.export import fold_encoder
from optical_ir.models.muvera import Muvera, MuveraSettings
from optical_ir.models.single_vector import (
    PLAIN,
    CheckpointEncoder,
    MeanPooling,
    PoolingEncoder,
    TokenPooling,
    Vectors,
    is_muvera,
)
from optical_ir.pipeline import Pipeline, SystemRun
from optical_ir.records import Query, ScoredDoc
from optical_ir.retrieval.dense import pool_index, search_dense
from optical_ir.retrieval.index import MultiVectorIndex
from optical_ir.retrieval.queries import encode_for
from optical_ir.retrieval.rerank import rerank
from optical_ir.retrieval.search import search_index
from optical_ir.stages import index_hash, student_settings, weights_hash
from optical_ir.systems import ZERO_SHOT
from optical_ir.trec import Run


def plain_encoder(encoder: Path) -> CheckpointEncoder:
    """Give an encoder as the plain checkpoint that `optical-ir export` would write."""
    return CheckpointEncoder(fold_encoder(load_encoder(encoder)))


class OneVectorSearch:
    """Searches the documents of a collection in one form.

    Parameters
    ----------
    form : str
    index_folder : Path
        The teacher's multi-vector index; for `plain`, an index of the plain checkpoint's vectors.
    """

    def __init__(self, form: str, index_folder: Path) -> None:
        self.form = form
        self.index = MultiVectorIndex.open(index_folder)

    @cached_property
    def _pooling(self) -> TokenPooling:
        dim = self.index.dim
        if is_muvera(self.form):
            return Muvera(MuveraSettings.from_name(self.form), dim)
        return MeanPooling(dim)

    @cached_property
    def _doc_vectors(self) -> Vectors:
        return pool_index(self.index, self._pooling)

    def search(
        self, encoder: Path, queries: Sequence[Query], *, k: int
    ) -> dict[str, list[ScoredDoc]]:
        """Rank the documents for each query that an encoder, given by its folder, reads."""
        texts = [query.text for query in queries]
        if self.form == PLAIN:
            vectors = plain_encoder(encoder).encode_queries(texts)
            return search_index(self.index, queries, list(vectors[:, None, :]), k=k)
        model = PoolingEncoder(load_encoder(encoder), self._pooling)
        vectors = model.encode_queries(texts)
        live = np.flatnonzero(self.index.live)
        doc_ids = [self.index.doc_ids[row] for row in live]
        return search_dense(doc_ids, self._doc_vectors[live], queries, vectors, k=k)


def run_one_vector(pipeline: Pipeline) -> dict[str, dict[str, SystemRun]]:
    """Run what is missing of an experiment's forms; give the runs by task and system.

    The first student is searched in every form, the teacher only in those that stand alone.
    """
    experiment = pipeline.experiment
    runs: dict[str, dict[str, SystemRun]] = {task.key: {} for task in experiment.tasks}
    plan = next(iter(experiment.students))
    for form in experiment.one_vector:
        for collection, tasks in experiment.tasks_by_collection():
            search = OneVectorSearch(form, _index_folder(pipeline, collection, form))
            for task in tasks:
                system, student = next(experiment.students_of(plan, task))
                encoders = {system: (student.name, pipeline.student(student))}
                if not is_muvera(form):
                    encoders[ZERO_SHOT] = (ZERO_SHOT, pipeline.teacher)
                for name, (tag, encoder) in encoders.items():
                    runs[task.key] |= _run_form(pipeline, task, search, name, tag, encoder)
    return runs


def _index_folder(pipeline: Pipeline, collection: str, form: str) -> Path:
    if form != PLAIN:
        return pipeline.index_folder(collection)
    return pipeline.build_index(
        collection,
        lambda: plain_encoder(pipeline.teacher),
        # Not the teacher's token embeddings, which late interaction would take it for.
        space=f"{pipeline.space}-{PLAIN}",
        suffix=f"-{PLAIN}",
    )


def _run_form(
    pipeline: Pipeline, task: Task, search: OneVectorSearch, system: str, tag: str, encoder: Path
) -> dict[str, SystemRun]:
    queries = pipeline.queries(task)
    k = pipeline.experiment.hits
    settings = {
        "encoder": weights_hash(encoder),
        "index": index_hash(search.index.folder),
        "form": search.form,
    }

    def first_stage() -> Run:
        return search.search(encoder, queries, k=k)

    name, tag = f"{system}-{search.form}", f"{tag}-{search.form}"
    student = student_settings(encoder)
    runs = {name: pipeline.make_run(task, tag, queries, settings, first_stage, student=student)}
    if is_muvera(search.form):
        candidates = runs[name].run

        def maxsim() -> Run:
            vectors = encode_for(search.index, str(encoder), queries)
            return rerank(search.index, candidates, queries, vectors, k=k)

        runs[f"{name}-maxsim"] = pipeline.make_run(
            task, f"{tag}-maxsim", queries, settings, maxsim, student=student
        )
    return runs
