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
    MaxMemory,
    Output,
    Overwrite,
    Threads,
    to_bytes,
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
    storage: Annotated[
        str, typer.Option(help="Of the vectors: float32, bfloat16, float16, int8 or pq.")
    ] = "bfloat16",
    pool_factor: Annotated[
        float, typer.Option(help="Cluster each document's vectors into so many times fewer.")
    ] = 1,
    shard_id: Annotated[
        int, typer.Option(help="Part of the collection to encode, from 0; see merge-indexes.")
    ] = 0,
    shard_num: Annotated[int, typer.Option(min=1, help="Parts of the collection.")] = 1,
    max_memory: MaxMemory = 2,
    batch_size: BatchSize = 32,
    max_length: MaxLength = None,
    device: Device = None,
    overwrite: Overwrite = False,
) -> None:
    """Encode a collection's documents into a multi-vector index, with the teacher.

    After a kill the same command goes on where it stopped. Several processes, on one machine or
    many, each encode a part of the collection, and merge-indexes joins them.
    """
    from optical_ir.files import check_output
    from optical_ir.indexing import EncodeSettings, encode_collection
    from optical_ir.retrieval.index_description import Part

    check_output(output, overwrite=overwrite)
    with make_progress() as progress:
        encode_collection(
            output,
            EncodeSettings(collection, encoder, max_length, storage, pool_factor),
            part=Part(shard_id, shard_num) if shard_num > 1 or shard_id else None,
            max_memory=to_bytes(max_memory),
            batch_size=batch_size,
            device=device,
            overwrite=overwrite,
            progress=lambda docs, total: track(docs, "Encoding", total, progress=progress),
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


def compress(
    index: Annotated[Path, typer.Option(help="What `encode` wrote; the codes are put into it.")],
    code_bytes: Annotated[
        int, typer.Option(min=1, help="Bytes of a code; more find more with as many candidates.")
    ] = 32,
    threads: Threads = None,
    seed: Annotated[int, typer.Option(min=0, help="Of all random numbers.")] = 42,
    overwrite: Overwrite = False,
) -> None:
    """Put short token codes beside an index's embeddings, for search --candidates.

    After a kill the same command goes on where it stopped. Encode or add documents first: the
    codes belong to the index as it is.
    """
    from optical_ir.retrieval.compress import compress_index
    from optical_ir.retrieval.index import MultiVectorIndex
    from optical_ir.threads import use_threads

    opened = MultiVectorIndex.open(index)
    with make_progress() as progress, use_threads(threads) as n_threads:
        compress_index(
            opened,
            n_parts=code_bytes,
            threads=n_threads,
            seed=seed,
            overwrite=overwrite,
            track=lambda blocks: track(blocks, "Compressing", len(blocks), progress=progress),
        )
