"""A small experiment's output: two keys, three systems, texts in three scripts."""

import json
from pathlib import Path

import pytest

from optical_ir.records import Qrel, ScoredDoc
from optical_ir.trec import write_qrels, write_run

N_QUERIES = 12
SYSTEMS = ("zero-shot", "optical", "bm25")
QUERIES = {
    "sw": "maji safi yanatoka wapi",
    "mr": "\u0915\u094d\u0937\u0947\u0924\u094d\u0930 \u0939\u093f\u0928\u094d\u0926\u0940",
    "ar": "\u0645\u0627 \u0639\u0627\u0635\u0645\u0629 \u0627\u0644\u0633\u0648\u062f\u0627\u0646",
}


def write_provenance(run: Path, *, collection: str, topics: str, system: str, queries: int) -> None:
    """Write what `reproduce` writes beside a run."""
    origin = {
        "command": "optical-ir reproduce demo.toml",
        "created": "2026-11-26T01:02:03+00:00",
        "settings": {
            "collection": collection,
            "topics": topics,
            "queries": queries,
            "system": system,
        },
        "versions": {"python": "3.11.7", "optical-ir": "0.1.0"},
        "commit": "0123456789ab",
        "seconds": 2.5,
        "cpu_seconds": 1.25,
        "seed": 42,
    }
    path = run.with_name(run.name.removesuffix(".gz") + ".json")
    path.write_text(json.dumps(origin), "utf-8")


def make_run(skill: int, query_ids: list[str]) -> dict[str, list[ScoredDoc]]:
    """Rank the relevant document of query i at 1, 2, ... by turns of `skill` ranks."""
    run = {}
    for number, query_id in enumerate(query_ids):
        docs = [f"other{j}" for j in range(8)]
        docs.insert(number % skill, f"d{number}")
        run[query_id] = [ScoredDoc(query_id, doc, 9.0 - j) for j, doc in enumerate(docs)]
    return run


@pytest.fixture
def output(tmp_path) -> Path:
    """Give a folder as `reproduce` leaves it, and a collection `toy` beside it."""
    folder, toy = tmp_path / "results", tmp_path / "toy"
    for made in (folder / "runs", folder / "qrels", folder / "students/optical", toy):
        made.mkdir(parents=True)
    ids = [f"q{number}" for number in range(N_QUERIES)]
    docs = [f"d{number}" for number in range(N_QUERIES)] + [f"other{j}" for j in range(9)]
    with (toy / "corpus.jsonl").open("w", encoding="utf-8") as stream:
        for doc in docs:
            stream.write(json.dumps({"id": doc, "contents": f"Words of {doc} " * 20}) + "\n")
    for topics, text in QUERIES.items():
        lines = "".join(f"{query_id}\t{text} {query_id}\n" for query_id in ids)
        (toy / f"topics.{topics}.tsv").write_text(lines, "utf-8")
    lines = "".join(f"{query_id}\tEnglish of {query_id}\n" for query_id in ids)
    (toy / "topics.en.tsv").write_text(lines, "utf-8")
    for topics in ("sw", "mr"):
        qrels = [Qrel(query_id, f"d{number}", 1) for number, query_id in enumerate(ids)]
        write_qrels(folder / "qrels" / f"qrels.toy-{topics}.txt", qrels)
        for skill, system in zip((3, 2, 7), SYSTEMS, strict=True):
            path = folder / "runs" / f"run.toy-{topics}.{system}.trec"
            write_run(path, make_run(skill, ids), tag=system)
            facts = {"collection": "toy", "topics": topics, "system": system}
            write_provenance(path, **facts, queries=N_QUERIES)
    log = [
        {"step": 0, "dev_rr@10": 0.25},
        {"step": 10, "loss": 0.5, "seconds": 61.5, "cpu_seconds": 60.0},
        {"step": 10, "dev_rr@10": 0.5},
    ]
    text = "".join(json.dumps(row) + "\n" for row in log)
    (folder / "students/optical/log.jsonl").write_text(text, "utf-8")
    return folder
