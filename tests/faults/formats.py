"""The files that users bring: a valid one of each kind, and what must hold of all that is read.

A law takes a path. It raises an `OpticalError` where the file is refused, and an `AssertionError`
where what was read is not right.
"""

import json
import math
from collections.abc import Callable, Iterable
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from optical_ir.collections import read_bitext, read_lexicon
from optical_ir.collections.folder import iter_corpus
from optical_ir.collections.probabilistic_lexicon import (
    read_probabilistic_lexicon,
    write_probabilistic_lexicon,
)
from optical_ir.experiment_file import read_experiment
from optical_ir.records import BitextPair
from optical_ir.trec import (
    read_qrels,
    read_run,
    read_topics,
    write_qrels,
    write_run,
    write_topics,
)
from tests.faults.mutation import (
    Mutator,
    mutate_any,
    mutate_fields,
    mutate_json_lines,
    mutate_toml,
    mutate_xml,
)


class Format(NamedTuple):
    """A kind of file: the name of one, its valid content, and what is right."""

    file: str
    content: str
    mutate: Mutator
    law: Callable[[Path], object]


def _beside(path: Path) -> Path:
    return path.with_name("again." + path.name)


def law_of_runs(path: Path) -> None:
    """Ranks hold when a run is written and read again, and every score is a number."""
    run = read_run(path)
    for query_id, rows in run.items():
        assert rows
        assert all(row.query_id == query_id and math.isfinite(row.score) for row in rows)
        assert len({row.doc_id for row in rows}) == len(rows)
    write_run(_beside(path), run, tag="x", overwrite=True)
    again = read_run(_beside(path))
    assert list(again) == list(run)
    for query_id, rows in again.items():
        assert [row.doc_id for row in rows] == [row.doc_id for row in run[query_id]]
        assert all(a.score > b.score for a, b in pairwise(rows))


def law_of_qrels(path: Path) -> None:
    """Judgements are the same when they are written and read again, and fit into 32 bits."""
    qrels = read_qrels(path)
    assert all(abs(qrel.relevance) < 2**31 for qrel in qrels)
    write_qrels(_beside(path), qrels, overwrite=True)
    assert read_qrels(_beside(path)) == qrels


def law_of_topics(path: Path) -> None:
    """Hold queries the same when they are written and read again, but for white space."""
    queries = read_topics(path)
    write_topics(_beside(path), queries, overwrite=True)
    again = read_topics(_beside(path))
    assert [query.query_id for query in again] == [query.query_id for query in queries]
    assert [query.text.split() for query in again] == [query.text.split() for query in queries]


def law_of_bitext(pairs: Iterable[BitextPair], path: Path) -> None:
    """Pairs have two sides, each once, and are the same when they are written and read again."""
    pairs = list(pairs)
    assert all(side and side == side.strip() for pair in pairs for side in pair)
    again = path.with_name("again.tsv")
    lines = ["a\tb", *(f"{source}\t{target}" for source, target in pairs)]
    if not any({"\n", "\t", "\r"} & set("".join(pair)) for pair in pairs):
        again.write_text("\n".join(lines), "utf-8", newline="\n")
        assert set(read_bitext(again)) == {BitextPair("a", "b"), *pairs}


def law_of_corpora(path: Path) -> None:
    """Documents have ids and text that any file can hold, and read the same again."""
    docs = list(iter_corpus(path))
    lines = [json.dumps({"id": doc_id, "contents": text}) + "\n" for doc_id, text in docs]
    for doc_id, text in docs:
        assert doc_id.encode()
        assert text.encode()
    _beside(path).write_text("".join(lines), "utf-8")
    assert list(iter_corpus(_beside(path))) == docs


def law_of_lexicons(path: Path) -> None:
    """Every entry is found both ways."""
    lexicon = read_lexicon(path, query_lang="sw")
    assert len(lexicon) == len(lexicon.inverse().inverse()) > 0
    for word, translation in lexicon._pairs:
        assert translation.casefold() in {
            found.casefold() for found in lexicon.translations(word)
        }, (word, translation)


def law_of_probabilities(path: Path) -> None:
    """Probabilities are some, of each word 1 at most, and survive writing to six digits."""
    lexicon = read_probabilistic_lexicon(path)
    rows = list(lexicon)
    assert rows
    assert all(0 < row.probability <= 1 for row in rows)
    write_probabilistic_lexicon(_beside(path), lexicon, overwrite=True)
    again = list(read_probabilistic_lexicon(_beside(path)))
    assert [row[:2] for row in again] == [row[:2] for row in rows]
    for old, new in zip(rows, again, strict=True):
        assert math.isclose(old.probability, new.probability, rel_tol=1e-5, abs_tol=1e-320)


def law_of_experiments(path: Path) -> None:
    """Names are parts of file names that stay in their folder, and all numbers are finite."""
    experiment = read_experiment(path)
    for task in experiment.tasks:
        for plan in experiment.students:
            for _, student in experiment.students_of(plan, task):
                assert Path("students", student.name).resolve().parent == Path("students").resolve()
    for key, collection in experiment.collections.items():
        assert Path("bm25", key).resolve().parent == Path("bm25").resolve()
        assert "\x00" not in (collection.name or "")
    for student in experiment.students.values():
        for value in vars(student.settings).values():
            assert not isinstance(value, float) or math.isfinite(value)
            assert not isinstance(value, int) or abs(value) < 2**63


