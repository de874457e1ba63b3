"""The systems of an experiment: what answers a task, and with which encoder or queries."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from optical_ir.collections import (
    read_gloss_lexicon,
    read_probabilistic_lexicon,
    translate_words,
)
from optical_ir.console import track
from optical_ir.experiment import Task
from optical_ir.files import sha256_file
from optical_ir.pipeline import Pipeline, SystemRun
from optical_ir.records import Query, ScoredDoc
from optical_ir.retrieval.fusion import fuse_runs
from optical_ir.retrieval.psq import search_psq
from optical_ir.retrieval.two_stage import search_tokens
from optical_ir.stages import index_hash, read_json, student_settings, weights_hash
from optical_ir.training_data import read_language_lexicon

ZERO_SHOT = "zero-shot"
GLOSSED = "zero-shot-glossed"
TEACHER = "teacher"
BM25 = "bm25"
DICTIONARY = "dictionary"
PSQ = "psq"
FUSION = "fusion"


def run_systems(pipeline: Pipeline) -> dict[str, dict[str, SystemRun]]:
    """Run what is missing of an experiment; give the runs by task and system, in table order."""
    pipeline.check_inputs()
    lexicons = pipeline.psq_lexicons
    tasks = pipeline.experiment.tasks
    shown = track(tasks, "Tasks", len(tasks), progress=pipeline.progress)
    return {task.key: _run_task(pipeline, task, lexicons.get(task.query_lang)) for task in shown}


def _run_task(pipeline: Pipeline, task: Task, psq_lexicon: Path | None) -> dict[str, SystemRun]:
    pipeline.qrels_file(task)
    own = pipeline.queries(task)
    translated = {name: pipeline.translations(task, name) for name in task.translations}
    runs = {}
    for plan in pipeline.experiment.students:
        for system, student in pipeline.experiment.students_of(plan, task):
            encoder, gloss = pipeline.student(student), psq_lexicon if student.plan.gloss else None
            runs[system] = _dense(pipeline, task, student.name, encoder, own, gloss)
    runs[ZERO_SHOT] = _dense(pipeline, task, ZERO_SHOT, pipeline.teacher, own)
    if psq_lexicon is not None and any(p.gloss for p in pipeline.experiment.students.values()):
        runs[GLOSSED] = _dense(pipeline, task, GLOSSED, pipeline.teacher, own, psq_lexicon)
    for name, queries in translated.items():
        system = f"{TEACHER}-{name}"
        runs[system] = _dense(pipeline, task, system, pipeline.teacher, queries)
    runs[BM25] = _sparse(pipeline, task, BM25, own)
    if psq_lexicon is not None:
        runs[f"{BM25}-{PSQ}"] = _structured(pipeline, task, psq_lexicon, own)
        runs[f"{FUSION}-{PSQ}"] = _fused(pipeline, task, runs, PSQ)
    lexicon = read_language_lexicon(pipeline.experiment, pipeline.data, task.query_lang)
    if lexicon is not None:
        looked_up = [query._replace(text=translate_words(query.text, lexicon)) for query in own]
        translated = {DICTIONARY: looked_up, **translated}
    for name, queries in translated.items():
        runs[f"{BM25}-{name}"] = _sparse(pipeline, task, f"{BM25}-{name}", queries)
    for name in translated:
        runs[f"{FUSION}-{name}"] = _fused(pipeline, task, runs, name)
    return runs


def _fused(
    pipeline: Pipeline, task: Task, runs: dict[str, SystemRun], translation: str
) -> SystemRun:
    """Fuse the first student with BM25 on a translation, for the queries that it has."""
    plan = next(iter(pipeline.experiment.students))
    _, student = next(pipeline.experiment.students_of(plan, task))
    dense, sparse = runs[plan], runs[f"{BM25}-{translation}"]
    covered = [query for query in pipeline.queries(task) if query.query_id in sparse.query_ids]
    own = [
        {query.query_id: system.run[query.query_id] for query in covered}
        for system in (dense, sparse)
    ]
    fusion = pipeline.experiment.fusion

    def fuse() -> dict[str, list[ScoredDoc]]:
        return fuse_runs(own, fusion, k=pipeline.experiment.hits)

    encoder = pipeline.student(student)
    settings = {
        "encoder": weights_hash(encoder),
        "translation": translation,
        "runs": [
            sha256_file(pipeline.run_file(task, name))
            for name in (student.name, f"{BM25}-{translation}")
        ],
        **asdict(fusion),
    }
    system = f"{student.name}-{FUSION}-{translation}"
    return pipeline.make_run(
        task, system, covered, settings, fuse, student=student_settings(encoder)
    )


def _dense(
    pipeline: Pipeline,
    task: Task,
    system: str,
    encoder: Path,
    queries: Sequence[Query],
    gloss: Path | None = None,
) -> SystemRun:
    folder, word_forms = pipeline.index_folder(task.collection), pipeline.experiment.word_forms
    settings: dict[str, Any] = {
        "encoder": weights_hash(encoder),
        "index": index_hash(folder),
    }
    if gloss is not None:
        settings |= {"psq_lexicon": sha256_file(gloss)}
        # Left out where it is off, as in runs that were made before there was such a setting.
        settings |= {"word_forms": True} if word_forms else {}

    def search() -> dict[str, list[ScoredDoc]]:
        lexicon = None if gloss is None else read_gloss_lexicon(gloss, word_forms=word_forms)
        k = pipeline.experiment.hits
        return search_tokens(str(encoder), folder, queries, k=k, lexicon=lexicon)

    student = student_settings(encoder)
    return pipeline.make_run(task, system, queries, settings, search, student=student)


def _sparse(pipeline: Pipeline, task: Task, system: str, queries: Sequence[Query]) -> SystemRun:
    index = pipeline.bm25(task.collection)

    def search() -> dict[str, list[ScoredDoc]]:
        return index.search(queries, k=pipeline.experiment.hits)

    settings = {"index": read_json(index.folder / "index.json")["corpus_sha256"]}
    return pipeline.make_run(task, system, queries, settings, search)


def _structured(
    pipeline: Pipeline, task: Task, psq_lexicon: Path, queries: Sequence[Query]
) -> SystemRun:
    index = pipeline.bm25(task.collection)

    def search() -> dict[str, list[ScoredDoc]]:
        lexicon = read_probabilistic_lexicon(psq_lexicon)
        return search_psq(index, queries, lexicon, k=pipeline.experiment.hits)

    corpus = read_json(index.folder / "index.json")["corpus_sha256"]
    settings = {"index": corpus, "psq_lexicon": sha256_file(psq_lexicon)}
    return pipeline.make_run(task, f"{BM25}-{PSQ}", queries, settings, search)
