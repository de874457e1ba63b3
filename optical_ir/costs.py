"""What the systems of an experiment cost: seconds of training, and of searching a query."""

from typing import Any

from optical_ir.pipeline import Pipeline
from optical_ir.stages import read_json
from optical_ir.training import read_log

TRAINING = ("training min", "training CPU min")
SEARCH = ("search ms a query", "search CPU ms a query")


def measure_costs(pipeline: Pipeline) -> dict[str, dict[str, float]]:
    """Read from logs and origins what each system cost when it was made.

    Returns
    -------
    dict of dict of float
        By system, then by what: minutes of training of all students of its first seed, and the
        mean milliseconds of searching a query, encoding it and loading the model included.
    """
    experiment = pipeline.experiment
    costs: dict[str, dict[str, float]] = {}
    for plan in experiment.students:
        students = {next(experiment.students_of(plan, task))[1].name for task in experiment.tasks}
        logs = [read_log(pipeline.students_folder / name / "log.jsonl") for name in students]
        ends: list[dict[str, Any]] = [
            next((row for row in reversed(log) if "seconds" in row), {}) for log in logs
        ]
        if all(ends):
            for column, field in zip(TRAINING, ("seconds", "cpu_seconds"), strict=True):
                costs.setdefault(plan, {})[column] = sum(end[field] for end in ends) / 60
    for system, origins in _origins(pipeline).items():
        n_queries = sum(origin["n_queries"] for origin in origins)
        for column, field in zip(SEARCH, ("seconds", "cpu_seconds"), strict=True):
            total = sum(origin[field] for origin in origins)
            costs.setdefault(system, {})[column] = 1000 * total / n_queries
    return costs


def _origins(pipeline: Pipeline) -> dict[str, list[dict[str, Any]]]:
    """Give the origins of all runs that say their seconds, by system."""
    found: dict[str, list[dict[str, Any]]] = {}
    for task in pipeline.experiment.tasks:
        names = {
            student.name: plan
            for plan in pipeline.experiment.students
            for _, student in pipeline.experiment.students_of(plan, task)
        }
        for path in sorted(pipeline.runs_folder.glob(f"run.{task.key}.*.trec.json")):
            origin = read_json(path)
            tag = origin.get("settings", {}).get("system", "")
            if "seconds" in origin and origin.get("n_queries"):
                found.setdefault(names.get(tag, tag), []).append(origin)
    return found
