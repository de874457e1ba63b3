"""The verbs that meet Pyserini: environment, export, encode-queries, index-vectors."""

from pathlib import Path
from typing import Annotated

import typer

from optical_ir.cli.options import BatchSize, Device, Encoder, Lexicon, Output, Overwrite, Topics
from optical_ir.console import make_progress, track
from optical_ir.errors import ConfigError


def environment() -> None:
    """Print shell lines with which Pyserini's own commands run here.

    Use: eval "$(optical-ir environment)". What was found, and what is missing, goes to stderr.
    """
    import shlex

    from optical_ir.retrieval.environment import describe_environment, shell_environment

    for line in describe_environment():
        typer.echo(line, err=True)
    for name, value in shell_environment().items():
        typer.echo(f"export {name}={shlex.quote(value)}")


def export(
    encoder: Encoder,
    output: Output,
    single_vector: Annotated[
        bool,
        typer.Option("--single-vector", help="A plain checkpoint for stock Pyserini's `auto`."),
    ] = False,
    muvera: Annotated[
        bool,
        typer.Option(
            "--muvera",
            help="For `python -m encoders`: its vectors are then fixed-dimensional encodings of "
            "repetitions x 2^bits x projection values. Give teacher and students the same four.",
        ),
    ] = False,
    vocabulary: Annotated[
        list[Path] | None,
        typer.Option(
            "--vocabulary",
            help="The encoder as it is, with the vocabulary of this text file only, one text a "
            "line or a column of it (TSV); may be repeated.",
        ),
    ] = None,
    repetitions: Annotated[int, typer.Option(help="Partitions of the space.")] = 20,
    bits: Annotated[int, typer.Option(help="Hyperplanes of a partition.")] = 1,
    projection: Annotated[int, typer.Option(help="Values kept of a token vector.")] = 64,
    seed: Annotated[int, typer.Option(help="Of the planes and projections.")] = 42,
    overwrite: Overwrite = False,
) -> None:
    """Write an encoder as Pyserini can use it, one vector a text, or with a small vocabulary."""
    from dataclasses import asdict

    from optical_ir.files import check_output
    from optical_ir.models import embedding_space, load_encoder
    from optical_ir.models.export import export_muvera, export_single_vector
    from optical_ir.models.muvera import MuveraSettings
    from optical_ir.provenance import describe_origin

    if [single_vector, muvera, bool(vocabulary)].count(True) != 1:
        raise ConfigError("expected one of --single-vector, --muvera and --vocabulary. Choose one.")
    check_output(output, overwrite=overwrite)
    if vocabulary:
        _export_vocabulary(encoder, output, vocabulary, overwrite=overwrite)
        return
    model = load_encoder(encoder)
    if single_vector:
        origin = describe_origin(settings={"encoder": encoder})
        export_single_vector(model, output, origin=origin, overwrite=overwrite)
        return
    settings = MuveraSettings(repetitions=repetitions, bits=bits, projection=projection, seed=seed)
    export_muvera(
        model,
        output,
        settings,
        space=embedding_space(encoder, model),
        origin=describe_origin(settings={"encoder": encoder, **asdict(settings)}),
        overwrite=overwrite,
    )
    typer.echo(f"{settings.dim} dimensions")


def _export_vocabulary(encoder: str, output: Path, files: list[Path], *, overwrite: bool) -> None:
    from optical_ir.files import iter_lines
    from optical_ir.models import embedding_space, load_encoder
    from optical_ir.models.cut_vocabulary import export_cut_vocabulary
    from optical_ir.provenance import describe_origin

    texts = [text for file in files for _, line in iter_lines(file) for text in line.split("\t")]
    model = load_encoder(encoder)
    small = export_cut_vocabulary(
        model,
        output,
        texts,
        space=embedding_space(encoder, model),
        origin=describe_origin(
            settings={"encoder": encoder, "vocabulary": files},
            inputs={f"vocabulary {number}": file for number, file in enumerate(files, start=1)},
        ),
        overwrite=overwrite,
    )
    parameters = sum(weight.numel() for weight in small.parameters())
    typer.echo(f"{len(small.tokenizer)} pieces, {parameters / 1e6:.1f}M parameters")


def encode_queries(
    encoder: Encoder,
    topics: Topics,
    output: Output,
    lexicon: Lexicon = None,
    batch_size: BatchSize = 32,
    device: Device = None,
    overwrite: Overwrite = False,
) -> None:
    """Write queries as vectors, for Pyserini's --encoded-queries and for Lucene's dense search.

    The folder has topics.tsv, embedding.pkl and vectors.tsv. The vectors are those that
    `python -m encoders` gives with the same encoder. With a lexicon the queries in topics.tsv have
    their glosses.
    """
    import numpy as np

    from optical_ir.collections import load_queries, read_gloss_lexicon
    from optical_ir.files import check_output
    from optical_ir.glosses import gloss_queries
    from optical_ir.models import load_single_vector
    from optical_ir.provenance import write_origin
    from optical_ir.retrieval.encoded_queries import check_query_ids, write_encoded_queries

    check_output(output, overwrite=overwrite)
    queries = load_queries(topics)
    check_query_ids(queries)
    if lexicon:
        queries = gloss_queries(queries, read_gloss_lexicon(lexicon))
    model = load_single_vector(encoder, device=device)
    starts = range(0, len(queries), batch_size)
    with make_progress() as progress:
        vectors = np.concatenate(
            [
                model.encode_queries([query.text for query in queries[start : start + batch_size]])
                for start in track(starts, "Encoding", len(starts), progress=progress)
            ]
        )
    write_encoded_queries(queries, vectors, output, overwrite=overwrite)
    given = {"topics": topics} | ({"lexicon": lexicon} if lexicon else {})
    write_origin(output, settings={"encoder": encoder, **given}, inputs=given)


def index_vectors(
    embeddings: Annotated[
        Path, typer.Option(help="Folder that pyserini.encode wrote without --to-faiss.")
    ],
    output: Output,
    hnsw: Annotated[
        bool, typer.Option("--hnsw/--flat", help="A graph searched approximately, or all vectors.")
    ] = False,
    m: Annotated[int, typer.Option("-M", min=2, help="Links a node of the graph.")] = 16,
    ef_construction: Annotated[
        int, typer.Option("--efC", min=1, help="Candidates an insertion.")
    ] = 100,
    overwrite: Overwrite = False,
) -> None:
    """Index the vectors of pyserini.encode with Lucene, for pyserini.search.lucene --dense."""
    from optical_ir.retrieval.lucene_vectors import build_vector_index

    n_docs = build_vector_index(
        embeddings, output, hnsw=hnsw, m=m, ef_construction=ef_construction, overwrite=overwrite
    )
    typer.echo(f"{n_docs} documents indexed")
