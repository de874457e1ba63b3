"""Reading an experiment from a TOML file, and refusing mistakes in it before any work.

`optical-ir reproduce` and `optical-ir demo` run such files; docs/experiments.md describes them.
"""

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from optical_ir.errors import ConfigError
from optical_ir.evaluation import check_measures
from optical_ir.experiment import (
    HALVES,
    CollectionPlan,
    Experiment,
    LanguagePlan,
    StudentPlan,
    Task,
    TeacherPlan,
)
from optical_ir.files import read_toml
from optical_ir.glosses import GLOSSED_LENGTH
from optical_ir.languages import normalize_language
from optical_ir.models.single_vector import check_form
from optical_ir.retrieval.fusion import FusionSettings
from optical_ir.toml import checked_table, from_table
from optical_ir.training import DistillationSettings, TeacherSettings
from optical_ir.word_alignment import ALIGNERS


def read_experiment(path: Path | str, *, label: str | None = None) -> Experiment:
    """Read an experiment from a TOML file.

    Parameters
    ----------
    label : str, optional
        See `Experiment.labelled`.

    Raises
    ------
    DataError
        If the file is missing or not UTF-8.
    ConfigError
        If it is not TOML, lacks a key, has an unknown one or a value of the wrong type, a name
        cannot be part of a file name, or a name stands for nothing in the file.
    """
    content = read_toml(path)
    try:
        experiment = _parse(content)
    except ConfigError as err:
        raise ConfigError(f"{path}: {err}") from err
    if label is None:
        return experiment
    _check_names(label)
    return experiment.labelled(label)


def _parse(content: dict[str, Any]) -> Experiment:
    languages = {
        name: _parse_language(f"languages.{name}", values)
        for name, values in _table(content, "languages").items()
    }
    tables = content.pop("tasks", [])
    if not isinstance(tables, list):
        raise ConfigError(f"tasks: expected tables [[tasks]], found {tables!r}.")
    parsed = {
        "teacher": _parse_teacher(_table(content, "teacher")),
        "collections": {
            name: from_table(CollectionPlan, f"collections.{name}", values)
            for name, values in _table(content, "collections").items()
        },
        "languages": languages,
        "students": {
            name: _parse_student(f"students.{name}", values, tuple(languages))
            for name, values in _table(content, "students").items()
        },
        "fusion": from_table(FusionSettings, "fusion", _with_tuples(_table(content, "fusion"))),
        "tasks": tuple(from_table(Task, "tasks", values) for values in tables),
    }
    experiment = from_table(Experiment, "the file", {**_with_tuples(content), **parsed})
    _check(experiment)
    return experiment


def _parse_teacher(values: Mapping[str, Any]) -> TeacherPlan:
    if "training" in values and "train_on" not in values:
        raise ConfigError("teacher: expected train_on beside [teacher.training], found none.")
    training = from_table(TeacherSettings, "teacher.training", values.get("training", {}))
    return from_table(TeacherPlan, "teacher", {**values, "training": training})


def _parse_language(where: str, values: Any) -> LanguagePlan:
    values = _with_tuples(checked_table(where, values))
    if isinstance(values.get("bitext"), str):
        values["bitext"] = {values["bitext"]: 1.0}
    return from_table(LanguagePlan, where, values)


def _with_tuples(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(item) if isinstance(item, list) else item for key, item in values.items()}


def _parse_student(where: str, values: Any, languages: tuple[str, ...]) -> StudentPlan:
    values = _with_tuples(checked_table(where, values))
    if "seed" in values:
        raise ConfigError(f"{where}: expected seeds, a list, found seed. Write seeds = [42].")
    own = {item.name for item in fields(StudentPlan)} - {"settings"}
    plan = {key: values.pop(key) for key in own if key in values}
    if plan.get("gloss"):
        values.setdefault("max_length", GLOSSED_LENGTH)
    settings = from_table(DistillationSettings, where, values)
    return from_table(StudentPlan, where, {"languages": languages, **plan, "settings": settings})


def _table(content: dict[str, Any], key: str) -> Mapping[str, Any]:
    return checked_table(key, content.pop(key, {}))


