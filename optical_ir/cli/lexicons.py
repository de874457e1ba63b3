"""The verb that learns translation probabilities: learn-lexicon."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from optical_ir.cli.options import BatchSize, Device, MaxLength, Output, Overwrite
from optical_ir.console import make_progress
from optical_ir.errors import ConfigError


def learn_lexicon(
    bitext: Annotated[
        Path, typer.Option(help="Sentence pairs: .tsv (foreign TAB English), .tmx or Moses files.")
    ],
    query_lang: Annotated[str, typer.Option(help="Language of the foreign side, ISO 639.")],
    output: Output,
    dictionary: Annotated[
        Path | None,
        typer.Option(
            help="Bilingual dictionary, foreign then English (MUSE, PanLex, .tsv, .csv): its "
            "entries are learned from beside the sentence pairs."
        ),
    ] = None,
    aligner: Annotated[
        str,
        typer.Option(help="ot (an encoder's transport plans), or eflomal (statistical)."),
    ] = "ot",
    encoder: Annotated[
        str, typer.Option(help="Of ot: reads the foreign sentences; a name or folder.")
    ] = "embedded",
    teacher: Annotated[
        str | None,
        typer.Option(help="Of ot: reads the English sentences; the encoder if not given."),
    ] = None,
    plan: Annotated[
        str, typer.Option(help="Of ot: entropic, exact, proximal, unbalanced or dustbin.")
    ] = "entropic",
    epsilon: Annotated[
        float, typer.Option(min=0, help="Of ot: regularisation; 0 is exact.")
    ] = 0.05,
    max_pairs: Annotated[
        int | None,
        typer.Option(
            min=1, help="A random sample of so many pairs; larger ones hold smaller ones."
        ),
    ] = None,
    cumulative: Annotated[
        float, typer.Option(help="Translations of a word are kept until they sum to this much.")
    ] = 0.95,
    n_translations: Annotated[int, typer.Option(min=1, help="Of a word at most.")] = 10,
    min_probability: Annotated[
        float, typer.Option(help="Less likely translations are left out.")
    ] = 0.01,
    batch_size: BatchSize = 32,
    max_length: MaxLength = None,
    device: Device = None,
    overwrite: Overwrite = False,
) -> None:
    """Learn a lexicon with translation probabilities from a bitext, by aligning its words."""
    from optical_ir.collections import (
        read_bitext,
        read_lexicon,
        sample_pairs,
        write_probabilistic_lexicon,
    )
    from optical_ir.files import check_output, sha256_text
    from optical_ir.provenance import write_origin
    from optical_ir.records import BitextPair
    from optical_ir.word_alignment import Pruning, make_lexicon

    check_output(output, overwrite=overwrite)
    pruning = Pruning(cumulative, n_translations, min_probability)
    pairs = read_bitext(bitext, query_lang=query_lang)
    if max_pairs is not None:
        pairs = sample_pairs(pairs, max_pairs)
    if dictionary is not None:
        entries = read_lexicon(dictionary, query_lang=query_lang)
        pairs = [*pairs, *(BitextPair(*entry) for entry in entries)]
    encoders = {"encoder": encoder, "teacher": teacher, "max_length": max_length, "device": device}
    solver = {"plan": plan, "epsilon": epsilon, "batch_size": batch_size}
    counts = _count(aligner, pairs, encoders, solver)
    lexicon = make_lexicon(counts, pruning)
    write_probabilistic_lexicon(output, lexicon, overwrite=overwrite)
    used = {key: value for key, value in encoders.items() if key != "device"} | solver
    write_origin(
        output,
        settings={
            **{"bitext": bitext, "query_lang": query_lang, "dictionary": dictionary},
            **{"aligner": aligner},
            **(used if aligner == "ot" else {}),
            **{"max_pairs": max_pairs, "cumulative": cumulative},
            **{"n_translations": n_translations, "min_probability": min_probability},
        },
        inputs={"bitext": bitext} | ({} if dictionary is None else {"dictionary": dictionary}),
        facts={
            "lexicon": {"pairs": len(pairs), "words": len(counts), "translations": len(lexicon)},
            "sha256": sha256_text(output),
        },
    )


def _count(
    aligner: str, pairs: Sequence[Any], encoders: dict[str, Any], solver: dict[str, Any]
) -> dict[str, dict[str, float]]:
    from optical_ir.word_alignment import ALIGNERS, count_by_eflomal, count_by_transport

    if aligner not in ALIGNERS:
        raise ConfigError(f"aligner: expected one of {', '.join(ALIGNERS)}, found {aligner!r}.")
    with make_progress() as progress:
        if aligner == "eflomal":
            progress.add_task("Aligning", total=None)
            return count_by_eflomal(pairs)
        from optical_ir.alignment import load_pair

        student, teacher = load_pair(**encoders)
        task = progress.add_task("Aligning", total=len(pairs))
        advance = partial(progress.advance, task)
        return count_by_transport(pairs, student, teacher, advance=advance, **solver)
