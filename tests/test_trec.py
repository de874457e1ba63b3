"""Topics, qrels and runs: strict reading, exact writing, and trec_eval's order."""

import ir_measures
import numpy as np
import pytest

from optical_ir.errors import ConfigError, DataError
from optical_ir.records import Qrel, Query, ScoredDoc
from optical_ir.trec import (
    rank_docs,
    read_qrels,
    read_run,
    read_topics,
    write_qrels,
    write_run,
    write_topics,
)


def write(tmp_path, text):
    path = tmp_path / "file.txt"
    path.write_text(text, encoding="utf-8")
    return path


def rows_of(scores):
    return [ScoredDoc("q1", f"d{i}", score) for i, score in enumerate(scores)]


def test_topics_survive_writing_and_reading(tmp_path):
    queries = [Query("007", "nini maana ya\tuhuru?\n"), Query("q-2", "ẹ̀kọ́ 学习")]
    path = tmp_path / "topics.tsv"
    write_topics(path, queries)
    assert read_topics(path) == [Query("007", "nini maana ya uhuru?"), queries[1]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("q1 no tab\n", "line 1: expected 2 tab-separated fields 'query_id query', found 1"),
        ("q1\ta\nq2\tb\tc\n", "line 2: expected 2 tab-separated fields .* found 3"),
        ("q1\t \n", "line 1: expected an id without white space and a query"),
        ("q 1\ttext\n", "line 1: expected an id without white space"),
        ("q1\ta\nq1\tb\n", "line 2: query id 'q1' is used twice. Give every query its own id"),
    ],
)
def test_bad_topics_are_errors_with_the_line(tmp_path, text, message):
    with pytest.raises(DataError, match=message):
        read_topics(write(tmp_path, text))


def test_qrels_survive_writing_and_reading(tmp_path):
    qrels = [Qrel("q1", "d1", 1), Qrel("q1", "d2", 0), Qrel("q2", "d1", -1)]
    path = tmp_path / "qrels.txt"
    write_qrels(path, qrels)
    assert path.read_text() == "q1 0 d1 1\nq1 0 d2 0\nq2 0 d1 -1\n"
    assert read_qrels(path) == qrels


def test_qrels_columns_may_be_separated_by_tabs(tmp_path):
    assert read_qrels(write(tmp_path, "q1\t0\td1\t2\n")) == [Qrel("q1", "d1", 2)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("q1 0 d1\n", "line 1: expected 4 fields 'query_id 0 doc_id relevance', found 3"),
        ("q1 0 d1 1\n\n", "line 2: expected 4 fields .* found 0"),
        ("q1 0 d1 1.5\n", "line 1: expected an integer relevance, found '1.5'"),
        ("q1 0 d1 1\nq1 0 d1 0\n", "line 2: query 'q1' and document 'd1' are judged twice"),
    ],
)
def test_bad_qrels_are_errors_with_the_line(tmp_path, text, message):
    with pytest.raises(DataError, match=message):
        read_qrels(write(tmp_path, text))


def test_a_run_is_read_by_score_whatever_its_order_and_ranks(tmp_path):
    text = "q2 Q0 d1 1 0.5 tag\nq1 Q0 a 1 1.0 tag\nq1 Q0 b 2 3e0 tag\nq1 Q0 c 3 1.0 tag\n"
    assert read_run(write(tmp_path, text)) == {
        "q2": [ScoredDoc("q2", "d1", 0.5)],
        "q1": [ScoredDoc("q1", "b", 3.0), ScoredDoc("q1", "c", 1.0), ScoredDoc("q1", "a", 1.0)],
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("q1 Q0 d1 1 0.5\n", "line 1: expected 6 fields 'query_id Q0 .*', found 5"),
        ("q1 Q0 d1 1 nan t\n", "line 1: expected a finite score, found 'nan'"),
        ("q1 Q0 d1 1 high t\n", "line 1: expected a finite score, found 'high'"),
        ("q1 Q0 d1 1 2 t\nq1 Q0 d1 2 1 t\n", "line 2: query 'q1' has document 'd1' twice. Keep"),
    ],
)
def test_bad_runs_are_errors_with_the_line(tmp_path, text, message):
    with pytest.raises(DataError, match=message):
        read_run(write(tmp_path, text))


def test_a_run_may_be_empty_where_that_is_said(tmp_path):
    path = write(tmp_path, "")
    assert read_run(path, may_be_empty=True) == {}
    with pytest.raises(DataError, match="found an empty file"):
        read_run(path)


