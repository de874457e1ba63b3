"""What decides a run beside its settings: hashes of models and indexes, translation, engine."""

import re
from pathlib import Path
from typing import Any

from optical_ir.retrieval.index_description import is_multi_vector_index
from optical_ir.stages import index_hash, read_json, weights_hash


def describe_sources(
    *,
    index: Path | None = None,
    encoder: str | None = None,
    topics: Path | str | None = None,
) -> dict[str, Any]:
    """Facts for the provenance of a run, of what can be read from files; the rest is left out.

    Parameters
    ----------
    index : path, optional
        Folder; a BM25 index adds the versions of Anserini and Lucene that search it.
    encoder : str, optional
        Name or folder; a name has no hash here.
    topics : path or str, optional
        Where `optical-ir translate` wrote them, the model is that of their provenance.
    """
    facts: dict[str, Any] = {}
    if encoder is not None and Path(encoder, "model.safetensors").is_file():
        facts["encoder_sha256"] = weights_hash(Path(encoder))
    if index is not None:
        facts |= _describe_index(index)
    if topics is not None:
        facts |= describe_translation(topics)
    return facts


def describe_translation(topics: Path | str) -> dict[str, Any]:
    """Give the model that translated a topics file, by the provenance beside it, else nothing."""
    origin = read_json(Path(f"{topics}.json"))
    if "translator" not in origin:
        return {}
    name = (origin.get("settings") or {}).get("model")
    return {"translator": {"name": name, **origin["translator"]}}


def _describe_index(folder: Path) -> dict[str, Any]:
    if is_multi_vector_index(folder):
        return {"index_sha256": index_hash(folder)}
    corpus = read_json(folder / "index.json").get("corpus_sha256")
    return {"index_sha256": corpus, "engine": describe_engine()} if corpus else {}


def describe_engine() -> dict[str, str]:
    """Versions of Anserini and of its Lucene; starts the JVM if none runs.

    Raises
    ------
    DependencyError
        If Pyserini or a Java for it is missing.
    """
    from optical_ir.retrieval.java import find_anserini_jar, start_jvm

    start_jvm()
    from jnius import autoclass

    found = re.fullmatch(r"anserini-(.+)-fatjar\.jar", find_anserini_jar().name)
    lucene = autoclass("org.apache.lucene.util.Version").LATEST.toString()
    return {"anserini": found[1] if found else "unknown", "lucene": str(lucene)}
