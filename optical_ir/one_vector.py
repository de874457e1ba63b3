"""What an experiment finds with one vector a text, as engines like Faiss and Lucene hold.

All forms are searched exactly here, so that the figures are those of the vectors and not of an
engine's approximation. What a form with candidates for MaxSim finds is also re-ranked.
"""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from optical_ir.experiment import Task
from optical_ir.files import sha256_file
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
from optical_ir.pipeline import (
    ZERO_SHOT,
    Pipeline,
    SystemRun,
    student_system,
)
from optical_ir.records import Query, ScoredDoc
from optical_ir.retrieval.dense import pool_index, search_dense
from optical_ir.retrieval.index import MultiVectorIndex
from optical_ir.retrieval.queries import encode_for
from optical_ir.retrieval.rerank import rerank
from optical_ir.retrieval.search import search_index
from optical_ir.stages import index_hash, student_settings
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
        return search_dense(self.index.doc_ids, self._doc_vectors, queries, vectors, k=k)


def run_one_vector(pipeline: Pipeline) -> dict[str, dict[str, SystemRun]]:
    """Run what is missing of an experiment's forms; give the runs by topics and system.

    Students are searched in every form, the untrained teacher only in those that stand alone.
    """
    tasks = pipeline.experiment.tasks
    runs: dict[str, dict[str, SystemRun]] = {task.topics: {} for task in tasks}
    for form in pipeline.experiment.one_vector:
        search = OneVectorSearch(form, _index_folder(pipeline, form))
        for task in tasks:
            system = student_system(task.student)
            student = pipeline.student(task.student)
            runs[task.topics] |= _run_form(pipeline, task, search, system, student)
            if not is_muvera(form):
                teacher = pipeline.teacher
                runs[task.topics] |= _run_form(pipeline, task, search, ZERO_SHOT, teacher)
    return runs


def _index_folder(pipeline: Pipeline, form: str) -> Path:
    if form != PLAIN:
        return pipeline.index_folder
    return pipeline.build_index(
        f"{pipeline.experiment.collection_key}-{PLAIN}",
        lambda: plain_encoder(pipeline.teacher),
        # Not the teacher's token embeddings, which late interaction would take it for.
        space=f"{pipeline.space}-{PLAIN}",
    )


def _run_form(
    pipeline: Pipeline, task: Task, search: OneVectorSearch, system: str, encoder: Path
) -> dict[str, SystemRun]:
    queries = list(pipeline.collection(task.topics).iter_queries())
    k = pipeline.experiment.hits
    settings = {
        "encoder": sha256_file(encoder / "model.safetensors"),
        "index": index_hash(search.index.folder),
        "form": search.form,
    }

    def first_stage() -> Run:
        return search.search(encoder, queries, k=k)

    name = f"{system}-{search.form}"
    student = student_settings(encoder)
    runs = {name: pipeline.make_run(task, name, queries, settings, first_stage, student=student)}
    if is_muvera(search.form):
        candidates = runs[name].run

        def maxsim() -> Run:
            vectors = encode_for(search.index, str(encoder), queries)
            return rerank(search.index, candidates, queries, vectors, k=k)

        name = f"{name}-maxsim"
        runs[name] = pipeline.make_run(task, name, queries, settings, maxsim, student=student)
    return runs