RUN = "q1 Q0 d1 1 3.5 tag\nq1 Q0 d2 2 2.25 tag\nq1 Q0 d-3 3 -1e-3 tag\nq2 Q0 d1 1 0.5 tag\n"
QRELS = "q1 0 d1 1\nq1 0 d2 0\nq2 0 d1 2\nq2 0 d-3 -1\n"
TOPICS = "q1\tpaka na mbwa\nq2\tKwa nini mkate unahitaji muda?\n3\t\u0645\u0627\u0621 \u00e9\n"
TSV = "paka mbili\ttwo cats\tbible\nmbwa\ta dog\tnews\nnyumba kubwa\ta big house\tnews\n"
TMX = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE tmx SYSTEM "tmx14.dtd" [<!ENTITY a "and">]>
<tmx version="1.4"><header srclang="en"/><body>
<tu><tuv xml:lang="sw"><seg>paka &a; <it>b</it></seg></tuv>
<tuv xml:lang="en"><seg>cat</seg></tuv></tu>
<tu><tuv xml:lang="fr-FR"><seg>chat</seg></tuv><tuv lang="en-GB"><seg>cat</seg></tuv></tu>
<tu><tuv xml:lang="swa"><seg>mbwa</seg></tuv><tuv lang="en-GB"><seg>a &lt; dog</seg></tuv></tu>
</body></tmx>
"""
CORPUS = """{"id": "d1", "contents": "a cat sees the \\u00e9 bird"}
{"id": "d2", "contents": "big dog", "title": ["x", {"y": 1}]}
{"id": "3", "contents": "old house\\nnear \\ud83d\\ude00 water"}
"""
LEXICON = "sw\ten\npaka\tcat\nmbwa\tdog\npaka\tpuss\nnyumba kubwa\tbig house\n"
CSV = 'txt_swh,txt_eng,quality\npaka,cat,1\n"mbwa, kali","a ""bad"" dog",2\nmaji,water,3\n'
PROBABILITIES = "paka\tcat\t0.75\npaka\tpuss\t0.2\nmbwa\tdog\t1\nmaji\twater\t1e-05\n"
EXPERIMENT = """name = "small"
measures = ["RR@10", "R@3"]
hits = 4
one_vector = ["muvera-20x1x64", "mean"]
[fusion]
method = "wsum"
weights = [0.5, 0.5]
[teacher]
encoder = "embedded"
center_on = "tiny"
n_docs = 100
dim = 8
[collections.tiny]
licence = "CC0"
name = "x/tiny"
[languages.sw]
bitext = "bitext.tsv"
share = 2.0
[languages.so]
bitext = { "a.tsv" = 1, "b.tsv" = 0.5 }
exclude_sources = ["bible"]
[students.optical]
each = false
seeds = [42, 43]
max_steps = 3
batch_size = 4
learning_rate = 5e-5
epsilon = 0.05
plan = "entropic"
like_share = 0.5
[[tasks]]
collection = "tiny"
topics = "sw"
query_lang = "sw"
half = "tuning"
translations = { part = "tiny/part.tsv", human = "tiny/topics.en.tsv" }
"""

FORMATS = {
    "run": Format("run.trec", RUN, mutate_any(mutate_fields(" ")), law_of_runs),
    "qrels": Format("qrels.txt", QRELS, mutate_any(mutate_fields(" ")), law_of_qrels),
    "topics": Format("topics.tsv", TOPICS, mutate_any(mutate_fields("\t")), law_of_topics),
    "bitext TSV": Format(
        "x.tsv",
        TSV,
        mutate_any(mutate_fields("\t")),
        lambda path: law_of_bitext(read_bitext(path), path),
    ),
    "TMX": Format(
        "x.tmx",
        TMX,
        mutate_any(mutate_xml, mutate_xml),
        lambda path: law_of_bitext(read_bitext(path, query_lang="sw"), path),
    ),
    "Moses": Format(
        "x.sw",
        "paka\nmbwa\nnyumba kubwa\n",
        mutate_any(mutate_fields(" ")),
        lambda path: law_of_bitext(read_bitext(path), path),
    ),
    "corpus": Format("corpus.jsonl", CORPUS, mutate_any(mutate_json_lines), law_of_corpora),
    "lexicon": Format("x.txt", LEXICON, mutate_any(mutate_fields("\t")), law_of_lexicons),
    "lexicon CSV": Format("x.csv", CSV, mutate_any(mutate_fields(",")), law_of_lexicons),
    "probabilities": Format(
        "x.tsv", PROBABILITIES, mutate_any(mutate_fields("\t")), law_of_probabilities
    ),
    "experiment": Format(
        "x.toml", EXPERIMENT, mutate_any(mutate_toml, mutate_toml), law_of_experiments
    ),
}
