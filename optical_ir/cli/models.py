"""The verbs that make encoders: build-teacher, train-teacher, distil."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from optical_ir.cli.options import (
    BatchSize,
    CollectionName,
    Device,
    Encoder,
    Lexicon,
    Output,
    Overwrite,
)
from optical_ir.console import make_progress, track

_T = TypeVar("_T")


def build_teacher(
    output: Output,
    encoder: Encoder = "embedded",
    collection: CollectionName = "demo",
    n_docs: Annotated[int, typer.Option(min=1, help="Documents to centre on.")] = 1000,
    dim: Annotated[
        int | None, typer.Option(min=1, help="Principal components kept; all by default.")
    ] = None,
    batch_size: BatchSize = 32,
    device: Device = None,
    overwrite: Overwrite = False,
) -> None:
    """Make a teacher without training: centre an encoder's token vectors on English documents."""
    from itertools import islice

    from optical_ir.collections import load_collection
    from optical_ir.files import check_output
    from optical_ir.models import center_encoder, load_encoder, save_teacher
    from optical_ir.provenance import describe_origin

    check_output(output, overwrite=overwrite)
    settings = {"encoder": encoder, "collection": collection, "n_docs": n_docs, "dim": dim}
    texts = (doc.text for doc in islice(load_collection(collection).iter_docs(), n_docs))
    with make_progress() as progress:
        teacher = center_encoder(
            load_encoder(encoder, device=device),
            track(texts, "Centring", n_docs, progress=progress),
            dim=dim,
            batch_size=batch_size,
        )
    save_teacher(teacher, output, origin=describe_origin(settings=settings), overwrite=overwrite)


