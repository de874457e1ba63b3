"""Scores of translations are sacreBLEU's own, over the queries that all files have."""

import pytest

from optical_ir.errors import DataError, DependencyError
from optical_ir.records import Query
from optical_ir.translation import score_translation

sacrebleu = pytest.importorskip("sacrebleu", reason="the translate extra is not installed")

REFERENCE = [
    Query("q1", "How can I stop the rain from washing my field away?"),
    Query("q2", "Who was the first president of Kenya?"),
    Query("q3", "Where do the swallows fly in winter, and why?"),
]
MACHINE = [
    Query("q3", "where are the swallows flying in the winter"),
    Query("q1", "How can I stop rain from washing away my field?"),
    Query("q2", "Who was first president of the Kenya?"),
]


@pytest.mark.parametrize("n_references", [1, 2])
def test_scores_and_signatures_are_those_of_sacrebleu(n_references):
    other = [Query(query.query_id, query.text.lower()) for query in REFERENCE]
    references = [REFERENCE, other][:n_references]
    n_queries, scores = score_translation(MACHINE, *references)
    hypotheses = [MACHINE[1].text, MACHINE[2].text, MACHINE[0].text]
    texts = [[query.text for query in reference] for reference in references]
    bleu, chrf = sacrebleu.corpus_bleu(hypotheses, texts), sacrebleu.corpus_chrf(hypotheses, texts)
    assert n_queries == 3
    assert [(score.metric, score.score) for score in scores] == [
        ("BLEU", pytest.approx(bleu.score)),
        ("chrF", pytest.approx(chrf.score)),
    ]
    assert 0 < bleu.score < 100
    version = f"version:{sacrebleu.__version__}"
    assert all(version in score.signature for score in scores)
    assert all(f"nrefs:{n_references}|" in score.signature for score in scores)


def test_a_part_is_scored_as_if_there_were_no_more(caplog):
    n_queries, scores = score_translation(MACHINE[:2], REFERENCE)
    assert n_queries == 2
    assert scores == score_translation(MACHINE[:2], [REFERENCE[0], REFERENCE[2]])[1]
    assert "1 of 3 queries are not in all files" in caplog.text


def test_the_same_text_is_perfect():
    assert [score.score for score in score_translation(REFERENCE, REFERENCE)[1]] == [
        pytest.approx(100),
        pytest.approx(100),
    ]


@pytest.mark.parametrize("references", [[], [[Query("x", "Other ids.")]]])
def test_without_a_query_in_common_nothing_is_scored(references):
    with pytest.raises(DataError, match="found none in all of"):
        score_translation(MACHINE, *references)


def test_without_sacrebleu_the_line_that_installs_it_is_shown(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "sacrebleu.metrics", None)
    with pytest.raises(DependencyError, match=r"pip install 'optical-ir\[translate\]'"):
        score_translation(MACHINE, REFERENCE)
