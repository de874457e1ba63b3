"""The verb that answers over HTTP: serve."""

from pathlib import Path
from typing import Annotated

import typer

from optical_ir.cli.options import Device, MaxLength


def serve(
    index: Annotated[Path, typer.Option(help="Multi-vector index that `encode` wrote.")],
    encoder: Annotated[
        list[str],
        typer.Option(help="LANG=ENCODER, as sw=student-sw: query encoder of a language; repeat."),
    ],
    collection: Annotated[
        str | None,
        typer.Option(help="What was encoded; by default what the index names."),
    ] = None,
    passages: Annotated[
        Path | None,
        typer.Option(help="File to keep the texts in for the next start; a temporary one if none."),
    ] = None,
    teacher: Annotated[
        str | None,
        typer.Option(help="Answers zero-shot, and explains; by default what the index names."),
    ] = None,
    bm25: Annotated[
        Path | None, typer.Option(help="BM25 index of the passages that `index` wrote.")
    ] = None,
    lexicon: Annotated[
        list[str] | None,
        typer.Option(
            help="LANG=TSV, translation probabilities: the language's encoder reads queries with "
            "their glosses; repeat."
        ),
    ] = None,
    translator: Annotated[
        list[str] | None,
        typer.Option(help="LANG=MODEL, for BM25: translates the language's queries; repeat."),
    ] = None,
    topics: Annotated[
        list[str] | None,
        typer.Option(help="LANG=TSV: queries that the page offers as examples; repeat."),
    ] = None,
    translated_topics: Annotated[
        list[str] | None,
        typer.Option(help="LANG=TSV, for BM25: their English translations, by id; repeat."),
    ] = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on; other than loopback needs a token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8000,
    token_file: Annotated[
        Path | None,
        typer.Option(help="Token that requests must bring; OPTICAL_IR_TOKEN if not given."),
    ] = None,
    max_chars: Annotated[int, typer.Option(min=1, help="Characters of a query.")] = 500,
    rate: Annotated[
        float, typer.Option(min=0, help="Requests a second from an address; 0 for any number.")
    ] = 5.0,
    burst: Annotated[int, typer.Option(min=1, help="Requests from an address at once.")] = 20,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Requests computed at a time; by default one a processor."),
    ] = None,
    queue: Annotated[int, typer.Option(min=0, help="Requests that may wait for a worker.")] = 32,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds a request may take.")] = 20.0,
    max_length: MaxLength = None,
    device: Device = None,
) -> None:
    """Answer queries over HTTP, and show a page to try it; stops on SIGTERM or Ctrl-C."""
    from optical_ir import serving

    def paths(option: str, values: list[str] | None) -> dict[str, Path]:
        return {lang: Path(v) for lang, v in serving.parse_pairs(option, values or []).items()}

    sources = serving.Sources(
        index=index,
        encoders=serving.parse_pairs("--encoder", encoder),
        collection=collection,
        passages=passages,
        teacher=teacher,
        bm25=bm25,
        lexicons=paths("--lexicon", lexicon),
        translators=serving.parse_pairs("--translator", translator or []),
        topics=paths("--topics", topics),
        translated_topics=paths("--translated-topics", translated_topics),
        max_length=max_length,
        device=device,
    )
    limits = serving.Limits(
        max_chars=max_chars, rate=rate, burst=burst, workers=workers, queue=queue, timeout=timeout
    )
    token = serving.read_token(token_file)
    serving.serve(sources, limits, host=host, port=port, token=token)
