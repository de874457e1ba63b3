"""Reports of runs made by hand: who is better, worse or neither, over which queries."""

import dataclasses
import json

import numpy as np
import pytest

from optical_ir.evaluation import holm_correction, randomisation_test, student_t_test
from optical_ir.experiment import CollectionPlan, Experiment, StudentPlan, Task, TeacherPlan
from optical_ir.figures import draw_sizes
from optical_ir.matrix import MEAN, make_matrices
from optical_ir.pipeline import SystemRun
from optical_ir.records import Qrel, ScoredDoc
from optical_ir.summary import Report

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


def report(runs, qrels=QRELS, seeds=(42,)):
    """Report on runs by topics and system, as after a pipeline with these tasks."""
    experiment = Experiment(
        name="small",
        teacher=TeacherPlan(),
        collections={"tiny": CollectionPlan()},
        languages={},
        students={"optical": StudentPlan(seeds=seeds)},
        tasks=tuple(Task(collection="tiny", topics=topics, query_lang="sw") for topics in runs),
        measures=("RR@10",),
    )
    by_task = {f"tiny-{topics}": systems for topics, systems in runs.items()}
    judged = dict.fromkeys(by_task, qrels)
    return Report(experiment, make_matrices(experiment, by_task, judged))


def three(own, zero_shot, bm25):
    return {"optical": ranked(own), "zero-shot": ranked(zero_shot), "bm25": ranked(bm25)}


def test_better_worse_and_no_difference_are_said_of_the_right_tasks():
    text = report(
        {
            "up": three(GOOD, BAD, BAD),
            "down": three(BAD, GOOD, GOOD),
            "level": three(MIXED, MIRRORED, MIXED),
        }
    ).as_text()
    zero_shot, bm25 = (line for line in text.splitlines() if line.startswith("optical against "))
    assert zero_shot.startswith("optical against zero-shot: ")
    better, worse, level = zero_shot.split(": ")[1].rstrip(".").split("; ")
    assert better.startswith("better for up (+0.6")
    assert worse.startswith("worse for down (-0.6")
    assert level.startswith("no significant difference for level (+0.000), mean (")
    assert "better for up" in bm25
    assert "worse for down" in bm25
    assert "no significant difference for level (+0.000)" in bm25


def test_a_mark_is_set_where_the_words_say_a_difference():
    text = report({"up": three(GOOD, BAD, MIXED), "down": three(BAD, GOOD, BAD)}).as_text()
    row = next(line for line in text.splitlines() if line.startswith("zero-shot")).split()
    assert [cell[-1] for cell in row[1:3]] == ["-", "+"]


def test_a_difference_on_too_few_queries_is_not_significant():
    ids = IDS[:3]
    runs = {
        "optical": ranked(GOOD[:3], ids),
        "zero-shot": ranked(BAD[:3], ids),
        "bm25": ranked(BAD[:3], ids),
    }
    words = report({"few": runs}, QRELS[:3]).as_text()
    assert "better for" not in words
    assert words.count("no significant difference for few (+0.") == 2


def test_a_mean_is_over_the_tasks_and_its_test_over_all_queries():
    few = {name: ranked(ranks[:5], IDS[:5]) for name, ranks in (("optical", GOOD), ("bm25", BAD))}
    many = {"optical": ranked(MIXED), "bm25": ranked(MIRRORED)}
    experiment = report({"many": many, "few": few}).experiment
    judged = {"tiny-many": QRELS, "tiny-few": QRELS[:5]}
    runs = {"tiny-many": many, "tiny-few": few}
    (matrix,) = make_matrices(experiment, runs, judged)
    own = {name: [1 / rank for rank in ranks] for name, ranks in {"m": MIXED, "g": GOOD}.items()}
    expected = (np.mean(own["m"]) + np.mean(own["g"][:5])) / 2
    assert matrix.mean("optical", MEAN, "RR@10") == pytest.approx(expected)
    found = matrix.contrasts["bm25", MEAN]
    assert found.n_queries == 25
    pairs = {
        "many": (own["m"], [1 / rank for rank in MIRRORED]),
        "few": (own["g"][:5], [1 / rank for rank in BAD[:5]]),
    }
    pairs[MEAN] = tuple(np.concatenate([pairs["many"][i], pairs["few"][i]]) for i in (0, 1))
    for test, name in ((student_t_test, "p_student"), (randomisation_test, "p_randomisation")):
        corrected = holm_correction([test(*pair) for pair in pairs.values()])
        values = [getattr(matrix.contrasts["bm25", column], name) for column in pairs]
        assert values == pytest.approx(list(corrected))


def test_a_tiny_p_value_is_not_shown_as_zero():
    text = report({"up": three(GOOD, BAD, BAD)}).as_markdown()
    assert "<0.0001" in text
    assert "| 0.0000 |" not in text


def test_a_partial_translation_has_a_matrix_over_its_queries_only():
    part = IDS[:6]
    runs = three(GOOD, BAD, BAD) | {
        "teacher-part": ranked(BAD[:6], part),
        "teacher-all": ranked(MIXED),
    }
    whole, partial = report({"sw": runs}).matrices
    assert list(whole.values) == ["optical", "zero-shot", "bm25", "teacher-all"]
    assert list(partial.values) == [*runs]
    assert partial.queries == "teacher-part"
    assert list(whole.values["optical"]["sw"].index) == IDS
    for frames in partial.values.values():
        assert list(frames["sw"].index) == part
    values = partial.values["optical"]["sw"]["RR@10"].tolist()
    assert values == [1 / rank for rank in GOOD[:6]]


