"""The verbs beyond one machine: encode-ray, export-index, search-exported."""

from pathlib import Path
from typing import Annotated

import typer

from optical_ir.cli.options import (
    BatchSize,
    CollectionName,
    Device,
    Encoder,
    Lexicon,
    MaxLength,
    Output,
    Overwrite,
    Topics,
)
from optical_ir.console import make_progress, track

_ADDRESS = "qdrant:URL/NAME, qdrant:FOLDER/NAME, lancedb:FOLDER/NAME, lancedb:s3://BUCKET/NAME or "


def encode_ray(
    collection: CollectionName,
    output: Annotated[Path, typer.Option(help="Where to write, seen by all nodes.")],
    encoder: Encoder = "embedded",
    address: Annotated[
        str | None,
        typer.Option(
            help="Of the cluster: auto, ray://HOST:10001, or local for this machine. By default "
            "RAY_ADDRESS, else a cluster that runs here, else this machine."
        ),
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes with an encoder each.")] = 1,
    cpus: Annotated[float, typer.Option(min=0, help="Processors that each of them takes.")] = 1,
    gpus: Annotated[float, typer.Option(min=0, help="GPUs that each of them takes.")] = 0,
    blocks_per_part: Annotated[
        int, typer.Option(min=1, help="Blocks of 1024 documents that go to a process together.")
    ] = 16,
    storage: Annotated[
        str, typer.Option(help="Of the vectors: float32, bfloat16, float16, int8 or pq.")
    ] = "bfloat16",
    batch_size: BatchSize = 32,
    max_length: MaxLength = None,
    overwrite: Overwrite = False,
) -> None:
    """Encode a collection on a Ray cluster into the index that `encode` writes.

    After a kill the same command goes on with the parts that are missing.
    """
    from optical_ir.collections import load_collection
    from optical_ir.provenance import describe_origin
    from optical_ir.ray_encoding import RaySettings, encode_with_ray

    names = {
        "collection": collection,
        "encoder": encoder,
        "max_length": max_length,
        "storage": storage,
    }
    with make_progress() as progress:
        encode_with_ray(
            load_collection(collection).iter_docs(),
            encoder,
            output,
            RaySettings(address, workers, cpus, gpus, blocks_per_part),
            storage=storage,
            batch_size=batch_size,
            max_length=max_length,
            origin=describe_origin(settings=names),
            overwrite=overwrite,
            progress=lambda parts, total: track(parts, "Parts", total, progress=progress),
        )


def export_index(
    index: Annotated[Path, typer.Option(help="Multi-vector index that `encode` wrote.")],
    to: Annotated[str, typer.Option(help=_ADDRESS + "vespa:FOLDER/NAME.")],
    prune: Annotated[
        bool, typer.Option("--prune", help="Remove documents there that the index does not know.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a Vespa feed; others are updated.")
    ] = False,
) -> None:
    """Copy an index to Qdrant or LanceDB, or write it as a schema and a feed for Vespa.

    Run it again after a kill, or after the index changed: what is there already stays, nothing
    is there twice, and deleted documents go.
    """
    from optical_ir.engines import export_index, parse_address
    from optical_ir.retrieval.index import MultiVectorIndex

    address, opened = parse_address(to), MultiVectorIndex.open(index)
    with make_progress() as progress:
        done = export_index(
            opened,
            address,
            prune=prune,
            overwrite=overwrite,
            progress=lambda rows, total: track(rows, "Documents", total, progress=progress),
        )
    typer.echo(f"{done.written} written, {done.kept} there already, {done.removed} removed")


def search_exported(
    index: Annotated[str, typer.Option(help=_ADDRESS + "vespa:URL/NAME.")],
    encoder: Encoder,
    topics: Topics,
    output: Output,
    hits: Annotated[int, typer.Option(min=1, help="Documents a query.")] = 1000,
    tag: Annotated[
        str | None, typer.Option(help="Last column; the encoder's name if not given.")
    ] = None,
    approximate: Annotated[
        bool, typer.Option("--approximate", help="Let the engine use an index that you made there.")
    ] = False,
    lexicon: Lexicon = None,
    batch_size: BatchSize = 32,
    max_length: MaxLength = None,
    device: Device = None,
    overwrite: Overwrite = False,
) -> None:
    """Search what `export-index` wrote, with the engine that holds it, and write a TREC run."""
    from optical_ir.collections import load_queries, read_gloss_lexicon
    from optical_ir.engines import parse_address, search_exported
    from optical_ir.files import check_output, sha256_text
    from optical_ir.provenance import write_origin
    from optical_ir.run_facts import describe_sources
    from optical_ir.trec import write_run

    check_output(output, overwrite=overwrite)
    address, queries = parse_address(index), load_queries(topics)
    name = tag or Path(encoder).resolve().name
    run = search_exported(
        encoder,
        address,
        queries,
        k=hits,
        exact=not approximate,
        lexicon=read_gloss_lexicon(lexicon) if lexicon else None,
        batch_size=batch_size,
        max_length=max_length,
        device=device,
    )
    write_run(output, run, tag=name, overwrite=overwrite)
    settings = {"index": index, "topics": topics, "encoder": encoder, "hits": hits, "tag": name}
    settings |= {"approximate": approximate, "lexicon": lexicon, "max_length": max_length}
    inputs = {"topics": topics} | ({"lexicon": lexicon} if lexicon else {})
    facts = describe_sources(encoder=encoder, topics=topics) | {"sha256": sha256_text(output)}
    write_origin(output, settings=settings, inputs=inputs, facts=facts, is_run=True)
