"""Options that several verbs share, in Pyserini's words where it has them."""

from pathlib import Path
from typing import Annotated

import typer


def _check_device(name: str | None) -> str | None:
    if name is None:
        return None
    import torch

    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as err:
        reason = str(err).split("\n")[0]
        raise typer.BadParameter(
            f"expected a torch device of this machine, as cpu or cuda:0, found {name!r} ({reason})."
        ) from err
    return name


Encoder = Annotated[
    str,
    typer.Option(
        help="'embedded', or a Hugging Face, sentence-transformers, PyLate or Stanford ColBERT "
        "checkpoint: name or folder."
    ),
]
CollectionName = Annotated[
    str,
    typer.Option(
        help="'demo', a folder with corpus.jsonl, or an ir_datasets id such as wikiclir/sw."
    ),
]
Output = Annotated[Path, typer.Option(help="Where to write; must not exist.")]
Topics = Annotated[str, typer.Option(help="TSV file (query_id TAB query), or an ir_datasets id.")]
Lexicon = Annotated[
    Path | None,
    typer.Option(
        help="Translation probabilities (foreign TAB English TAB probability): the encoder reads "
        "each foreign text with its gloss."
    ),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the output if it exists.")]
BatchSize = Annotated[int, typer.Option(min=1, help="Texts a forward pass.")]
Device = Annotated[
    str | None,
    typer.Option(callback=_check_device, help="Torch device; the best one by default."),
]
MaxLength = Annotated[
    int | None, typer.Option(min=4, help="Tokens kept of a text; the checkpoint's own by default.")
]
Threads = Annotated[int | None, typer.Option(min=1, help="Cores to use; torch's by default.")]
MaxMemory = Annotated[
    float,
    typer.Option(help="GiB to hold at a time, beside the encoder."),
]


def to_bytes(gibibytes: float) -> int:
    """Give a number of GiB in bytes."""
    return int(gibibytes * 2**30)


Measures = Annotated[
    list[str] | None,
    typer.Option("--measure", "-m", help="nDCG@10, AP, RR@10, R@100, ...; may be repeated."),
]
Format = Annotated[str, typer.Option(help="text, markdown, latex, json or tsv.")]
