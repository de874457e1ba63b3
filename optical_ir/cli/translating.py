"""The verbs on translations: translate, score-translation."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from optical_ir.cli.options import BatchSize, Device, MaxLength, Output, Overwrite
from optical_ir.console import make_progress
from optical_ir.errors import ConfigError


class _Source(NamedTuple):
    """What is translated: queries or documents, their number, language, and place."""

    role: str
    texts: Any
    total: int
    lang: str
    path: str | Path


def translate(
    model: Annotated[
        str,
        typer.Option(
            help="MarianMT (OPUS-MT), M2M-100, NLLB-200, mBART-50 or MADLAD-400 checkpoint: name "
            "or folder."
        ),
    ],
    output: Output,
    topics: Annotated[
        str | None,
        typer.Option(help="TSV file (query_id TAB query), or an ir_datasets id; TSV comes out."),
    ] = None,
    collection: Annotated[
        str | None,
        typer.Option(
            help="In place of topics: a folder with corpus.jsonl, or an ir_datasets id; JSON lines "
            "come out."
        ),
    ] = None,
    query_lang: Annotated[
        str | None, typer.Option(help="Language of the topics, ISO 639 or BCP 47.")
    ] = None,
    doc_lang: Annotated[
        str | None,
        typer.Option(help="Language of the collection, where it does not say itself."),
    ] = None,
    target_lang: Annotated[str, typer.Option(help="Language to translate into.")] = "en",
    engine: Annotated[
        str, typer.Option(help="transformers, or ctranslate2 for a folder converted for it.")
    ] = "transformers",
    tokenizer: Annotated[
        str | None, typer.Option(help="Where the model's folder has none: name or folder.")
    ] = None,
    num_beams: Annotated[int, typer.Option(min=1, help="Of the search; 1 is greedy.")] = 4,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Tokens of a translation.")] = 256,
    max_length: MaxLength = None,
    batch_size: BatchSize = 32,
    dtype: Annotated[
        str | None,
        typer.Option(help="float32 (by default), bfloat16 or float16; of ctranslate2 also int8."),
    ] = None,
    device: Device = None,
    overwrite: Overwrite = False,
) -> None:
    """Translate topics or a collection's documents, by a neural model.

    After a kill the same command goes on where it stopped. What was translated stays in
    OUTPUT.cache, which may be removed once the output is there.
    """
    from optical_ir.files import check_output, sha256_text
    from optical_ir.languages import normalize_language
    from optical_ir.provenance import write_origin
    from optical_ir.translation import (
        Tally,
        TranslationSettings,
        load_translator,
        write_translated_corpus,
        write_translated_topics,
    )

    check_output(output, overwrite=overwrite)
    source = _open_source(topics, collection, query_lang, doc_lang)
    settings = TranslationSettings(
        num_beams=num_beams, max_new_tokens=max_new_tokens, max_length=max_length, dtype=dtype
    )
    translator = load_translator(
        model,
        source.lang,
        target_lang,
        engine=engine,
        tokenizer=tokenizer,
        settings=settings,
        device=device,
    )
    write: Callable[..., Tally] = write_translated_topics
    if source.role == "collection":
        write = partial(write_translated_corpus, lang=normalize_language(source.lang))
    with make_progress() as progress:
        task = progress.add_task("Translating", total=source.total)
        tally = write(
            output,
            source.texts,
            translator=translator,
            batch_size=batch_size,
            overwrite=overwrite,
            advance=partial(progress.advance, task),
        )
    given = {"model": model, "tokenizer": tokenizer, source.role: source.path}
    languages = {"source_lang": source.lang, "target_lang": target_lang}
    write_origin(
        output,
        settings={**given, **languages, "batch_size": batch_size},
        inputs={source.role: source.path},
        facts={
            "translator": dict(translator.identity),
            "translation": tally.summary(),
            "sha256": sha256_text(output),
        },
    )


def score_translation(
    topics: Annotated[str, typer.Option(help="Translated topics: TSV, query_id TAB query.")],
    reference: Annotated[
        list[str], typer.Option(help="Topics translated by people, same ids; may be repeated.")
    ],
    format: Annotated[str, typer.Option(help="text or json.")] = "text",
) -> None:
    """Print BLEU and chrF of translated topics, with sacreBLEU's signatures."""
    import json

    from optical_ir.collections import load_queries
    from optical_ir.translation import score_translation as score

    if format not in ("text", "json"):
        raise ConfigError(f"expected a format text or json, found {format!r}.")
    n_queries, scores = score(load_queries(topics), *map(load_queries, reference))
    if format == "json":
        values = {name: {"score": value, "signature": line} for name, value, line in scores}
        typer.echo(json.dumps({"n_queries": n_queries, **values}, indent=2))
        return
    for name, value, line in scores:
        typer.echo(f"{name} {value:.2f} over {n_queries} queries, {line}")


def _open_source(
    topics: str | None, collection: str | None, query_lang: str | None, doc_lang: str | None
) -> _Source:
    from optical_ir.collections import load_collection, load_queries
    from optical_ir.translation import check_splitter

    if (topics is None) == (collection is None):
        raise ConfigError("expected one of --topics and --collection. Choose one.")
    if topics is not None:
        if query_lang is None:
            raise ConfigError("expected the language of the topics. Give it as --query-lang.")
        queries = load_queries(topics)
        return _Source("topics", queries, len(queries), query_lang, topics)
    check_splitter()
    name = str(collection)
    source = load_collection(name)
    lang = doc_lang or source.doc_lang
    if lang is None:
        raise ConfigError("expected the language of the documents. Give it as --doc-lang.")
    # Documents are counted so that the progress bar knows the time left.
    total = source.n_docs or sum(1 for _ in source.iter_docs())
    files = (Path(name, file) for file in ("corpus.jsonl", "corpus.jsonl.gz"))
    path = next((file for file in files if file.is_file()), name)
    return _Source("collection", source.iter_docs(), total, lang, path)
