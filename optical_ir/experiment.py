"""An experiment in a TOML file: teacher, students, tasks, all runs, and what to compare.

`optical-ir reproduce` and `optical-ir demo` run such files. Every stage leaves its output in one
folder under a name that says what it is; a stage whose output is there is not run again, so an
interrupted experiment goes on where it stopped, and experiments that share a folder share
teachers, indexes and students.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from optical_ir.errors import ConfigError
from optical_ir.evaluation import DEFAULT_MEASURES
from optical_ir.files import read_toml
from optical_ir.languages import normalize_language
from optical_ir.models.embedded import EMBEDDED_MODEL
from optical_ir.training import DistillationSettings

_T = TypeVar("_T")


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
    """

    encoder: str = EMBEDDED_MODEL
    center_on: str | None = None
    n_docs: int = 1000
    dim: int | None = None


@dataclass(frozen=True, kw_only=True)
class StudentPlan:
    """A student to distil: the language of its queries, its bitext, its settings."""

    query_lang: str
    bitext: str
    settings: DistillationSettings


@dataclass(frozen=True, kw_only=True)
class Task:
    """Queries of one language over the collection.

    Attributes
    ----------
    topics : str
        Name of the topics in the collection.
    query_lang : str
        ISO 639-1 code.
    student : str
        The student that answers them.
    translations : dict
        Topics files with English translations, by system; they may cover a part of the queries.
    """

    topics: str
    query_lang: str
    student: str
    translations: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """A collection, a teacher, students and tasks; `note` is printed below the summary."""

    name: str
    collection: str
    teacher: TeacherPlan
    students: dict[str, StudentPlan]
    tasks: tuple[Task, ...]
    note: str = ""
    measures: tuple[str, ...] = DEFAULT_MEASURES
    hits: int = 1000

    @property
    def collection_key(self) -> str:
        """Name of the collection in file names."""
        return Path(self.collection).name if self.collection != "demo" else "demo"


def read_experiment(path: Path | str) -> Experiment:
    """Read an experiment from a TOML file.

    Raises
    ------
    DataError
        If the file is missing or not UTF-8.
    ConfigError
        If it is not TOML, lacks a key, has an unknown one, or a task names an unknown student.
    """
    content = read_toml(path)
    try:
        return _parse(content)
    except (TypeError, ConfigError) as err:
        raise ConfigError(f"{path}: {err}") from err


def _parse(content: dict[str, Any]) -> Experiment:
    students = {
        name: _parse_student(f"students.{name}", values)
        for name, values in _table(content, "students").items()
    }
    tasks = tuple(_make(Task, "tasks", values) for values in content.pop("tasks", []))
    teacher = _make(TeacherPlan, "teacher", _table(content, "teacher"))
    if "measures" in content:
        content["measures"] = tuple(content["measures"])
    experiment = _make(
        Experiment,
        "the file",
        {**content, "teacher": teacher, "students": students, "tasks": tasks},
    )
    for task in tasks:
        normalize_language(task.query_lang)
        if task.student not in students:
            raise ConfigError(
                f"task {task.topics!r}: expected a student out of "
                f"{', '.join(students) or 'none'}, found {task.student!r}."
            )
    if not tasks:
        raise ConfigError("expected at least one [[tasks]], found none.")
    return experiment


def _parse_student(where: str, values: Mapping[str, Any]) -> StudentPlan:
    values = dict(values)
    plan: dict[str, Any] = {
        key: values.pop(key) for key in ("query_lang", "bitext") if key in values
    }
    settings = DistillationSettings.from_mapping(values)
    return _make(StudentPlan, where, {**plan, "settings": settings})


def _table(content: dict[str, Any], key: str) -> dict[str, Any]:
    table = content.pop(key, {})
    if not isinstance(table, dict):
        raise ConfigError(f"{key}: expected a table [{key}], found {table!r}.")
    return table


def _make(kind: type[_T], where: str, values: Mapping[str, Any]) -> _T:
    known = {item.name for item in fields(kind)}  # type: ignore[arg-type]
    if unknown := sorted(set(values) - known):
        raise ConfigError(
            f"{where}: unknown key {unknown[0]!r}; expected {', '.join(sorted(known))}."
        )
    try:
        return kind(**values)
    except TypeError as err:
        raise ConfigError(f"{where}: {str(err).partition('() ')[2]}.") from err
