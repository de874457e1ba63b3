"""Reported runs verify as they are, and not after any one thing is changed."""

import gzip
import json
import shutil
from pathlib import Path

import pytest

from optical_ir.errors import DataError
from optical_ir.evaluation import describe_qrels, describe_run, verify
from optical_ir.evaluation.reported import is_same_value
from optical_ir.files import write_file
from optical_ir.provenance import write_origin

QRELS = "q1 0 d1 1\nq2 0 d2 1\nq3 0 d3 1\nq4 0 d4 1\n"
FIRST = {"q1": "d1 d9", "q2": "d9 d2", "q3": "d3 d8 d9", "q4": "d8 d9"}
WORSE = {"q1": "d9 d1", "q2": "d8 d9 d7 d2"}
RUNS = {
    "tiny-sw.optical-sw": FIRST,
    "tiny-sw.optical-sw-small": WORSE,
    "tiny-sw.teacher-nmt": {"q1": "d1", "q2": "d2"},
    "tiny-sw.bm25": {},
    "tiny-so.optical-so": WORSE,
}
README = """# Results

<!-- runs: RR@10 / R@2 -->
| system | `tiny-sw` | `tiny-so` |
|---|---|---|
| queries | 4 | 4 |
| `optical-LANG` | 0.6250 / 0.7500 | 0.1875- / 0.2500 |
| `optical-LANG-small` | 0.1875-- / 0.2500 |  |
| `bm25` | 0.0000 / 0.0000 |  |

On a part:

<!-- runs: RR@10 -->
| system | `tiny-sw` |
|:--|--:|
| queries of `teacher-nmt` | 2 |
| teacher-nmt | 1.0000+ |
| optical-LANG | 0.7500 |

```
<!-- runs: in code this is an example -->
```
"""
DOCS = "<!-- runs: nDCG@10 -->\n| system | tiny-so |\n|---|---|\n| optical-so | 0.2654 |\n"


def run_text(name, ranking):
    system = name.split(".")[1]
    return "".join(
        f"{query_id} Q0 {doc_id} {rank} {9 - rank}.000000 {system}\n"
        for query_id, doc_ids in ranking.items()
        for rank, doc_id in enumerate(doc_ids.split(), start=1)
    )


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """Give a folder with runs, judgements, provenance and two Markdown files that agree."""
    folder = tmp_path_factory.mktemp("original")
    (folder / "docs").mkdir()
    (folder / "README.md").write_text(README)
    (folder / "docs" / "more.md").write_text(DOCS)
    for key in ("tiny-sw", "tiny-so"):
        path = folder / "qrels" / f"qrels.{key}.txt"
        with write_file(path) as stream:
            stream.write(QRELS)
        write_origin(path, settings={}, facts=describe_qrels(path))
    for name, ranking in RUNS.items():
        path = folder / "runs" / f"run.{name}.trec"
        with write_file(path) as stream:
            stream.write(run_text(name, ranking))
        judged = folder / "qrels" / f"qrels.{name.split('.')[0]}.txt"
        facts = describe_run(path, judged, measures=["RR@10", "nDCG@10"])
        write_origin(path, settings={"system": name.split(".")[1]}, facts=facts)
        if "bm25" not in name:
            path.with_name(path.name + ".gz").write_bytes(gzip.compress(path.read_bytes()))
            path.unlink()
    return folder


@pytest.fixture
def reported(original, tmp_path):
    """Give a copy that a test may change."""
    return shutil.copytree(original, tmp_path / "copy")


def change(path: Path, old: str, new: str) -> None:
    """Replace a text that is there once, in a plain or compressed file."""
    is_packed = path.suffix == ".gz"
    text = (gzip.decompress(path.read_bytes()) if is_packed else path.read_bytes()).decode()
    assert text.count(old) == 1
    changed = text.replace(old, new).encode()
    path.write_bytes(gzip.compress(changed) if is_packed else changed)


