"""Translation probabilities of an experiment's languages: given, or learned from its bitext.

<output>/lexicons/<language>.tsv     what was learned, with its origin in .json beside it
"""

from dataclasses import asdict
from pathlib import Path

from optical_ir.collections import write_probabilistic_lexicon
from optical_ir.console import track
from optical_ir.experiment import LanguagePlan
from optical_ir.files import sha256_file
from optical_ir.models import load_encoder
from optical_ir.pipeline import Pipeline
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


def psq_lexicons(pipeline: Pipeline) -> dict[str, Path]:
    """Give the files of translation probabilities by language, learned if they are not there.

    A language's own `psq_lexicon` goes before `psq_aligner`, which learns from all the sentence
    pairs of the language; the aligner ``ot`` reads both sides with the teacher.

    Raises
    ------
    DependencyError
        If the aligner is eflomal and it is not installed.
    """
    languages = pipeline.experiment.languages
    progress = pipeline.progress if pipeline.experiment.psq_aligner is not None else None
    shown = track(languages.items(), "Lexicons", len(languages), progress=progress)
    files = {name: _psq_lexicon(pipeline, name, plan) for name, plan in shown}
    return {name: file for name, file in files.items() if file is not None}


def _psq_lexicon(pipeline: Pipeline, language: str, plan: LanguagePlan) -> Path | None:
    if plan.psq_lexicon is not None:
        return pipeline.data / plan.psq_lexicon
    aligner = pipeline.experiment.psq_aligner
    if aligner is None or not plan.bitext:
        return None
    pruning = Pruning()
    path = pipeline.output / "lexicons" / f"{language}.tsv"
    settings = {
        "aligner": aligner,
        "teacher": pipeline.space if aligner == "ot" else None,
        "bitext": {file: sha256_file(pipeline.data / file) for file in plan.bitext},
        "exclude_sources": plan.exclude_sources,
        "pruning": asdict(pruning),
    }
    if not is_done(path, read_settings(path), settings):
        pairs = [
            pair
            for file in plan.bitext
            for pair in read_language_bitext(pipeline.experiment, pipeline.data, language, file)
        ]
        counts = _count(pipeline, list(dict.fromkeys(pairs)))
        # First, since a lexicon without it would count as one of other settings.
        write_origin(path, settings=settings)
        write_probabilistic_lexicon(path, make_lexicon(counts, pruning), overwrite=True)
    return path


def _count(pipeline: Pipeline, pairs: list[BitextPair]) -> TranslationCounts:
    if pipeline.experiment.psq_aligner == "eflomal":
        return count_by_eflomal(pairs)
    teacher = load_encoder(pipeline.teacher)
    return count_by_transport(pairs, teacher, teacher)
