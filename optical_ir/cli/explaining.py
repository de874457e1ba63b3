"""The verbs that show what an encoder does with single texts: align, explain."""

from pathlib import Path
from typing import Annotated

import typer

from optical_ir.cli.options import Device, Encoder, Lexicon, MaxLength, Overwrite
from optical_ir.console import echo


def align(
    sentence: Annotated[str, typer.Argument(help="In the language of the encoder's queries.")],
    translation: Annotated[str, typer.Argument(help="The same in English.")],
    encoder: Encoder,
    teacher: Annotated[
        str | None, typer.Option(help="Reads the English sentence; the encoder if not given.")
    ] = None,
    plan: Annotated[
        str, typer.Option(help="entropic, exact, proximal, unbalanced or dustbin.")
    ] = "entropic",
    epsilon: Annotated[float, typer.Option(min=0, help="Regularisation; 0 is exact.")] = 0.05,
    words: Annotated[bool, typer.Option("--words", help="Sum over the tokens of a word.")] = False,
    best: Annotated[int, typer.Option(min=1, help="English tokens a line.")] = 3,
    output: Annotated[
        Path | None, typer.Option(help="Heat map to draw, .png or .svg; must not exist.")
    ] = None,
    lexicon: Lexicon = None,
    max_length: MaxLength = None,
    device: Device = None,
    overwrite: Overwrite = False,
) -> None:
    """Show how a sentence's tokens are transported to those of its translation, as in training."""
    from optical_ir import alignment as alignments
    from optical_ir.alignment_figure import check_figure_output, draw_alignment
    from optical_ir.provenance import write_origin

    if output:
        check_figure_output(output, overwrite=overwrite)
    if lexicon:
        sentence = _with_gloss(sentence, lexicon)
    pair = alignments.load_pair(
        encoder, teacher, glossed=lexicon is not None, max_length=max_length, device=device
    )
    found = alignments.align(*pair, sentence, translation, plan=plan, epsilon=epsilon)
    shown = alignments.group_words(found) if words else found
    echo(alignments.format_alignment(shown, best=best))
    if output:
        draw_alignment(shown, output, overwrite=overwrite)
        texts = {"sentence": sentence, "translation": translation}
        encoders = {"encoder": encoder, "teacher": teacher, "max_length": max_length}
        solver = {"plan": plan, "epsilon": epsilon, "words": words}
        inputs = {"lexicon": lexicon} if lexicon else {}
        write_origin(output, settings={**texts, **encoders, **solver}, inputs=inputs)


def _with_gloss(text: str, lexicon: Path) -> str:
    from optical_ir.collections import read_gloss_lexicon
    from optical_ir.glosses import add_gloss

    return add_gloss(text, read_gloss_lexicon(lexicon))


def explain(
    encoder: Encoder,
    index: Annotated[Path, typer.Option(help="Multi-vector index that `encode` wrote.")],
    query: Annotated[str, typer.Option(help="Text of the query.")],
    doc_id: Annotated[
        list[str] | None,
        typer.Option(help="Document to explain; may be repeated. The best -k if not given."),
    ] = None,
    k: Annotated[int, typer.Option("-k", min=1, help="Documents from the top.")] = 3,
    collection: Annotated[
        str | None,
        typer.Option(
            help="What was encoded: 'demo', a folder or an ir_datasets id; by default "
            "what the index names."
        ),
    ] = None,
    teacher: Annotated[
        str | None,
        typer.Option(help="Encoder of the index's documents; by default what the index names."),
    ] = None,
    lexicon: Lexicon = None,
    max_length: MaxLength = None,
    device: Device = None,
) -> None:
    """Show which document token each query token matched, and how much that adds to the score."""
    from optical_ir import matches
    from optical_ir.retrieval.index import MultiVectorIndex
    from optical_ir.retrieval.queries import load_for

    opened = MultiVectorIndex.open(index)
    docs = matches.open_docs(opened, collection)
    glossed = lexicon is not None
    if lexicon:
        query = _with_gloss(query, lexicon)
    found = matches.explain(
        opened,
        load_for(opened, encoder, glossed=glossed, max_length=max_length, device=device),
        matches.load_index_teacher(opened, teacher, device=device),
        query,
        docs,
        doc_ids=doc_id or (),
        k=k,
    )
    echo(matches.format_explanations(found))