def forget(folder: Path, *facts: str) -> None:
    """Drop facts from the provenance of all runs, which may lack them."""
    for path in (folder / "runs").glob("*.json"):
        content = json.loads(path.read_text())
        path.write_text(json.dumps({k: v for k, v in content.items() if k not in facts}))


def test_what_agrees_verifies_and_is_counted(reported, monkeypatch):
    assert verify(reported / "runs") == (5, 2, 3, 11)
    monkeypatch.chdir(reported / "runs")
    assert verify(".") == (5, 2, 3, 11)


def test_provenance_may_lack_facts(reported):
    forget(reported, "sha256", "qrels_sha256", "measures", "n_queries")
    assert verify(reported / "runs").n_runs == 5


def test_a_signature_that_says_something_else_is_found(reported):
    path = reported / "runs" / f"{SW}.json"
    content = json.loads(path.read_text())
    write_origin(
        path.with_suffix(""),
        settings=content["settings"],
        facts={name: content[name] for name in ("sha256", "qrels_sha256", "measures")},
        is_run=True,
    )
    assert verify(reported / "runs").n_runs == 5
    signed = path.read_text()
    assert signed.count("system:optical-sw|") == 1
    path.write_text(signed.replace("system:optical-sw|", "system:optical-so|"))
    with pytest.raises(
        DataError, match=r"signature: found system:optical-so, expected 'optical-sw"
    ):
        verify(reported / "runs")


def test_other_places_may_be_named(reported):
    (reported / "qrels").rename(reported / "judged")
    tables = [reported / "docs" / "more.md"]
    assert verify(reported / "runs", qrels=reported / "judged", tables=tables) == (5, 2, 1, 1)


SW, SMALL = "run.tiny-sw.optical-sw.trec", "run.tiny-sw.optical-sw-small.trec"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("q3 Q0 d8 2", "q3 Q0 d8 3", r"trec.gz, line 6: expected rank 2, found '3'"),
        ("d8 2 7.0", "d8 2 8.0", r"line 6: expected a score below 8.000000.*found 8.000000"),
        ("d8 2 7.0", "d8 2 7.9999999", r"line 6: expected a score below 8.000000"),
        ("d8 2 7.0", "d8 2 7.5", f"{SW}.json: sha256: found '.*', recomputed"),
        ("d8 2 7.0", "d8 2 nan", r"line 6: expected a finite score, found 'nan"),
        (
            "d8 2 7.000000 optical-sw",
            "d8 2 7.000000 x",
            r"line 6: expected the tag 'opt.*found 'x'",
        ),
        ("q3 Q0 d8 2", "q3 Q0 d3 2", r"line 6: query 'q3' has document 'd3' twice"),
        ("q1 Q0 d9 2", "q1 Q0 d9 2 2", r"line 2: expected 6 fields"),
        ("q1 Q0 d9 2", "q5 Q0 d9 1", r"line 2: expected a judged query, found 'q5'"),
        ("q4 Q0 d9 2", "q1 Q0 d9 1", r"twice"),
        ("q4 Q0 d9 2", "q1 Q0 d7 1", r"line 9: expected the rows of query 'q1' in one block"),
    ],
)
def test_a_changed_row_is_found(reported, old, new, message):
    change(reported / "runs" / f"{SW}.gz", old, new)
    with pytest.raises(DataError, match=message):
        verify(reported / "runs")


