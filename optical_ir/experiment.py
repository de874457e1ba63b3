"""An experiment in a TOML file: a teacher, students, and the tasks that all systems answer.

`optical-ir reproduce` and `optical-ir demo` run such files. Every stage leaves its output in one
folder under a name that says what it is; a stage whose output is there is not run again, so an
interrupted experiment goes on where it stopped, and experiments that share a folder share
teachers, indexes and students.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from optical_ir.errors import ConfigError
from optical_ir.evaluation import DEFAULT_MEASURES, check_measures
from optical_ir.files import read_toml
from optical_ir.languages import normalize_language
from optical_ir.models.embedded import EMBEDDED_MODEL
from optical_ir.models.single_vector import check_form
from optical_ir.toml import checked_table, from_table
from optical_ir.training import DistillationSettings, TeacherSettings


@dataclass(frozen=True, kw_only=True)
class TeacherPlan:
    """How the teacher is made.

    Attributes
    ----------
    encoder : str
        Any encoder name.
    center_on : str or None
        Collection whose first documents give the mean token vector; None leaves it uncentred.
    n_docs : int
        Documents used for that.
    dim : int or None
        Principal components kept; None keeps the encoder's width.
    train_on : str or None
        Collection of judged English queries to train on after that; None leaves it untrained.
    training : TeacherSettings
    """

    encoder: str = EMBEDDED_MODEL
    center_on: str | None = None
    n_docs: int = 1000
    dim: int | None = None
    train_on: str | None = None
    training: TeacherSettings = field(default_factory=TeacherSettings)


@dataclass(frozen=True, kw_only=True)
class CollectionPlan:
    """A collection, by its key in file names.

    Attributes
    ----------
    name : str or None
        `demo`, a folder or an ir_datasets id; the key if None.
    source, licence : str
        Noted beside the judgements.
    """

    name: str | None = None
    source: str = ""
    licence: str = ""


@dataclass(frozen=True, kw_only=True)
class LanguagePlan:
    """What there is to learn a query language from.

    Attributes
    ----------
    bitext : dict
        Files of sentence pairs, and how often each is drawn from, relative to the others.
    exclude_sources : tuple of str
        Sources, by the third column of the first of these files, whose pairs are left out.
    lexicon : str or None
        Bilingual dictionary for word-by-word translation and code-switching.
    """

    bitext: dict[str, float] = field(default_factory=dict)
    exclude_sources: tuple[str, ...] = ()
    lexicon: str | None = None

    def shares(self) -> dict[str, float]:
        """Give the part of the batches that each file gets; they sum to 1."""
        total = sum(self.bitext.values())
        return {file: share / total for file, share in self.bitext.items()}


@dataclass(frozen=True, kw_only=True)
class StudentPlan:
    """A kind of student: the languages it learns, and how.

    Attributes
    ----------
    languages : tuple of str
        Keys of the experiment's languages; all by default.
    each : bool
        One student a language, which answers the tasks of that language. Otherwise one student
        learns all of them, equally often, and answers every task.
    seeds : tuple of int
        One training each. The first takes part in the comparison, all in the spread.
    switch_on : str or None
        Collection of judged English queries. Given, the student does not learn from bitext but
        from these queries, code-switched by the languages' lexicons; the rival of that name.
    switch_probability : float
        Of a word to be replaced.
    settings : DistillationSettings
    """

    languages: tuple[str, ...] = ()
    each: bool = False
    seeds: tuple[int, ...] = (42,)
    switch_on: str | None = None
    switch_probability: float = 0.5
    settings: DistillationSettings = field(default_factory=DistillationSettings)


@dataclass(frozen=True, kw_only=True)
class Student:
    """One student of a plan; `name` is its folder and the tag of its runs."""

    name: str
    languages: tuple[str, ...]
    settings: DistillationSettings
    plan: StudentPlan


@dataclass(frozen=True, kw_only=True)
class Task:
    """Queries of one language over a collection.

    Attributes
    ----------
    collection : str
        Key of the collection.
    topics : str
        Name of the topics in the collection.
    query_lang : str
        Language code, as the keys of the languages.
    translations : dict
        Topics files with English translations, by system; they may cover a part of the queries.
    """

    collection: str
    topics: str
    query_lang: str
    translations: dict[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Name of the task in file names."""
        return f"{self.collection}-{self.topics}"


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """A teacher, collections, languages, students and tasks.

    Attributes
    ----------
    one_vector : tuple of str
        Forms of one vector a text to search with too, as `plain`, `mean` or `muvera-20x1x64`; see
        `optical_ir.models.single_vector`. The first student is searched in them.
    note : str
        Printed below the summary.
    """

    name: str
    teacher: TeacherPlan
    collections: dict[str, CollectionPlan]
    languages: dict[str, LanguagePlan]
    students: dict[str, StudentPlan]
    tasks: tuple[Task, ...]
    one_vector: tuple[str, ...] = ()
    note: str = ""
    measures: tuple[str, ...] = DEFAULT_MEASURES
    hits: int = 1000

    def students_of(self, plan_name: str, task: Task) -> Iterator[tuple[str, Student]]:
        """Give the students of a plan that answer a task, one a seed, by their system.

        The system of the first seed is the plan's name; the others say their seed, as in
        ``optical-seed43``.
        """
        plan = self.students[plan_name]
        languages = (task.query_lang,) if plan.each else plan.languages
        name = f"{plan_name}-{task.query_lang}" if plan.each else plan_name
        for number, seed in enumerate(plan.seeds):
            suffix = f"-seed{seed}" if number else ""
            settings = replace(plan.settings, seed=seed)
            student = Student(name=name + suffix, languages=languages, settings=settings, plan=plan)
            yield plan_name + suffix, student

    def tasks_by_collection(self) -> Iterator[tuple[str, list[Task]]]:
        """Give the tasks of each collection that has any."""
        for key in self.collections:
            if tasks := [task for task in self.tasks if task.collection == key]:
                yield key, tasks


