"""Distilling a student query encoder from a teacher and a bitext, resumable after a kill."""

import copy
import json
import logging
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import torch
from rich.progress import Progress
from sentence_transformers import MultiVectorEncoder, MultiVectorEncoderTrainer
from sentence_transformers.base.modules import Dense
from sentence_transformers.multi_vector_encoder.training_args import (
    MultiVectorEncoderTrainingArguments,
)
from torch import nn
from transformers import PrinterCallback, TrainerCallback

from optical_ir.errors import ConfigError
from optical_ir.files import check_output, write_folder
from optical_ir.models.centering import normalize_position
from optical_ir.models.encoder import embedding_dim, has_fast_bfloat16
from optical_ir.models.folder import fingerprint, write_description
from optical_ir.records import BitextPair
from optical_ir.training.batches import LengthGroupedBatches, MixedBatches
from optical_ir.training.collator import BitextCollator
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
from optical_ir.training.monitor import DevRetrieval, TrainingLog, plot_curves, read_log
from optical_ir.training.settings import DistillationSettings

logger = logging.getLogger(__name__)


def distil(
    teacher: MultiVectorEncoder,
    bitext: Sequence[BitextPair] | Sequence[BitextPart],
    output: Path | str,
    *,
    settings: DistillationSettings | None = None,
    student: MultiVectorEncoder | None = None,
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
    result.

    Parameters
    ----------
    teacher : MultiVectorEncoder
        The English encoder; also the student's starting point if `student` is not given.
    bitext : sequence of BitextPair, or of BitextPart
        At least a batch more than `settings.dev_pairs`. Parts are languages or sources that are
        drawn from by their shares; each needs a batch at least.
    student : MultiVectorEncoder, optional
        Another, multilingual starting point. It gets a new linear layer into the teacher's space.
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
        If `output` exists, or the unfinished run there had other settings or other bitext.
    DataError
        If the bitext is too small.
    """
    settings = settings or DistillationSettings()
    check_output(output, overwrite=overwrite)
    parts = as_parts(bitext)
    train, dev = split_parts(parts, settings)
    student = _start_student(teacher, student, settings)
    loss = loss_factory(student, teacher, settings)
    loss.prepare([pair for part in train for pair in part.pairs])
    description = {
        "role": "student",
        "space": space or fingerprint(teacher),
        "loss": type(loss).__name__,
        "settings": asdict(settings),
        "pairs": sum(len(part.pairs) for part in train),
        "origin": origin or {},
    }
    with write_folder(output, overwrite=overwrite, resume=True) as part:
        checkpoints = part / "checkpoints"
        identity = {"bitext": digest_parts(parts), "start": fingerprint(student)}
        _claim(part, {**description, "origin": None, **identity})
        monitor = TrainingLog(
            part / "log.jsonl",
            loss,
            log_every=settings.log_every,
            evaluate_every=settings.evaluate_every,
            dev=DevRetrieval(teacher, dev) if dev else None,
            progress=progress,
        )
        batches = with_english(train, settings.english_share)
        trainer = _trainer(student, loss, batches, checkpoints, settings)
        for callback in (monitor, *callbacks):
            trainer.add_callback(callback)
        trainer.train(resume_from_checkpoint=_last_checkpoint(checkpoints))
        # The trainer left its autocast in the student's forward.
        trainer.accelerator.unwrap_model(student, keep_fp32_wrapper=False)
        student.eval().save_pretrained(str(part), create_model_card=False)
        plot_curves(read_log(part / "log.jsonl"), part / "curves.png")
        write_description(part, description)
        (part / "claim.json").unlink()
        shutil.rmtree(checkpoints, ignore_errors=True)
    return student


def _start_student(
    teacher: MultiVectorEncoder,
    student: MultiVectorEncoder | None,
    settings: DistillationSettings,
) -> MultiVectorEncoder:
    torch.manual_seed(settings.seed)
    # A copy, so that the caller's encoder stays as it is and the same call can be made again.
    if student is None:
        student = copy.deepcopy(teacher).requires_grad_(True)
        # The head is the teacher's map into the shared space. A centring kept as it is can be
        # folded into the backbone, which makes the student a plain checkpoint for Pyserini.
        for module in student:
            if isinstance(module, Dense):
                module.requires_grad_(False)
    else:
        student = copy.deepcopy(student).requires_grad_(True)
        _project_into(student, embedding_dim(teacher))
    student.train()
    if settings.freeze_embeddings:
        _word_embeddings(student).requires_grad_(False)
    return student


def _word_embeddings(encoder: MultiVectorEncoder) -> nn.Module:
    transformer: Any = encoder[0]
    embeddings: nn.Module = transformer.model.get_input_embeddings()
    return embeddings


def _project_into(student: MultiVectorEncoder, dim: int) -> None:
    """Insert a linear layer into the teacher's space, orthogonal to begin with."""
    dense = Dense(
        embedding_dim(student),
        dim,
        bias=True,
        activation_function=nn.Identity(),
        module_input_name="token_embeddings",
    )
    nn.init.orthogonal_(dense.linear.weight)
    nn.init.zeros_(dense.linear.bias)
    student.insert(normalize_position(student), dense.to(student.device))


class _Trainer(MultiVectorEncoderTrainer):
    def add_model_card_callback(self, default_args_dict: dict[str, Any]) -> None:
        """Gather nothing for a model card: `optical.json` says where a student comes from."""


def _trainer(
    student: MultiVectorEncoder,
    loss: BitextLoss,
    train: Sequence[BitextPart],
    checkpoints: Path,
    settings: DistillationSettings,
) -> MultiVectorEncoderTrainer:
    args = MultiVectorEncoderTrainingArguments(
        output_dir=str(checkpoints),
        num_train_epochs=settings.epochs,
        max_steps=settings.max_steps or -1,
        per_device_train_batch_size=settings.batch_size,
        learning_rate=settings.learning_rate,
        warmup_steps=settings.warmup,
        lr_scheduler_type="linear",
        weight_decay=0.0,
        bf16=has_fast_bfloat16(student.device),
        use_cpu=student.device.type == "cpu",
        save_strategy="steps",
        save_steps=settings.save_every,
        save_total_limit=1,
        logging_strategy="no",
        report_to="none",
        disable_tqdm=True,
        dataloader_drop_last=True,
        batch_sampler=LengthGroupedBatches,
        multi_dataset_batch_sampler=partial(MixedBatches, shares=[part.share for part in train]),
        seed=settings.seed,
        data_seed=settings.seed,
    )
    collator = BitextCollator(
        preprocess_fn=student.preprocess,
        student=student,
        teacher=loss.teacher,
        max_length=settings.max_length,
    )
    trainer = _Trainer(
        model=student,
        args=args,
        train_dataset=as_dataset(train),
        loss=loss,
        data_collator=collator,
    )
    trainer.remove_callback(PrinterCallback)  # it prints to stdout
    return trainer


def _claim(part: Path, identity: dict[str, Any]) -> None:
    """Write down what is being made here, or check that an earlier attempt made the same."""
    path = part / "claim.json"
    text = json.dumps(identity, sort_keys=True)
    if path.exists() and path.read_text() != text:
        raise ConfigError(
            f"{part}: an unfinished run with other settings or bitext is here. "
            "Remove the folder to start anew, or run with the same settings to finish it."
        )
    path.write_text(text)


def _last_checkpoint(folder: Path) -> str | None:
    from transformers.trainer_utils import get_last_checkpoint

    if not folder.exists():
        return None
    for checkpoint in folder.glob("checkpoint-*"):
        # The trainer writes this file last: without it the run was killed while saving.
        if not (checkpoint / "trainer_state.json").exists():
            shutil.rmtree(checkpoint)
    found: str | None = get_last_checkpoint(str(folder))  # type: ignore[no-untyped-call]
    if found:
        logger.info("Resuming from %s.", Path(found).name)
    return found
