"""Training a teacher on judged English queries, resumable after a kill."""

import copy
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from rich.progress import Progress
from sentence_transformers import MultiVectorEncoder
from sentence_transformers.base.sampler import BatchSamplers
from transformers import TrainerCallback

from optical_ir.errors import DataError
from optical_ir.files import check_output
from optical_ir.models.dropout import set_dropout
from optical_ir.models.folder import fingerprint, write_description
from optical_ir.training.dev_retrieval import DevSearch
from optical_ir.training.monitor import TrainingLog, plot_curves, read_log
from optical_ir.training.processes import is_first_process, training_folder
from optical_ir.training.teacher_loss import TeacherLoss
from optical_ir.training.teacher_settings import TeacherSettings
from optical_ir.training.trainer import QuietTrainer, training_arguments
from optical_ir.training.triples import (
    TripleCollator,
    Triples,
    as_dataset,
    dev_documents,
    split_triples,
)


def train_teacher(
    start: MultiVectorEncoder,
    triples: Triples,
    output: Path | str,
    *,
    settings: TeacherSettings | None = None,
    scorer: MultiVectorEncoder | None = None,
    origin: dict[str, Any] | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
    callbacks: Sequence[TrainerCallback] = (),
) -> MultiVectorEncoder:
    """Train a teacher and save it to `output`; the linear head learns with the backbone.

    The folder holds the teacher as a sentence-transformers `MultiVectorEncoder`, with
    `optical.json` (origin), `log.jsonl` and `curves.png`. A run that was killed goes on from its
    last checkpoint in `<output>.tmp` when called again with the same arguments, to the same
    result.

    Parameters
    ----------
    start : MultiVectorEncoder
        Any encoder, as one that `center_encoder` made; left as it is.
    triples : Triples
        At least a batch more than those of `settings.dev_queries`.
    scorer : MultiVectorEncoder, optional
        Another encoder, whose scores of a query's documents are distilled; of any width.
    origin : dict, optional
        What `optical.json` shall say of where the teacher comes from.
    progress : rich.progress.Progress, optional
        Shows the steps.
    callbacks : sequence of TrainerCallback
        Added to the trainer.

    Raises
    ------
    ConfigError
        If `output` exists, or the unfinished run there had other settings or other data.
    DataError
        If there are too few triples, or they have no negative for a scorer to compare with.
    """
    settings = settings or TeacherSettings()
    check_output(output, overwrite=overwrite)
    train, dev = _split(triples, settings)
    if scorer is not None and train.n_negatives == 0:
        raise DataError("Distilling scores needs triples with negatives, found none. Draw some.")
    encoder = _start(start, settings)
    loss = TeacherLoss(encoder, settings)
    description = {"settings": asdict(settings), "triples": len(train.rows)}
    identity = {
        **description,
        "data": triples.digest(),
        "start": fingerprint(encoder),
        "scorer": scorer and fingerprint(scorer),
    }
    with training_folder(output, identity, overwrite=overwrite, device=encoder.device) as part:
        monitor = TrainingLog(
            part / "log.jsonl",
            loss,
            log_every=settings.log_every,
            evaluate_every=settings.evaluate_every,
            dev=DevSearch(dev, dev_documents(train, dev, settings.dev_documents))
            if dev.rows
            else None,
            progress=progress,
            title="Training the teacher",
        )
        _trainer(encoder, loss, train, part / "checkpoints", settings, scorer).run(
            monitor, *callbacks
        )
        if is_first_process():
            encoder.save_pretrained(str(part), create_model_card=False)
            plot_curves(read_log(part / "log.jsonl"), part / "curves.png")
            known = {"role": "teacher", "space": fingerprint(encoder), **description}
            write_description(part, {**known, "origin": origin or {}})
    return encoder


def _split(triples: Triples, settings: TeacherSettings) -> tuple[Triples, Triples]:
    train, dev = split_triples(triples, settings.dev_queries)
    if len(train.rows) < settings.batch_size:
        raise DataError(
            f"expected triples for {settings.dev_queries} dev queries and a batch of "
            f"{settings.batch_size} more, found {len(triples.rows)}. Give more, or lower "
            "dev_queries or batch_size."
        )
    return train, dev


def _start(start: MultiVectorEncoder, settings: TeacherSettings) -> MultiVectorEncoder:
    torch.manual_seed(settings.seed)
    # A copy, so that the caller's encoder stays as it is and the same call can be made again.
    encoder = copy.deepcopy(start).requires_grad_(True)
    encoder.train()
    set_dropout(encoder, settings.dropout)
    if settings.freeze_embeddings:
        transformer: Any = encoder[0]
        transformer.model.get_input_embeddings().requires_grad_(False)
    return encoder


def _trainer(
    encoder: MultiVectorEncoder,
    loss: TeacherLoss,
    train: Triples,
    checkpoints: Path,
    settings: TeacherSettings,
    scorer: MultiVectorEncoder | None,
) -> QuietTrainer:
    dataset = as_dataset(train)
    prompts = {
        column: encoder.prompts.get("query" if column == "query" else "document") or ""
        for column in dataset.column_names
    }
    # A document that is another query's relevant one would be a false negative of the batch.
    batching = {"batch_sampler": BatchSamplers.NO_DUPLICATES}
    return QuietTrainer(
        model=encoder,
        args=training_arguments(encoder, checkpoints, settings, **batching),
        train_dataset=dataset,
        loss=loss,
        data_collator=TripleCollator(
            preprocess_fn=encoder.preprocess,
            prompts=prompts,
            max_length={"document": settings.document_length},
            document=train.document,
            scorer=scorer,
        ),
    )