def read_experiment(path: Path | str) -> Experiment:
    """Read an experiment from a TOML file.

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
        return _parse(content)
    except ConfigError as err:
        raise ConfigError(f"{path}: {err}") from err


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
    own = ("languages", "each", "seeds", "switch_on", "switch_probability")
    plan = {key: values.pop(key) for key in own if key in values}
    settings = from_table(DistillationSettings, where, values)
    return from_table(StudentPlan, where, {"languages": languages, **plan, "settings": settings})


def _table(content: dict[str, Any], key: str) -> Mapping[str, Any]:
    return checked_table(key, content.pop(key, {}))


def _check(experiment: Experiment) -> None:
    check_measures(experiment.measures)
    for form in experiment.one_vector:
        check_form(form)
    if not experiment.students:
        raise ConfigError("expected at least one [students.NAME], found none.")
    for name, language in experiment.languages.items():
        _check_language(name, language)
    for name, student in experiment.students.items():
        _check_student(experiment, name, student)
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
        _check_known(f"task {task.topics!r}", "collection", task.collection, experiment.collections)
        if keys.count(task.key) > 1:
            raise ConfigError(f"expected one task for topics {task.topics!r}, found more.")
    systems = [name for task in experiment.tasks for name in task.translations]
    _check_names(experiment.name, *experiment.collections, *experiment.students, *keys, *systems)


def _check_language(name: str, language: LanguagePlan) -> None:
    normalize_language(name)
    for file, share in language.bitext.items():
        if not share > 0:
            raise ConfigError(
                f"languages.{name}: expected a share above 0 for {file}, found {share!r}."
            )


def _check_student(experiment: Experiment, name: str, student: StudentPlan) -> None:
    where = f"students.{name}"
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


def _check_known(where: str, kind: str, name: str, known: Any) -> None:
    if name not in known:
        expected = ", ".join(known) or "none"
        raise ConfigError(f"{where}: expected a {kind} out of {expected}, found {name!r}.")


def _check_names(*names: str) -> None:
    for name in names:
        if not name or set(name) & set("/\\ \t\n"):
            raise ConfigError(
                f"expected names without blanks and slashes, which file names and runs can hold, "
                f"found {name!r}."
            )