def train_teacher(
    output: Output,
    collection: Annotated[
        str,
        typer.Option(
            help="Judged English queries: 'demo', a folder with corpus.jsonl, topics and qrels, "
            "or an ir_datasets id such as msmarco-passage/train."
        ),
    ],
    encoder: Annotated[
        str, typer.Option(help="Start from this one, as build-teacher's; named as any encoder.")
    ] = "embedded",
    topics: Annotated[
        str | None, typer.Option(help="Which queries of the collection, where it has several.")
    ] = None,
    negatives: Annotated[
        str | None,
        typer.Option(
            help="bm25, none or a TREC run. By default an id's own pairs of documents, or bm25."
        ),
    ] = None,
    scorer: Annotated[
        str | None, typer.Option(help="Encoder whose scores are distilled; named as any encoder.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="TOML file of training settings; flags win.")
    ] = None,
    max_steps: Annotated[int | None, typer.Option(help="Optimiser steps.")] = None,
    epochs: Annotated[float | None, typer.Option(help="Passes over the triples.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Triples a step.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Peak learning rate.")] = None,
    n_negatives: Annotated[int | None, typer.Option(help="Hard negatives a query.")] = None,
    document_length: Annotated[
        int | None, typer.Option(help="Tokens kept of a document while training.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of negatives, order, dropout.")] = None,
    device: Device = None,
    overwrite: Overwrite = False,
) -> None:
    """Train a teacher on judged English queries, with in-batch and hard negatives.

    After a kill the same command goes on from the last checkpoint.
    """
    from optical_ir.collections import load_collection
    from optical_ir.files import check_output
    from optical_ir.mining import open_triples
    from optical_ir.models import load_encoder
    from optical_ir.provenance import describe_origin
    from optical_ir.training import TeacherSettings
    from optical_ir.training import train_teacher as run_training

    flags = {
        "max_steps": max_steps,
        "epochs": epochs,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "n_negatives": n_negatives,
        "document_length": document_length,
        "seed": seed,
    }
    settings = _read_settings(TeacherSettings, config, flags)
    check_output(output, overwrite=overwrite)
    origin = {"encoder": encoder, "collection": collection, "topics": topics}
    origin |= {"negatives": negatives, "scorer": scorer, **asdict(settings)}
    triples = open_triples(
        load_collection(collection, topics=topics),
        settings,
        negatives=negatives,
        cache=output.with_name(f"{output.name}.negatives.trec"),
    )
    with make_progress() as progress:
        run_training(
            load_encoder(encoder, device=device),
            triples,
            output,
            settings=settings,
            scorer=load_encoder(scorer, device=device) if scorer else None,
            origin=describe_origin(settings=origin),
            overwrite=overwrite,
            progress=progress,
        )


def distil(
    teacher: Annotated[str, typer.Option(help="The English encoder; named as any encoder.")],
    bitext: Annotated[
        Path, typer.Option(help="TSV (foreign TAB English), TMX, or one of two Moses files.")
    ],
    query_lang: Annotated[str, typer.Option(help="Language of the queries: sw, swa, ...")],
    output: Output,
    lexicon: Lexicon = None,
    student: Annotated[
        str | None, typer.Option(help="Start from this encoder instead of the teacher.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="TOML file of distillation settings; flags win.")
    ] = None,
    max_steps: Annotated[int | None, typer.Option(help="Optimiser steps.")] = None,
    epochs: Annotated[float | None, typer.Option(help="Passes over the bitext.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Pairs a step.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Peak learning rate.")] = None,
    loss: Annotated[str | None, typer.Option(help="transport, greedy or pooled.")] = None,
    plan: Annotated[
        str | None,
        typer.Option(help="entropic, exact, proximal; for noisy bitext unbalanced or dustbin."),
    ] = None,
    token_weights: Annotated[str | None, typer.Option(help="uniform, idf or importance.")] = None,
    epsilon: Annotated[float | None, typer.Option(help="Entropic regularisation.")] = None,
    score_weight: Annotated[
        float | None, typer.Option(help="Weight of score distillation.")
    ] = None,
    lora_rank: Annotated[
        int | None,
        typer.Option(help="Train adapters of this rank, a few megabytes beside the teacher."),
    ] = None,
    dev_pairs: Annotated[
        int | None, typer.Option(help="Pairs held out for the retrieval curve.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of data order and dropout.")] = None,
    device: Device = None,
    overwrite: Overwrite = False,
) -> None:
    """Distil a query encoder for a language from sentence pairs, by optimal transport.

    After a kill the same command goes on from the last checkpoint.
    """
    from optical_ir.collections import read_bitext, read_gloss_lexicon
    from optical_ir.files import check_output, sha256_file
    from optical_ir.glosses import GLOSSED_LENGTH, gloss_bitext
    from optical_ir.languages import normalize_language
    from optical_ir.models import embedding_space, load_encoder
    from optical_ir.provenance import describe_origin
    from optical_ir.training import DistillationSettings
    from optical_ir.training import distil as run_distillation

    flags = {
        "max_steps": max_steps,
        "epochs": epochs,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "loss": loss,
        "plan": plan,
        "token_weights": token_weights,
        "epsilon": epsilon,
        "score_weight": score_weight,
        "lora_rank": lora_rank,
        "dev_pairs": dev_pairs,
        "seed": seed,
    }
    usual = {"max_length": GLOSSED_LENGTH} if lexicon else {}
    settings = _read_settings(DistillationSettings, config, flags, usual)
    check_output(output, overwrite=overwrite)
    language = normalize_language(query_lang)
    pairs = read_bitext(bitext, query_lang=language)
    if lexicon:
        pairs = gloss_bitext(pairs, read_gloss_lexicon(lexicon))
    inputs = {"bitext": bitext} | ({"lexicon": lexicon} if lexicon else {})
    encoder = load_encoder(teacher, device=device)
    origin = {"teacher": teacher, "query_lang": language, "student": student, **asdict(settings)}
    if lexicon:
        origin["gloss"] = {language: sha256_file(lexicon)}
    with make_progress() as progress:
        run_distillation(
            encoder,
            pairs,
            output,
            settings=settings,
            student=load_encoder(student, device=device) if student else None,
            base=teacher,
            space=embedding_space(teacher, encoder),
            origin=describe_origin(settings=origin, inputs=inputs),
            overwrite=overwrite,
            progress=progress,
        )


def _read_settings(
    kind: type[_T],
    config: Path | None,
    flags: dict[str, Any],
    usual: dict[str, Any] | None = None,
) -> _T:
    """Fill settings from the flags that are given, then a TOML file, then what is usual."""
    from optical_ir.files import read_toml
    from optical_ir.toml import from_table

    given = {name: value for name, value in flags.items() if value is not None}
    table = {**(usual or {}), **(read_toml(config) if config else {}), **given}
    return from_table(kind, str(config or "settings"), table)