def test_a_part_is_compared_in_the_tasks_that_have_it():
    part = IDS[:6]
    tasks = {
        "so": three(GOOD, BAD, BAD),
        "sw": three(GOOD, BAD, BAD) | {"teacher-part": ranked(BAD[:6], part)},
    }
    whole, partial = report(tasks).matrices
    assert whole.columns == ["so", "sw", MEAN]
    assert partial.columns == ["sw"]
    assert whole.mean("zero-shot", "so", "RR@10") is not None


def test_a_system_that_lacks_a_task_has_no_mean_and_an_empty_cell():
    tasks = {
        "so": three(GOOD, BAD, BAD),
        "sw": three(GOOD, BAD, BAD) | {"teacher-human": ranked(MIXED)},
    }
    (matrix,) = report(tasks).matrices
    assert matrix.mean("teacher-human", "so", "RR@10") is None
    assert matrix.mean("teacher-human", MEAN, "RR@10") is None
    assert ("teacher-human", MEAN) not in matrix.contrasts
    assert "| teacher-human |  | " in report(tasks).as_markdown()


def test_a_translation_of_more_queries_than_the_task_changes_nothing():
    own, extra = IDS[:10], IDS[10:]
    runs = {
        "optical": ranked(GOOD[:10], own),
        "bm25": ranked(BAD[:10], own),
        "teacher-all": ranked(MIXED, [*own, *extra]),
    }
    (only,) = report({"sw": runs}).matrices
    assert list(only.values) == list(runs)
    for frames in only.values.values():
        assert list(frames["sw"].index) == own
    assert only.mean("optical", "sw", "RR@10") == pytest.approx(0.75)


def test_translations_of_different_parts_have_a_matrix_each_in_their_order():
    first, second = IDS[:6], IDS[3:9]
    runs = three(GOOD, BAD, BAD) | {
        "teacher-second": ranked(BAD[:6], second),
        "teacher-first": ranked(BAD[:6], first),
    }
    matrices = report({"sw": runs}).matrices
    assert [list(m.values["bm25"]["sw"].index) for m in matrices] == [IDS, second, first]
    assert [set(m.values) - set(three(GOOD, BAD, BAD)) for m in matrices] == [
        set(),
        {"teacher-second"},
        {"teacher-first"},
    ]


def test_a_query_that_nothing_answers_counts_as_zero():
    runs = three(GOOD, BAD, BAD)
    runs["bm25"] = SystemRun({}, frozenset(IDS))
    (matrix,) = report({"sw": runs}).matrices
    assert matrix.mean("bm25", "sw", "RR@10") == 0.0
    assert matrix.contrasts["bm25", "sw"].n_queries == 20


def test_the_gap_closed_is_the_part_of_the_way_to_human_translations():
    runs = three([2] * 20, [4] * 20, BAD) | {"teacher-human": ranked([1] * 20)}
    text = report({"sw": runs}).as_markdown()
    # From .25 to 1 there is .75; .5 is a third of the way.
    assert "| optical | 33 |" in text
    for system in ("fusion-psq", "zero-shot-glossed"):
        assert f"| {system} | 33 |" not in text
        found = report({"sw": runs | {system: ranked([2] * 20)}}).as_markdown()
        assert f"| {system} | 33 |" in found


def test_other_seeds_tell_the_spread_and_are_not_compared():
    runs = three([1] * 20, [4] * 20, BAD) | {"optical-seed7": ranked([2] * 20)}
    found = report({"sw": runs}, seeds=(42, 7))
    assert {system for system, _ in found.matrices[0].contrasts} == {"zero-shot", "bm25"}
    text = found.as_markdown()
    assert "| optical-seed7 |" not in text
    # Of 1 and .5: mean .75, standard deviation with n - 1 of .3536.
    assert "| optical | 2 | 0.7500 (0.3536) |" in text


def test_files_hold_every_system_and_query(tmp_path):
    found = report({"sw": three(GOOD, BAD, MIXED), "so": three(MIXED, BAD, BAD)})
    files = found.write(tmp_path)
    assert [path.suffix for path in files] == [".md", ".tex", ".json", ".tsv", ".png"]
    content = json.loads((tmp_path / "report.small.json").read_text())
    (matrix,) = content["matrices"]
    assert set(matrix["per_query"]["bm25"]["so"]) == set(IDS)
    assert len(matrix["contrasts"]) == 2 * 3
    rows = (tmp_path / "report.small.tsv").read_text().splitlines()
    assert len(rows) == 1 + 2 * 3 * 20
    assert rows[1] == "tiny\tall\tsw\toptical\tq0\tRR@10\t1.0"
    assert files[-1].read_bytes().startswith(b"\x89PNG")
    assert "\\toprule" in (tmp_path / "report.small.tex").read_text()


def test_students_of_several_bitext_sizes_get_a_curve(tmp_path):
    found = report({"sw": three(GOOD, BAD, MIXED)})
    students = {
        "optical": StudentPlan(max_pairs=100),
        "zero-shot": StudentPlan(max_pairs=500),
    }
    files = dataclasses.replace(
        found, experiment=dataclasses.replace(found.experiment, students=students)
    ).write(tmp_path)
    assert files[-1].name == "report.small.sizes.png"
    pictures = []
    for untrained in ("zero-shot", "bm25"):
        picture = tmp_path / f"{untrained}.png"
        draw_sizes(found.matrices, {"optical": 100, "zero-shot": 500}, picture, untrained=untrained)
        pictures.append(picture.read_bytes())
    assert pictures[0] != pictures[1], "the level of what has no bitext is not drawn"
    assert files[-1].read_bytes().startswith(b"\x89PNG")
