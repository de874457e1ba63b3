"""What the systems of an experiment cost: seconds of training, and of searching a query."""

from typing import Any

from optical_ir.matrix import Runs
from optical_ir.pipeline import Pipeline
from optical_ir.training import read_log

TRAINING = ("training min", "training CPU min")
SEARCH = ("search ms a query", "search CPU ms a query")
_CLOCKS = ("seconds", "cpu_seconds")


def measure_costs(pipeline: Pipeline, runs: Runs) -> dict[str, dict[str, float]]:
    """Read from logs and origins what each system cost when it was made.

    Parameters
    ----------
    runs : mapping
        By task and system. Those made before origins had seconds do not count.

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
            for column, clock in zip(TRAINING, _CLOCKS, strict=True):
                costs.setdefault(plan, {})[column] = sum(end[clock] for end in ends) / 60
    for system in dict.fromkeys(system for systems in runs.values() for system in systems):
        origins = [systems[system].origin for systems in runs.values() if system in systems]
        timed = [origin for origin in origins if "seconds" in origin]
        n_queries = sum(origin["settings"]["queries"] for origin in timed)
        for column, clock in zip(SEARCH, _CLOCKS, strict=True):
            if n_queries:
                total = sum(origin[clock] for origin in timed)
                costs.setdefault(system, {})[column] = 1000 * total / n_queries
    return costs
