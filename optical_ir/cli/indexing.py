"""The verbs on collections and indexes: prepare, encode, index."""

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
