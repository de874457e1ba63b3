"""The verbs on collections and indexes: prepare, encode, index, search."""

from pathlib import Path
from typing import Annotated

import typer

from optical_ir.cli.options import (
    BatchSize,
    CollectionName,
    Device,
    Encoder,
    MaxLength,
    Output,
    Overwrite,
)
from optical_ir.console import make_progress, track
from optical_ir.errors import ConfigError


def prepare(
    collection: Annotated[str, typer.Argument(help="An ir_datasets id, a folder, or 'demo'.")],
    output: Output,
    topics: Annotated[
        str | None, typer.Option(help="Topics of a folder, language of the demo, or query field.")
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="NAME in topics.NAME.tsv; --topics by default.")
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Write a collection as a folder: corpus.jsonl, topics.NAME.tsv, qrels.NAME.txt."""
    from optical_ir.collections import load_collection
    from optical_ir.collections import prepare as prepare_folder

    source = load_collection(collection, topics=topics)
    with make_progress() as progress:
        prepare_folder(
            source,
            output,
            topics_name=name or topics or source.query_lang or "all",
            overwrite=overwrite,
            progress=lambda docs, total: track(docs, "Documents", total, progress=progress),
        )


def encode(
    collection: CollectionName,
    output: Output,
    encoder: Encoder = "embedded",
    dtype: Annotated[str, typer.Option(help="Of the index: bfloat16 or float32.")] = "bfloat16",
    batch_size: BatchSize = 32,
    max_length: MaxLength = None,
    device: Device = None,
    overwrite: Overwrite = False,
) -> None:
    """Encode a collection's documents into a multi-vector index, with the teacher.

    After a kill the same command goes on where it stopped.
    """
    from optical_ir.collections import load_collection
    from optical_ir.files import check_output
    from optical_ir.models import embedding_space, fast_inference, load_encoder
    from optical_ir.provenance import describe_origin
    from optical_ir.retrieval.index import build_index

    check_output(output, overwrite=overwrite)
    source = load_collection(collection)
    model = load_encoder(encoder, device=device, document_length=max_length)
    space = embedding_space(encoder, model)
    settings = {
        "collection": collection,
        "encoder": encoder,
        "max_length": max_length,
        "dtype": dtype,
    }
    with make_progress() as progress:
        build_index(
            track(source.iter_docs(), "Encoding", source.n_docs, progress=progress),
            fast_inference(model),
            output,
            space=space,
            dtype=dtype,
            batch_size=batch_size,
            origin=describe_origin(settings=settings),
            overwrite=overwrite,
        )


def index(
    collection: CollectionName,
    output: Output,
    token_vectors: Annotated[
        Path | None,
        typer.Option(help="What `encode` wrote of it, for late interaction in Lucene."),
    ] = None,
    language: Annotated[str, typer.Option(help="Of the documents; chooses the analyzer.")] = "en",
    overwrite: Overwrite = False,
) -> None:
    """Index a collection's documents for BM25, with Anserini, or for late interaction in Lucene.

    With --token-vectors, Lucene re-scores what it finds by MaxSim; this needs Pyserini 2.4.
    """
    from optical_ir.collections import load_collection
    from optical_ir.languages import normalize_language
    from optical_ir.retrieval.bm25 import Bm25Index
    from optical_ir.retrieval.index import MultiVectorIndex
    from optical_ir.retrieval.late_interaction import LateInteractionIndex

    language = normalize_language(language)
    if token_vectors and language != "en":
        raise ConfigError(
            f"--token-vectors: expected documents in en, found --language {language}. "
            "Leave one of them out."
        )
    source = load_collection(collection)
    vectors = MultiVectorIndex.open(token_vectors) if token_vectors else None
    with make_progress() as progress:
        docs = track(source.iter_docs(), "Reading", source.n_docs, progress=progress)
        if vectors is None:
            Bm25Index.build(docs, output, language=language, overwrite=overwrite).close()
        else:
            LateInteractionIndex.build(docs, vectors, output, overwrite=overwrite).close()


def search(
    index: Annotated[Path, typer.Option(help="What `encode` or `index` wrote.")],
    topics: Annotated[
        str, typer.Option(help="TSV file (query_id TAB query), or an ir_datasets id.")
    ],
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
    name = tag or (Path(encoder).resolve().name if encoder else "bm25")
    if len(name.split()) != 1:
        raise ConfigError(f"expected a tag without white space, found {name!r}. Pass a --tag.")
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