def _check(experiment: Experiment) -> None:
    check_measures(experiment.measures)
    for form in experiment.one_vector:
        check_form(form)
    if experiment.psq_aligner is not None:
        _check_known("the file", "psq_aligner", experiment.psq_aligner, ALIGNERS)
    elif experiment.psq_dictionary:
        raise ConfigError(
            "psq_dictionary: expected a psq_aligner that learns from dictionaries, found none. "
            f"Name one of {', '.join(ALIGNERS)}, or leave psq_dictionary out."
        )
    if experiment.fusion.weights is not None and len(experiment.fusion.weights) != 2:
        raise ConfigError(
            "fusion: expected two weights, of the student and of BM25, found "
            f"{list(experiment.fusion.weights)}."
        )
    if not experiment.students:
        raise ConfigError("expected at least one [students.NAME], found none.")
    for name, language in experiment.languages.items():
        _check_language(name, language)
    for name, student in experiment.students.items():
        _check_student(experiment, name, student)
    _check_glosses(experiment)
    _check_tasks(experiment)
    for key, number in (("hits", experiment.hits), ("n_docs", experiment.teacher.n_docs)):
        if number < 1:
            raise ConfigError(f"{key}: expected 1 or more, found {number}.")


def _check_tasks(experiment: Experiment) -> None:
    if not experiment.tasks:
        raise ConfigError("expected at least one [[tasks]], found none.")
    keys = [task.key for task in experiment.tasks]
    for task in experiment.tasks:
        normalize_language(task.query_lang)
        if task.half is not None:
            _check_known(f"task {task.topics!r}", "half", task.half, HALVES)
        _check_known(f"task {task.topics!r}", "collection", task.collection, experiment.collections)
        if keys.count(task.key) > 1:
            raise ConfigError(f"expected one task for topics {task.topics!r}, found more.")
    systems = [name for task in experiment.tasks for name in task.translations]
    _check_names(experiment.name, *experiment.collections, *experiment.students, *keys, *systems)


def _check_language(name: str, language: LanguagePlan) -> None:
    normalize_language(name)
    if not language.share > 0:
        raise ConfigError(f"languages.{name}: share: expected above 0, found {language.share!r}.")
    for file, share in language.bitext.items():
        if not share > 0:
            raise ConfigError(
                f"languages.{name}: expected a share above 0 for {file}, found {share!r}."
            )


def _check_student(experiment: Experiment, name: str, student: StudentPlan) -> None:
    where = f"students.{name}"
    if student.max_pairs is not None and student.max_pairs < 1:
        raise ConfigError(f"{where}: max_pairs: expected 1 or more, found {student.max_pairs}.")
    for key in ("source_exponent", "misaligned", "switch_probability"):
        if not 0 <= getattr(student, key) <= 1:
            raise ConfigError(f"{where}: {key}: expected 0 to 1, found {getattr(student, key)!r}.")
    if not 0 < student.like_share <= 1:
        raise ConfigError(
            f"{where}: like_share: expected above 0 and at most 1, found {student.like_share!r}."
        )
    if not student.languages or not student.seeds:
        raise ConfigError(f"{where}: expected at least one language and one seed.")
    for language in student.languages:
        _check_known(where, "language", language, experiment.languages)
        plan = experiment.languages[language]
        kind, found = ("lexicon", plan.lexicon) if student.switch_on else ("bitext", plan.bitext)
        if not found:
            raise ConfigError(f"languages.{language}: expected a {kind} for {where}, found none.")
    if not student.each:
        return
    for task in experiment.tasks:
        _check_known(f"task {task.key!r}", "language", task.query_lang, student.languages)


def _check_glosses(experiment: Experiment) -> None:
    glossed = {name: plan for name, plan in experiment.students.items() if plan.gloss}
    for name, plan in glossed.items():
        where = f"students.{name}"
        if plan.switch_on is not None:
            raise ConfigError(f"{where}: expected gloss or switch_on, found both. Leave one out.")
        for language in plan.languages:
            given = experiment.languages[language].psq_lexicon or experiment.psq_aligner
            if given is None:
                raise ConfigError(
                    f"{where}: gloss: expected a psq_lexicon of {language}, or a psq_aligner to "
                    "learn one, found neither. Give one of them."
                )
    first = next(iter(experiment.students))
    if experiment.one_vector and first in glossed:
        raise ConfigError(
            f"one_vector: expected a first student without gloss, found {first}. Put another first."
        )


def _check_known(where: str, kind: str, name: str, known: Any) -> None:
    if name not in known:
        expected = ", ".join(known) or "none"
        raise ConfigError(f"{where}: expected a {kind} out of {expected}, found {name!r}.")


def _check_names(*names: str) -> None:
    for name in names:
        if name in (".", "..") or not name.isprintable() or not name or set(name) & set("/\\ "):
            raise ConfigError(
                f"expected names without blanks and slashes, which file names and runs can hold, "
                f"found {name!r}."
            )
