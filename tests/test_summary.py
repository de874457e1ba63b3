"""The report on runs made by hand: who is better, worse or neither, over which queries."""

import json
from types import SimpleNamespace

import pytest

from optical_ir.evaluation import holm_correction
from optical_ir.experiment import Experiment, StudentPlan, Task, TeacherPlan
from optical_ir.pipeline import SystemRun
from optical_ir.records import Qrel, ScoredDoc
from optical_ir.summary import report_experiment
from optical_ir.training import DistillationSettings

IDS = [f"q{number}" for number in range(20)]
QRELS = [Qrel(query_id, "right", 1) for query_id in IDS]
# Ranks of the one right document; RR@10 of good is .5 to 1, of bad .1 to .125.
GOOD = [1 + number % 2 for number in range(20)]
BAD = [8 + number % 3 for number in range(20)]
MIXED = [number % 4 + 1 for number in range(20)]
MIRRORED = [4 - number % 4 for number in range(20)]


def ranked(ranks, ids=IDS, covered=None):
    """Run with the right document at the given ranks, and the queries its system was given."""
    run = {
        query_id: [
            ScoredDoc(query_id, "right" if place == rank else f"d{place}", -float(place))
            for place in range(1, 11)
        ]
        for query_id, rank in zip(ids, ranks, strict=True)
    }
    return SystemRun(run, frozenset(ids if covered is None else covered))


def report(runs, qrels=QRELS):
    """Report on runs by topics and system, as after a pipeline with these tasks."""
    experiment = Experiment(
        name="small",
        collection="tiny",
        teacher=TeacherPlan(),
        students={
            "sw": StudentPlan(query_lang="sw", bitext="b.tsv", settings=DistillationSettings())
        },
        tasks=tuple(Task(topics=topics, query_lang="sw", student="sw") for topics in runs),
        measures=("RR@10",),
    )
    collection = SimpleNamespace(iter_qrels=lambda: iter(qrels))
    pipeline = SimpleNamespace(experiment=experiment, collection=lambda topics: collection)
    return report_experiment(pipeline, runs)


def three(own, zero_shot, bm25):
    return {"optical-sw": ranked(own), "zero-shot": ranked(zero_shot), "bm25": ranked(bm25)}


def test_better_worse_and_no_difference_are_said_of_the_right_tasks():
    words = report(
        {
            "up": three(GOOD, BAD, BAD),
            "down": three(BAD, GOOD, GOOD),
            "level": three(MIXED, MIRRORED, MIXED),
        }
    ).verdict()
    zero_shot, bm25 = words.splitlines()
    assert zero_shot.startswith("OPTICAL against zero-shot: ")
    better, worse, level = zero_shot.split(": ")[1].rstrip(".").split("; ")
    assert better.startswith("better for up (+0.6")
    assert worse.startswith("worse for down (-0.6")
    assert level == "no significant difference for level (+0.000)"
    assert "better for up" in bm25
    assert "worse for down" in bm25
    assert "no significant difference for level (+0.000)" in bm25


def test_a_difference_on_too_few_queries_is_not_significant():
    ids = IDS[:3]
    runs = {
        "optical-sw": ranked(GOOD[:3], ids),
        "zero-shot": ranked(BAD[:3], ids),
        "bm25": ranked(BAD[:3], ids),
    }
    words = report({"few": runs}, QRELS[:3]).verdict()
    assert "better" not in words
    assert words.count("no significant difference for few (+0.") == 2


def test_p_values_are_corrected_over_all_tasks_and_rivals():
    tasks = {"a": three(GOOD, MIXED, BAD), "b": three(MIXED, MIRRORED, BAD)}
    alone = [gain.p_student for name in tasks for gain in report({name: tasks[name]}).gains]
    together = report(tasks)
    assert len(together.gains) == 4
    for gain in together.gains:
        assert gain.n_queries == 20
    raw = [
        next(
            contrast.p_student
            for contrast in together.comparisons[gain.topics][0].contrasts
            if contrast.system == gain.rival
        )
        for gain in together.gains
    ]
    assert [gain.p_student for gain in together.gains] == pytest.approx(holm_correction(raw))
    assert all(p >= q for p, q in zip(holm_correction(raw), alone, strict=True))


def test_a_tiny_p_value_is_not_shown_as_zero():
    text = report({"up": three(GOOD, BAD, BAD)}).as_text()
    assert "<0.0001" in text
    assert "0.0000" not in text


def test_a_partial_translation_has_a_table_over_its_queries_only():
    part = IDS[:6]
    runs = three(GOOD, BAD, BAD) | {
        "teacher-part": ranked(BAD[:6], part),
        "teacher-all": ranked(MIXED),
    }
    found = report({"sw": runs})
    whole, partial = found.comparisons["sw"]
    assert list(whole.values) == ["optical-sw", "zero-shot", "bm25", "teacher-all"]
    assert list(partial.values) == [*runs]
    assert list(whole.values["optical-sw"].index) == IDS
    for values in partial.values.values():
        assert list(values.index) == part
    assert partial.values["optical-sw"]["RR@10"].tolist() == [1 / rank for rank in GOOD[:6]]
    # The summary stays one over all queries.
    assert {gain.n_queries for gain in found.gains} == {20}


def test_a_translation_of_more_queries_than_the_task_changes_nothing():
    own, extra = IDS[:10], IDS[10:]
    runs = {
        "optical-sw": ranked(GOOD[:10], own),
        "zero-shot": ranked(BAD[:10], own),
        "bm25": ranked(BAD[:10], own),
        "teacher-all": ranked(MIXED, [*own, *extra]),
    }
    found = report({"sw": runs})
    (only,) = found.comparisons["sw"]
    assert list(only.values) == list(runs)
    for values in only.values.values():
        assert list(values.index) == own
    assert found.gains[0].n_queries == 10
    assert found.gains[0].optical == pytest.approx(0.75)


def test_translations_of_different_parts_have_a_table_each_in_their_order():
    first, second = IDS[:6], IDS[3:9]
    runs = three(GOOD, BAD, BAD) | {
        "teacher-second": ranked(BAD[:6], second),
        "teacher-first": ranked(BAD[:6], first),
    }
    tables = report({"sw": runs}).comparisons["sw"]
    assert [list(table.values["bm25"].index) for table in tables] == [IDS, second, first]
    assert [set(table.values) - set(three(GOOD, BAD, BAD)) for table in tables] == [
        set(),
        {"teacher-second"},
        {"teacher-first"},
    ]


def test_a_query_that_nothing_answers_counts_as_zero():
    runs = three(GOOD, BAD, BAD)
    runs["bm25"] = SystemRun({}, frozenset(IDS))
    gain = report({"sw": runs}).gains[1]
    assert (gain.rival, gain.other, gain.n_queries) == ("bm25", 0.0, 20)


def test_markdown_and_json_hold_every_table():
    found = report({"sw": three(GOOD, BAD, MIXED), "so": three(MIXED, BAD, BAD)})
    markdown = found.as_markdown()
    assert "small" in markdown.splitlines()[0]
    assert markdown.index("## sw") < markdown.index("## so")
    assert all(line in markdown for line in found.verdict().splitlines())
    content = json.loads(found.as_json())
    assert list(content["comparisons"]) == ["sw", "so"]
    assert len(content["gains"]) == 4
    assert set(content["comparisons"]["so"][0]["per_query"]["bm25"]) == set(IDS)
