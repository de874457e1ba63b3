"""Distilling a student query encoder from a teacher and a bitext, resumable after a kill."""

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from rich.progress import Progress
from sentence_transformers import MultiVectorEncoder
from torch import Tensor
from transformers import TrainerCallback

from optical_ir.files import check_output
from optical_ir.models.adapter import describe_base, save_adapter
from optical_ir.models.encoder import load_encoder
from optical_ir.models.folder import fingerprint, write_description
from optical_ir.records import BitextPair
from optical_ir.training.batches import LengthGroupedBatches, MixedBatches
from optical_ir.training.collator import BitextCollator
from optical_ir.training.dev_retrieval import DevRetrieval
from optical_ir.training.interpolation import copy_weights, interpolate_weights
from optical_ir.training.lora import adapter_weights, check_base
from optical_ir.training.loss_factory import LossFactory, make_loss
from optical_ir.training.losses import BitextLoss
from optical_ir.training.mixture import (
    BitextPart,
    as_dataset,
    as_parts,
    digest_parts,
    split_parts,
    with_english,
)
from optical_ir.training.monitor import TrainingLog, plot_curves, read_log
from optical_ir.training.processes import is_first_process, training_folder
from optical_ir.training.settings import DistillationSettings
from optical_ir.training.student import start_student
from optical_ir.training.trainer import QuietTrainer, training_arguments
from optical_ir.training.vocabulary import fold_word_embeddings


def distil(
    teacher: MultiVectorEncoder,
    bitext: Sequence[BitextPair] | Sequence[BitextPart],
    output: Path | str,
    *,
    settings: DistillationSettings | None = None,
    student: MultiVectorEncoder | None = None,
    base: str | Path | None = None,
    loss_factory: LossFactory = make_loss,
    space: str | None = None,
    origin: dict[str, Any] | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
    callbacks: Sequence[TrainerCallback] = (),
) -> MultiVectorEncoder:
    """Distil a student query encoder and save it to `output`.

    The folder holds the student as a sentence-transformers `MultiVectorEncoder`, with
    `optical.json` (origin), `log.jsonl` and `curves.png`. A run that was killed goes on from its
    last checkpoint in `<output>.tmp` when called again with the same arguments, to the same
    result. With `settings.lora_rank` the folder holds adapters, which `load_encoder` merges into
    the teacher; what is returned is what it gives.

    Parameters
    ----------
    teacher : MultiVectorEncoder
        The English encoder; also the student's starting point if `student` is not given.
    bitext : sequence of BitextPair, or of BitextPart
        At least a batch more than `settings.dev_pairs`. Parts are languages or sources that are
        drawn from by their shares; each needs a batch at least.
    student : MultiVectorEncoder, optional
        Another, multilingual starting point. It gets a new linear layer into the teacher's space.
    base : str or Path, optional
        The teacher's folder or name, which a student of adapters needs when it is loaded; other
        students do not look at it.
    loss_factory : callable
        Makes the loss from student, teacher and settings; by default the one they name.
    space : str, optional
        Key of the teacher's embedding space; found out from its weights if not given.
    origin : dict, optional
        What `optical.json` shall say of where the student comes from.
    progress : rich.progress.Progress, optional
        Shows the steps.
    callbacks : sequence of TrainerCallback
        Added to the trainer.

    Raises
    ------
    ConfigError
        If `output` exists, or the unfinished run there had other settings or other bitext;
        also if adapters are to be trained and `base` is not the teacher's.
    DataError
        If the bitext is too small.
    DependencyError
        If adapters are to be trained and the package `peft` is missing.
    """
    settings = settings or DistillationSettings()
    check_output(output, overwrite=overwrite)
    beside = {}
    if settings.lora_rank > 0:
        beside["base"] = describe_base(check_base(base, teacher), teacher, Path(output))
    parts = as_parts(bitext)
    train, dev = split_parts(parts, settings)
    train = with_english(train, settings.english_share)
    pairs = [pair for part in train for pair in part.pairs]
    student = start_student(teacher, student, settings, [pair.source for pair in pairs])
    start = copy_weights(student) if settings.trained_share < 1 else {}
    loss = loss_factory(student, teacher, settings)
    loss.prepare(pairs)
    description = {
        "role": "student",
        "space": space or fingerprint(teacher),
        **beside,
        "loss": type(loss).__name__,
        "settings": asdict(settings),
        "pairs": len(pairs),
        "origin": origin or {},
    }
    identity = {
        **description,
        "origin": None,
        "bitext": digest_parts(parts),
        "start": fingerprint(student),
        "target_length": loss.target_length,
    }
    with training_folder(output, identity, overwrite=overwrite, device=student.device) as part:
        monitor = TrainingLog(
            part / "log.jsonl",
            loss,
            log_every=settings.log_every,
            evaluate_every=settings.evaluate_every,
            dev=DevRetrieval(teacher, dev) if dev else None,
            progress=progress,
        )
        _trainer(student, loss, train, part / "checkpoints", settings).run(monitor, *callbacks)
        if is_first_process():
            _save_student(student, part, settings, start)
            plot_curves(read_log(part / "log.jsonl"), part / "curves.png")
            write_description(part, description)
    return load_encoder(output, device=str(student.device)) if beside else student


def _save_student(
    student: MultiVectorEncoder,
    folder: Path,
    settings: DistillationSettings,
    start: dict[str, Tensor],
) -> None:
    if settings.lora_rank > 0:
        save_adapter(folder, adapter_weights(student))
    else:
        fold_word_embeddings(student)
        if start:
            interpolate_weights(student, start, settings.trained_share)
        student.save_pretrained(str(folder), create_model_card=False)


def _trainer(
    student: MultiVectorEncoder,
    loss: BitextLoss,
    train: Sequence[BitextPart],
    checkpoints: Path,
    settings: DistillationSettings,
) -> QuietTrainer:
    args = training_arguments(
        student,
        checkpoints,
        settings,
        learning_rate_mapping=_own_rates(settings),
        batch_sampler=LengthGroupedBatches,
        multi_dataset_batch_sampler=partial(MixedBatches, shares=[part.share for part in train]),
    )
    collator = BitextCollator(
        preprocess_fn=student.preprocess,
        student=student,
        teacher=loss.teacher,
        max_length=settings.max_length,
        target_task=loss.target_task,
        target_length=loss.target_length,
    )
    return QuietTrainer(
        model=student,
        args=args,
        train_dataset=as_dataset(train),
        loss=loss,
        data_collator=collator,
    )


def _own_rates(settings: DistillationSettings) -> dict[str, float]:
    """Learning rates by a pattern of the weights' names, where not that of all."""
    return {r"\.rows$": settings.rate_of_embeddings} if settings.rate_of_embeddings else {}
