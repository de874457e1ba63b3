"""What all trainings share: the trainer, its arguments, and going on after a kill."""

import logging
import shutil
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from sentence_transformers import MultiVectorEncoder, MultiVectorEncoderTrainer
from sentence_transformers.multi_vector_encoder.training_args import (
    MultiVectorEncoderTrainingArguments,
)
from torch import Tensor, nn
from transformers import PrinterCallback, TrainerCallback

from optical_ir.files import read_json_object
from optical_ir.models.precision import has_fast_bfloat16
from optical_ir.training.processes import check_batch_size, count_processes, is_first_process
from optical_ir.training.settings import DistillationSettings
from optical_ir.training.teacher_settings import TeacherSettings

logger = logging.getLogger(__name__)

_TRAINED = "trained.safetensors"


class QuietTrainer(MultiVectorEncoderTrainer):
    """Stock trainer that prints nothing, writes no model card and goes on from a checkpoint."""

    def add_model_card_callback(self, default_args_dict: dict[str, Any]) -> None:
        """Gather nothing for a model card: `optical.json` says where an encoder comes from."""

    def run(self, *callbacks: TrainerCallback) -> None:
        """Train to the end from the last whole checkpoint; leaves the model in eval mode."""
        self.remove_callback(PrinterCallback)  # it prints to stdout
        for callback in callbacks:
            self.add_callback(callback)
        self.train(resume_from_checkpoint=_last_checkpoint(Path(str(self.args.output_dir))))
        # The trainer left its autocast in the model's forward.
        self.accelerator.unwrap_model(self.model, keep_fp32_wrapper=False)
        self.model.eval()

    # What is not trained is there again whenever the same training starts, as its claim makes
    # sure: a checkpoint does without the frozen rows of word embeddings and the tokenizer.

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        folder = Path(output_dir or str(self.args.output_dir))
        folder.mkdir(parents=True, exist_ok=True)
        save_file(self._trained_weights(), folder / _TRAINED)

    def _load_from_checkpoint(
        self, resume_from_checkpoint: str, model: nn.Module | None = None
    ) -> None:
        saved = load_file(Path(resume_from_checkpoint) / _TRAINED)
        for name, weight in self._trained_weights().items():
            weight.copy_(saved[name])

    def _trained_weights(self) -> dict[str, Tensor]:
        model = self.accelerator.unwrap_model(self.model)
        named = model.named_parameters()
        return {name: weight.detach() for name, weight in named if weight.requires_grad}


def training_arguments(
    encoder: MultiVectorEncoder,
    checkpoints: Path,
    settings: DistillationSettings | TeacherSettings,
    **more: Any,
) -> MultiVectorEncoderTrainingArguments:
    """Arguments of the trainer; `more` are those that differ between trainings.

    Batches are shared out among the processes, so a step has `batch_size` rows with any number.
    """
    check_batch_size(settings.batch_size)
    if count_processes() > 1:
        more["accelerator_config"] = {"split_batches": True}
    return MultiVectorEncoderTrainingArguments(
        output_dir=str(checkpoints),
        num_train_epochs=settings.epochs,
        max_steps=settings.max_steps or -1,
        per_device_train_batch_size=settings.batch_size,
        learning_rate=settings.learning_rate,
        warmup_steps=settings.warmup,
        lr_scheduler_type="linear",
        weight_decay=0.0,
        bf16=has_fast_bfloat16(encoder.device),
        use_cpu=encoder.device.type == "cpu",
        save_strategy="steps",
        save_steps=settings.save_every,
        save_total_limit=1,
        logging_strategy="no",
        report_to="none",
        disable_tqdm=True,
        dataloader_drop_last=True,
        seed=settings.seed,
        data_seed=settings.seed,
        **more,
    )


def _last_checkpoint(folder: Path) -> str | None:
    whole = []
    for checkpoint in folder.glob("checkpoint-*"):
        if (checkpoint / _TRAINED).exists() and _has_state(checkpoint):
            whole.append(checkpoint)
        elif is_first_process():
            shutil.rmtree(checkpoint)
    if not whole:
        return None
    last = max(whole, key=lambda checkpoint: int(checkpoint.name.rpartition("-")[2]))
    logger.info("Resuming from %s.", last.name)
    return str(last)


def _has_state(checkpoint: Path) -> bool:
    """Whether the trainer's state, which it writes last, is there and whole."""
    try:
        read_json_object(checkpoint / "trainer_state.json")
    except (OSError, ValueError):
        return False
    return True