def test_a_swapped_document_is_found_by_each_fact_that_is_left(reported):
    change(reported / "runs" / f"{SW}.gz", "q1 Q0 d1 1", "q1 Q0 d7 1")
    for fact, message in (
        ("sha256", f"{SW}.json: sha256: found"),
        ("measures", f"{SW}.json: RR@10: found 0.625, recomputed 0.3750. Restore the files"),
        (
            "",
            r"README.md, line 7: 'optical-LANG' under 'tiny-sw': RR@10: found 0.6250, recomputed ",
        ),
    ):
        with pytest.raises(DataError, match=message):
            verify(reported / "runs")
        forget(reported, fact)


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        (SW, '"system": "optical-sw"', '"system": "bm25"', "expected system 'optical-sw'.*'bm25'"),
        (SW, '"command"', '"comand"', "expected command, created and versions, found no command"),
        (SW, '"created": "', '"created": "on ', "expected a time such as .* found 'on 2"),
        (SW, '"RR@10": 0.625', '"RR@10": 0.6251', r"json: RR@10: found 0.6251, recomputed 0.6250"),
        (SW, '"RR@10": 0.625', '"RR@10": "x"', r"json: RR@10: found 'x', recomputed 0.6250"),
        (SW, '"RR@10": 0.625', '"MRR": 0.625', r"json: Unknown measure 'MRR'"),
        (SW, '"n_queries": 4', '"n_queries": 3', "json: n_queries: found 3, recomputed 4"),
        (SW, '"qrels_sha256": "', '"qrels_sha256": "0', "json: qrels_sha256: found '0.*Restore"),
        (SW, '"measures": {', '"measures": 1, "x": {', r"expected means by measure .*found 1"),
        (SW, '"settings": {', "{", "expected JSON, found something else"),
    ],
)
def test_changed_provenance_is_found(reported, name, old, new, message):
    change(reported / "runs" / f"{name}.json", old, new)
    with pytest.raises(DataError, match=message):
        verify(reported / "runs")


def test_provenance_is_an_object(reported):
    (reported / "runs" / f"{SW}.json").write_text("[]")
    with pytest.raises(DataError, match="expected a JSON object, found list"):
        verify(reported / "runs")


@pytest.mark.parametrize("name", [f"runs/{SW}", "qrels/qrels.tiny-so.txt"])
def test_missing_provenance_is_found(reported, name):
    (reported / f"{name}.json").unlink()
    with pytest.raises(
        DataError, match=rf"{name}.*: expected its provenance in .*json, found none"
    ):
        verify(reported / "runs")


def test_changed_judgements_are_found(reported):
    path = reported / "qrels" / "qrels.tiny-so.txt"
    change(path, "q1 0 d1 1", "q1 0 d9 1")
    with pytest.raises(DataError, match=r"qrels.tiny-so.txt.json: sha256: found .*, recomputed"):
        verify(reported / "runs")
    write_origin(path, settings={}, facts=describe_qrels(path))
    with pytest.raises(DataError, match=r"optical-so.trec.json: qrels_sha256: found"):
        verify(reported / "runs")
    forget(reported, "qrels_sha256")
    with pytest.raises(
        DataError, match=r"optical-so.trec.json: RR@10: found 0.1875, recomputed 0.3"
    ):
        verify(reported / "runs")


def test_a_run_without_judgements_is_found(reported):
    for path in (reported / "qrels").glob("*tiny-so*"):
        path.unlink()
    with pytest.raises(DataError, match=r"optical-so.trec.gz: expected its judgements in .*none"):
        verify(reported / "runs")


@pytest.mark.parametrize("name", ["run.bm25.trec", "tiny-sw.bm25.trec"])
def test_a_run_without_key_or_system_in_its_name_is_found(reported, name):
    shutil.copy(reported / "runs" / "run.tiny-sw.bm25.trec", reported / "runs" / name)
    with pytest.raises(DataError, match=r"expected a name as run.KEY.SYSTEM.trec.gz, found '"):
        verify(reported / "runs")


def test_a_run_that_is_there_packed_and_plain_is_found(reported):
    (reported / "runs" / SW).write_text("")
    with pytest.raises(DataError, match=r"expected one file a run, found .*trec.gz too"):
        verify(reported / "runs")


