"""The verbs that make runs from an index: search, rerank."""

from pathlib import Path
from typing import Annotated

import typer

from optical_ir.cli.options import (
    BatchSize,
    Device,
    Encoder,
    MaxLength,
    Output,
    Overwrite,
    Topics,
)
from optical_ir.errors import ConfigError


def search(
    index: Annotated[Path, typer.Option(help="What `encode` or `index` wrote.")],
    topics: Topics,
    output: Output,
    encoder: Annotated[
        str | None, typer.Option(help="Query encoder: a student or the teacher; not for BM25.")
    ] = None,
    hits: Annotated[int, typer.Option(min=1, help="Documents a query.")] = 1000,
    tag: Annotated[
        str | None, typer.Option(help="Last column; the encoder's name if not given.")
    ] = None,
    first_stage: Annotated[
        str | None,
        typer.Option(help="Of late interaction in Lucene: vector (by default) or bm25."),
    ] = None,
    first_stage_topics: Annotated[
        str | None,
        typer.Option(help="Topics that bm25 takes instead, by the same ids: translations, say."),
    ] = None,
    first_stage_hits: Annotated[
        int, typer.Option(min=1, help="Documents a query that the first stage finds.")
    ] = 1000,
    batch_size: BatchSize = 32,
    max_length: MaxLength = None,
    device: Device = None,
    k1: Annotated[float, typer.Option(min=0, help="BM25.")] = 0.9,
    b: Annotated[float, typer.Option(min=0, max=1, help="BM25.")] = 0.4,
    overwrite: Overwrite = False,
) -> None:
    """Search an index and write a TREC run: exact MaxSim, BM25, or late interaction in Lucene."""
    from optical_ir.collections import load_queries
    from optical_ir.files import check_output
    from optical_ir.provenance import write_origin
    from optical_ir.retrieval.bm25 import Bm25Index
    from optical_ir.retrieval.late_interaction import is_late_interaction_index, search_late
    from optical_ir.retrieval.search import search_with
    from optical_ir.trec import write_run

    check_output(output, overwrite=overwrite)
    name = _tag(tag, encoder)
    late = is_late_interaction_index(index)
    _check_search(index, encoder, first_stage or first_stage_topics, late=late)
    queries = load_queries(topics)
    others = load_queries(first_stage_topics) if first_stage_topics else None
    settings = {"index": index, "topics": topics, "encoder": encoder, "hits": hits, "tag": name}
    if encoder is None:
        with Bm25Index(index) as lucene:
            run = lucene.search(queries, k=hits, k1=k1, b=b)
        settings |= {"k1": k1, "b": b}
    elif late:
        run = search_late(
            encoder,
            index,
            queries,
            first_stage=first_stage or "vector",
            first_stage_queries=others,
            depth=first_stage_hits,
            k=hits,
            k1=k1,
            b=b,
            batch_size=batch_size,
            max_length=max_length,
            device=device,
        )
        settings |= {"first_stage": first_stage or "vector", "first_stage_hits": first_stage_hits}
        settings |= {"k1": k1, "b": b, "max_length": max_length}
    else:
        run = search_with(
            encoder,
            index,
            queries,
            k=hits,
            batch_size=batch_size,
            max_length=max_length,
            device=device,
        )
        settings |= {"max_length": max_length}
    write_run(output, run, tag=name, overwrite=overwrite)
    inputs = {"topics": topics, "first_stage_topics": first_stage_topics}
    given = {role: path for role, path in inputs.items() if path}
    write_origin(output, settings=settings, inputs=given)


def _check_search(index: Path, encoder: str | None, first_stage: str | None, *, late: bool) -> None:
    if encoder is None and (late or (index / "embeddings.bin").exists()):
        kind = "late-interaction" if late else "multi-vector"
        raise ConfigError(f"{index}: is a {kind} index. Name its query --encoder.")
    if first_stage and not late:
        raise ConfigError(
            f"{index}: expected a late-interaction index for --first-stage, found another. "
            "Make one with: optical-ir index --token-vectors, or leave the first stage out."
        )


def _tag(tag: str | None, encoder: str | None) -> str:
    name = tag or (Path(encoder).resolve().name if encoder else "bm25")
    if len(name.split()) != 1:
        raise ConfigError(f"expected a tag without white space, found {name!r}. Pass a --tag.")
    return name


def rerank(
    run: Annotated[Path, typer.Option(help="TREC run of any engine, Pyserini's or ours.")],
    index: Annotated[Path, typer.Option(help="Multi-vector index that `encode` wrote.")],
    encoder: Encoder,
    topics: Topics,
    output: Output,
    hits: Annotated[int, typer.Option(min=1, help="Documents a query that are scored.")] = 1000,
    tag: Annotated[
        str | None, typer.Option(help="Last column; the encoder's name if not given.")
    ] = None,
    batch_size: BatchSize = 32,
    max_length: MaxLength = None,
    device: Device = None,
    overwrite: Overwrite = False,
) -> None:
    """Rank the documents of a run anew, by exact MaxSim."""
    from optical_ir.collections import load_queries
    from optical_ir.files import check_output
    from optical_ir.provenance import write_origin
    from optical_ir.retrieval.index import MultiVectorIndex
    from optical_ir.retrieval.queries import encode_for
    from optical_ir.retrieval.rerank import rerank as rerank_run
    from optical_ir.trec import read_run, write_run

    check_output(output, overwrite=overwrite)
    name = _tag(tag, encoder)
    queries, first_stage, opened = load_queries(topics), read_run(run), MultiVectorIndex.open(index)
    vectors = encode_for(
        opened, encoder, queries, batch_size=batch_size, max_length=max_length, device=device
    )
    reranked = rerank_run(opened, first_stage, queries, vectors, k=hits)
    write_run(output, reranked, tag=name, overwrite=overwrite)
    settings = {"index": index, "encoder": encoder, "hits": hits, "tag": name}
    write_origin(
        output,
        settings=settings | {"topics": topics, "max_length": max_length},
        inputs={"run": run, "topics": topics},
    )