def test_a_run_is_written_with_ranks_and_strictly_decreasing_scores(tmp_path):
    path = tmp_path / "run.trec"
    write_run(path, {"q1": rows_of([1.0, 2.0, 2.0, 1.9999999])}, tag="bm25")
    assert path.read_text().splitlines() == [
        "q1 Q0 d2 1 2.000000 bm25",
        "q1 Q0 d1 2 1.999999 bm25",
        "q1 Q0 d3 3 1.999998 bm25",
        "q1 Q0 d0 4 1.000000 bm25",
    ]


@pytest.mark.parametrize("scale", [1e-7, 1.0, 10.0, 25.0, -1000.0, 123456.0, 1e9, 1e15])
def test_a_written_run_has_one_order_for_every_tool(tmp_path, scale):
    rng = np.random.default_rng(0)
    scores = scale * (1 + rng.integers(0, 40, size=300) * 2e-8)
    run = {"q1": rows_of(scores.tolist())}
    path = tmp_path / "run.trec"
    write_run(path, run, tag="t")
    order = [row.doc_id for row in rank_docs(run["q1"])]
    written = [float(line.split()[4]) for line in path.read_text().splitlines()]
    assert (np.diff(written) < 0).all()
    assert (np.diff(np.array(written, dtype=np.float32)) < 0).all()
    assert [row.doc_id for row in read_run(path)["q1"]] == order
    rank_of_last = {order[-1]: 1}
    (found,) = ir_measures.iter_calc(
        [ir_measures.RR], {"q1": rank_of_last}, ir_measures.read_trec_run(str(path))
    )
    assert found.value == pytest.approx(1 / 300)


def test_equal_scores_rank_as_in_trec_eval():
    rows = [ScoredDoc("q1", doc, 1.0) for doc in ("d9", "d10", "é", "学", "D", "a")]
    order = [row.doc_id for row in rank_docs(rows)]
    for rank, doc in enumerate(order, start=1):
        (found,) = ir_measures.iter_calc([ir_measures.RR], {"q1": {doc: 1}}, rows_for_oracle(rows))
        assert found.value == pytest.approx(1 / rank)


def rows_for_oracle(rows):
    return [ir_measures.ScoredDoc(*row) for row in rows]


def test_writing_what_was_read_gives_the_same_bytes(tmp_path):
    first, second = tmp_path / "a.trec", tmp_path / "b.trec"
    scores = np.random.default_rng(1).integers(0, 9, size=50) * 7.3
    write_run(first, {"q1": rows_of(scores.tolist())}, tag="t")
    write_run(second, read_run(first), tag="t")
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize(
    ("rows", "tag", "message"),
    [
        (rows_of([1.0]), "two words", "without white space, found 'two words'"),
        (rows_of([1.0]), "", "without white space, found ''"),
        (rows_of([float("inf")]), "t", "finite score for query 'q1', document 'd0', found inf"),
        ([ScoredDoc("q1", "d 1", 1.0)], "t", "without white space, found 'd 1'"),
        (rows_of([1.0]) * 2, "t", "query 'q1' has document 'd0' twice. Keep"),
    ],
)
def test_a_run_that_cannot_be_read_back_is_not_written(tmp_path, rows, tag, message):
    path = tmp_path / "run.trec"
    with pytest.raises(DataError, match=message):
        write_run(path, {"q1": rows}, tag=tag)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("write_records", "records", "message"),
    [
        (write_topics, [Query("q 1", "text")], "without white space, found 'q 1'"),
        (write_topics, [Query("q1", " \n")], "query 'q1' is blank"),
        (write_qrels, [Qrel("q1", "", 1)], "without white space, found ''"),
    ],
)
def test_records_that_cannot_be_read_back_are_not_written(
    tmp_path, write_records, records, message
):
    with pytest.raises(DataError, match=message):
        write_records(tmp_path / "file", records)
    assert not list(tmp_path.iterdir())


def test_an_existing_run_is_refused_without_overwrite(tmp_path):
    path = tmp_path / "run.trec"
    write_run(path, {"q1": rows_of([1.0])}, tag="t")
    with pytest.raises(ConfigError, match="--overwrite"):
        write_run(path, {"q1": rows_of([2.0])}, tag="t")
    write_run(path, {"q1": rows_of([2.0])}, tag="t", overwrite=True)
    assert read_run(path) == {"q1": rows_of([2.0])}
