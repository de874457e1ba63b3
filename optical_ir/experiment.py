"""An experiment in a TOML file: teacher, students, tasks, all runs, and what to compare.

`optical-ir reproduce` and `optical-ir demo` run such files. Every stage leaves its output in one
folder under a name that says what it is; a stage whose output is there is not run again, so an
interrupted experiment goes on where it stopped, and experiments that share a folder share
teachers, indexes and students.
"""

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from optical_ir.errors import ConfigError
from optical_ir.evaluation import DEFAULT_MEASURES, check_measures
from optical_ir.files import read_toml
from optical_ir.languages import normalize_language
from optical_ir.models.embedded import EMBEDDED_MODEL
from optical_ir.models.single_vector import check_form
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
    """A collection, a teacher, students and tasks.

    Attributes
    ----------
    one_vector : tuple of str
        Forms of one vector a text to search with too, as `plain`, `mean` or `muvera-20x1x64`; see
        `optical_ir.models.single_vector`.
    source, licence : str
        Of the collection; noted beside the judgements.
    note : str
        Printed below the summary.
    """

    name: str
    collection: str
    teacher: TeacherPlan
    students: dict[str, StudentPlan]
    tasks: tuple[Task, ...]
    one_vector: tuple[str, ...] = ()
    source: str = ""
    licence: str = ""
    note: str = ""
    measures: tuple[str, ...] = DEFAULT_MEASURES
    hits: int = 1000

    @property
    def collection_key(self) -> str:
        """Name of the collection in file names."""
        return self.collection.strip("/").replace("/", "-")


def read_experiment(path: Path | str) -> Experiment:
    """Read an experiment from a TOML file.

    Raises
    ------
    DataError
        If the file is missing or not UTF-8.
    ConfigError
        If it is not TOML, lacks a key, has an unknown one or a value of the wrong type, a name
        cannot be part of a file name, or a task names an unknown student.
    """
    content = read_toml(path)
    try:
        return _parse(content)
    except ConfigError as err:
        raise ConfigError(f"{path}: {err}") from err


def _parse(content: dict[str, Any]) -> Experiment:
    students = {
        name: _parse_student(f"students.{name}", values)
        for name, values in _table(content, "students").items()
    }
    tables = content.pop("tasks", [])
    if not isinstance(tables, list):
        raise ConfigError(f"tasks: expected tables [[tasks]], found {tables!r}.")
    tasks = tuple(from_table(Task, "tasks", values) for values in tables)
    teacher = from_table(TeacherPlan, "teacher", _table(content, "teacher"))
    for key in ("measures", "one_vector"):
        if isinstance(content.get(key), list):
            content[key] = tuple(content[key])
    experiment = from_table(
        Experiment,
        "the file",
        {**content, "teacher": teacher, "students": students, "tasks": tasks},
    )
    _check(experiment)
    return experiment


def _check(experiment: Experiment) -> None:
    students, tasks = experiment.students, experiment.tasks
    check_measures(experiment.measures)
    for form in experiment.one_vector:
        check_form(form)
    if not tasks:
        raise ConfigError("expected at least one [[tasks]], found none.")
    languages = [plan.query_lang for plan in students.values()]
    for language in (*languages, *(task.query_lang for task in tasks)):
        normalize_language(language)
    topics = [task.topics for task in tasks]
    for task in tasks:
        if task.student not in students:
            raise ConfigError(
                f"task {task.topics!r}: expected a student out of "
                f"{', '.join(students) or 'none'}, found {task.student!r}."
            )
        if topics.count(task.topics) > 1:
            raise ConfigError(f"expected one task for topics {task.topics!r}, found more.")
    systems = [name for task in tasks for name in task.translations]
    _check_names(experiment.name, *students, *topics, *systems)
    for key, number in (("hits", experiment.hits), ("n_docs", experiment.teacher.n_docs)):
        if number < 1:
            raise ConfigError(f"{key}: expected 1 or more, found {number}.")


def _check_names(*names: str) -> None:
    for name in names:
        if not name or set(name) & set("/\\ \t\n"):
            raise ConfigError(
                f"expected names without blanks and slashes, which file names and runs can hold, "
                f"found {name!r}."
            )


def _parse_student(where: str, values: Any) -> StudentPlan:
    values = dict(_checked_table(where, values))
    plan: dict[str, Any] = {
        key: values.pop(key) for key in ("query_lang", "bitext") if key in values
    }
    settings = from_table(DistillationSettings, where, values)
    return from_table(StudentPlan, where, {**plan, "settings": settings})


def _table(content: dict[str, Any], key: str) -> Mapping[str, Any]:
    return _checked_table(key, content.pop(key, {}))


def _checked_table(where: str, values: Any) -> Mapping[str, Any]:
    if not isinstance(values, dict):
        raise ConfigError(f"{where}: expected a table, found {values!r}.")
    return values


def from_table(kind: type[_T], where: str, values: Any) -> _T:
    """Fill a dataclass from a TOML table.

    Parameters
    ----------
    kind : type
        The dataclass.
    where : str
        What messages call the table.
    values : dict
        The table.

    Raises
    ------
    ConfigError
        If it is no table, lacks a key, has an unknown one or a value of the wrong type, or the
        dataclass refuses a value.
    """
    hints = get_type_hints(kind)
    for key, value in _checked_table(where, values).items():
        if key not in hints:
            raise ConfigError(f"{where}: unknown key {key!r}; expected {', '.join(sorted(hints))}.")
        if not _fits(value, hints[key]):
            expected = getattr(hints[key], "__name__", hints[key])
            raise ConfigError(f"{where}: {key}: expected {expected}, found {value!r}.")
    for item in fields(kind):  # type: ignore[arg-type]
        is_needed = item.default is MISSING and item.default_factory is MISSING
        if is_needed and item.name not in values:
            raise ConfigError(f"{where}: expected a key {item.name!r}, found none.")
    try:
        return kind(**values)
    except ConfigError as err:
        raise ConfigError(f"{where}: {err}") from err


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value is of an annotated type; integers are fine as floats."""
    inner = get_args(hint)
    if get_origin(hint) is UnionType:
        return any(_fits(value, kind) for kind in inner)
    if get_origin(hint) is dict:
        return isinstance(value, dict) and all(_fits(item, inner[1]) for item in value.values())
    if get_origin(hint) is tuple:
        return isinstance(value, tuple) and all(_fits(item, inner[0]) for item in value)
    if isinstance(value, bool):
        return hint is bool
    return isinstance(value, (int, float) if hint is float else hint)
