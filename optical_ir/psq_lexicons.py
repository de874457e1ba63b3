"""Translation probabilities of an experiment's languages: given, or learned from its bitext.

<folder>/<language>.tsv     what was learned, with its origin in .json beside it
"""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from rich.progress import Progress

from optical_ir.collections import read_lexicon, write_probabilistic_lexicon
from optical_ir.console import track
from optical_ir.experiment import Experiment
from optical_ir.files import sha256_file
from optical_ir.models import load_encoder, read_description
from optical_ir.provenance import write_origin
from optical_ir.records import BitextPair
from optical_ir.stages import is_done, read_settings
from optical_ir.training_data import read_language_bitext
from optical_ir.word_alignment import (
    Pruning,
    TranslationCounts,
    count_by_eflomal,
    count_by_transport,
    make_lexicon,
)


def psq_lexicons(
    experiment: Experiment,
    data: Path,
    folder: Path,
    teacher: Callable[[], Path],
    *,
    progress: Progress | None = None,
) -> dict[str, Path]:
    """Give the files of translation probabilities by language, learned if they are not there.

    A language's own `psq_lexicon` goes before `psq_aligner`, which learns from all the sentence
    pairs of the language, and with `psq_dictionary` from the entries of its dictionary; the aligner
    ``ot`` reads both sides with the teacher.

    Parameters
    ----------
    data : Path
        Folder that the files of the experiment are relative to.
    folder : Path
        Where learned lexicons are.
    teacher : callable
        Gives the folder of the teacher, if it is needed.

    Raises
    ------
    DependencyError
        If the aligner is eflomal and it is not installed.
    """
    languages, aligner = experiment.languages, experiment.psq_aligner
    shown = track(
        languages.items(), "Lexicons", len(languages), progress=progress if aligner else None
    )
    files = {}
    for name, plan in shown:
        if plan.psq_lexicon is not None:
            files[name] = data / plan.psq_lexicon
        elif aligner is not None and plan.bitext:
            files[name] = _learn(experiment, data, name, folder / f"{name}.tsv", teacher)
    return files


def _learn(
    experiment: Experiment, data: Path, language: str, path: Path, teacher: Callable[[], Path]
) -> Path:
    plan, pruning = experiment.languages[language], Pruning()
    by_transport = experiment.psq_aligner == "ot"
    dictionary = plan.lexicon if experiment.psq_dictionary else None
    settings = {
        "aligner": experiment.psq_aligner,
        "teacher": read_description(teacher())["space"] if by_transport else None,
        "bitext": {file: sha256_file(data / file) for file in plan.bitext},
        "exclude_sources": plan.exclude_sources,
        "pruning": asdict(pruning),
        **({} if dictionary is None else {"dictionary": sha256_file(data / dictionary)}),
    }
    if not is_done(path, read_settings(path), settings):
        pairs = [
            pair
            for file in plan.bitext
            for pair in read_language_bitext(experiment, data, language, file)
        ]
        if dictionary is not None:
            entries = read_lexicon(data / dictionary, query_lang=language)
            pairs += [BitextPair(*entry) for entry in entries]
        counts = _count(list(dict.fromkeys(pairs)), teacher() if by_transport else None)
        # First, since a lexicon without it would count as one of other settings.
        write_origin(path, settings=settings)
        write_probabilistic_lexicon(path, make_lexicon(counts, pruning), overwrite=True)
    return path


def _count(pairs: list[BitextPair], teacher: Path | None) -> TranslationCounts:
    if teacher is None:
        return count_by_eflomal(pairs)
    encoder = load_encoder(teacher)
    return count_by_transport(pairs, encoder, encoder)