@pytest.mark.parametrize("name", ["docs", "nothing"])
def test_a_folder_without_runs_is_an_error(reported, name):
    with pytest.raises(DataError, match=rf"{name}: expected a folder of runs .*found none"):
        verify(reported / name)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "| 0.6250 /",
            "| 0.6251 /",
            "line 7: 'optical-LANG' .*RR@10: found 0.6251, recomputed 0.6250",
        ),
        ("/ 0.7500 |", "/ 0.5000 |", r"'tiny-sw': R@2: found 0.5000, recomputed 0.7500 from .*gz"),
        ("| 4 | 4 |", "| 4 | 5 |", r"line 6: queries under 'tiny-so': found 5, recomputed 4"),
        ("`teacher-nmt` | 2 |", "`teacher-nmt` | 4 |", "line 16: .*: found 4, recomputed 2"),
        (" of `teacher-nmt` | 2 |", " | 4 |", r"line 17: 'teacher-nmt' .*found 1.0000, recomp"),
        (" of `teacher-nmt`", " of `teacher`", "line 16: expected one run of 'teacher'.*none"),
        ("| 4 | 4 |", "| four | 4 |", "line 6: expected a number of queries, found 'four'"),
        ("| `bm25` | 0.0000 / 0.0000 |  |", "| queries | 4 | 4 |", "at most, found 2"),
        ("0.2500 |  |", "0.2500 | 0.1 / 0.2 |", "line 8: expected a cell with RR@10 / R@2 in four"),
        ("0.2500 |  |", "0.2500 | 0.1875 |", "line 8: expected a cell .* found '0.1875'"),
        ("0.2500 |  |", "0.2500 | 0.1875 / 0.25 |", "line 8: expected a cell"),
        (
            "0.2500 |  |",
            "0.2500 | 0.1875 / 0.2500 |",
            "line 8: expected one run of 'opt.* found none",
        ),
        ("0.2500 |  |", "0.2500 |", "line 8: expected 2 cells and a label, found 1"),
        ("optical-LANG-small", "LANGLANG-small", "line 8: expected one run of 'LANGLANG-small'"),
        ("`optical-LANG` |", "the student |", "line 7: expected the name of a system or 'que"),
        ("`tiny-so`", "`tiny-sq`", "line 6: expected a key of the judgements .tiny-so, tiny-sw."),
        ("| system | `tiny-sw` |\n", "| model | `tiny-sw` |\n", "line 14: expected a header"),
        ("|---|---|---|\n", "", "line 3: expected a Markdown table from the next line on"),
        ("R@2 -->\n", "R@2 -->\n\n", "line 3: expected a Markdown table from the next line on"),
        ("R@2 -->", "R2 -->", "line 3: Unknown measure 'R2'"),
        ("<!-- runs: RR@10 -->", "<!-- runs RR@10 -->", "line 13: expected a comment such as"),
    ],
)
def test_a_changed_table_is_found(reported, old, new, message):
    change(reported / "README.md", old, new)
    with pytest.raises(DataError, match=f"README.md, {message}" if "line" in message else message):
        verify(reported / "runs")


def test_a_label_that_means_two_runs_is_an_error(reported):
    run = gzip.decompress((reported / "runs" / f"{SW}.gz").read_bytes()).decode()
    other = reported / "runs" / "run.tiny-sw.optical-ha.trec"
    other.write_text(run.replace("optical-sw", "optical-ha"))
    write_origin(other, settings={"system": "optical-ha"})
    with pytest.raises(DataError, match=r"expected one run of 'optical-LANG' .*-ha.trec, run.*-sw"):
        verify(reported / "runs")


def test_a_run_that_a_table_needs_is_missed(reported):
    for path in (reported / "runs").glob("run.tiny-so.*"):
        path.unlink()
    with pytest.raises(DataError, match=r"line 7: expected one run of 'optical-LANG' .*found none"):
        verify(reported / "runs")


def test_a_missing_file_of_tables_is_an_error(reported):
    with pytest.raises(DataError, match=r"none.md: expected a file, found none"):
        verify(reported / "runs", tables=[reported / "none.md"])


def test_values_are_compared_in_four_decimals_and_ties_round_either_way():
    assert is_same_value(0.9312, 0.93125)
    assert is_same_value(0.9313, 0.93125)
    assert not is_same_value(0.9314, 0.93125)
    assert not is_same_value(0.4139, 0.41384)
