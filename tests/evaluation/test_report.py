"""Every format shows the numbers of the comparison, safely escaped."""

import json
import re

import pandas as pd
import pytest

from optical_ir.errors import ConfigError, DataError
from optical_ir.evaluation import FORMATS, Comparison, Contrast, render

MEASURES = ["nDCG@10", "AP"]
QUERIES = pd.Index(["q1", "q2"], name="query_id")


def frame(ndcg, ap):
    return pd.DataFrame(dict(zip(MEASURES, (ndcg, ap), strict=True)), index=QUERIES)


VALUES = {
    "bm25_nmt & 100%": frame([0.2, 0.4], [0.5, 0.5]),
    "a|b*c": frame([1 / 3, 1.0], [0.5, 0.5]),
    "zero#": frame([0.0, 0.1], [0.25, 0.5]),
}
COMPARISON = Comparison(
    baseline="bm25_nmt & 100%",
    values=VALUES,
    contrasts=(
        Contrast("a|b*c", "nDCG@10", 11 / 30, 1e-9, 4e-9, 1e-4, 4e-4, 2, 0, 0),
        Contrast("a|b*c", "AP", 0.0, 1.0, 1.0, 1.0, 1.0, 0, 2, 0),
        Contrast("zero#", "nDCG@10", -0.25, 0.01, 0.03, 0.01, 0.04, 0, 0, 2),
        Contrast("zero#", "AP", -0.125, 0.01, 0.03, 0.03, 0.06, 0, 1, 1),
    ),
    n_permutations=10_000,
    seed=7,
)


def table_rows(markdown):
    lines = [line for line in markdown.splitlines() if line.startswith("|")]
    return [re.split(r"(?<!\\)\|", line)[1:-1] for line in lines]


def test_text_columns_are_aligned_and_marked_where_both_tests_agree():
    lines = render(COMPARISON).splitlines()
    assert lines[:5] == [
        "System           nDCG@10       AP",
        "---------------------------------",
        "bm25_nmt & 100%   0.3000   0.5000",
        "a|b*c             0.6667+  0.5000",
        "zero#             0.0500-  0.3750",
    ]
    assert "better (worse) than bm25_nmt & 100% with a Holm-adjusted p below 0.05" in lines[6]
    first = "a|b*c nDCG@10 2 +0.3667 <0.0001 <0.0001 0.0001 0.0004 2/0/0"
    assert lines[10].split() == first.split()
    assert "10000 permutations, seed 7" in lines[-1]
    assert "the 4 comparisons of this table" in lines[-1]


def test_markdown_rows_have_as_many_cells_as_their_header():
    means, contrasts = render(COMPARISON, format="markdown").split("\n\n")[::2]
    assert {len(row) for row in table_rows(means)} == {3}
    assert len(table_rows(means)) == 5
    assert {len(row) for row in table_rows(contrasts)} == {9}
    assert len(table_rows(contrasts)) == 6


def test_markdown_has_the_best_in_bold_and_names_escaped():
    found = render(COMPARISON, format="markdown")
    assert r"| bm25\_nmt & 100% | 0.3000 | **0.5000** |" in found
    assert r"| a\|b\*c | **0.6667**+ | **0.5000** |" in found
    assert "Best of each column in bold." in found


def test_latex_is_escaped_and_uses_booktabs():
    found = render(COMPARISON, format="latex")
    assert r"bm25\_nmt \& 100\% & 0.3000 & \textbf{0.5000} \\" in found
    assert r"a\textbar{}b*c & \textbf{0.6667}$^{+}$ & \textbf{0.5000} \\" in found
    assert r"zero\# & 0.0500$^{-}$ & 0.3750 \\" in found
    assert r"& 2 & $+0.3667$ & $<0.0001$ & $<0.0001$ & 0.0001 &" in found
    assert not re.search(r"(?<!\\)[_#%]", found)
    for command in (r"\toprule", r"\midrule", r"\bottomrule", r"\end{table}"):
        assert found.count(command) == 2


def test_latex_escapes_every_special_character():
    found = render({"\\{}~^<>$": VALUES["zero#"]}, format="latex")
    assert (
        r"\textbackslash{}\{\}\textasciitilde{}\textasciicircum{}\textless{}\textgreater{}\$ &"
        in found
    )


def test_json_has_everything_in_full_precision():
    found = json.loads(render(COMPARISON, format="json", per_query=True))
    assert found["n_queries"] == 2
    assert (found["seed"], found["n_permutations"]) == (7, 10_000)
    assert (found["correction"], found["family_size"]) == ("Holm", 4)
    assert found["means"]["a|b*c"]["nDCG@10"] == (1 / 3 + 1.0) / 2
    assert [Contrast(**contrast) for contrast in found["contrasts"]] == list(COMPARISON.contrasts)
    for name, values in VALUES.items():
        per_query = pd.DataFrame.from_dict(found["per_query"][name], orient="index")
        pd.testing.assert_frame_equal(per_query, values, check_names=False)
    assert "per_query" not in json.loads(render(COMPARISON, format="json"))


def test_tsv_has_a_row_per_system_and_measure():
    lines = [line.split("\t") for line in render(COMPARISON, format="tsv").splitlines()]
    assert {len(line) for line in lines} == {12}
    rows = [dict(zip(lines[0], line, strict=True)) for line in lines[1:]]
    assert [(row["system"], row["measure"]) for row in rows] == [
        (system, measure) for system in VALUES for measure in MEASURES
    ]
    assert rows[0]["p_student"] == ""
    assert float(rows[2]["difference"]) == 11 / 30
    assert float(rows[4]["mean"]) == 0.05


@pytest.mark.parametrize("format", FORMATS)
def test_plain_values_are_shown_without_tests(format):
    found = render({"bm25": VALUES["zero#"]}, format=format)
    assert found.endswith("\n")
    assert "bm25" in found
    assert "Holm" not in found
    assert "bold" not in found
    assert "textbf" not in found


def test_one_query_is_not_called_queries():
    one = VALUES["zero#"].iloc[:1]
    assert "Means over 1 query." in render({"bm25": one})


def test_unknown_formats_are_an_error():
    with pytest.raises(ConfigError, match="out of text, markdown, latex, json, tsv, found 'html'"):
        render(COMPARISON, format="html")
    with pytest.raises(ConfigError, match="need the format json, found 'tsv'"):
        render(COMPARISON, format="tsv", per_query=True)


def test_systems_with_other_queries_are_an_error():
    with pytest.raises(DataError, match="'b' and 'a' have different queries or measures"):
        render({"a": VALUES["zero#"], "b": VALUES["zero#"].iloc[:1]})
    with pytest.raises(DataError, match="at least one system"):
        render({})
