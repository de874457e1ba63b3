"""Training a student as low-rank adapters (LoRA), all weights of the teacher frozen."""

from pathlib import Path
from typing import Any

import torch
from sentence_transformers import MultiVectorEncoder
from torch import Tensor, nn

from optical_ir.errors import ConfigError, DependencyError
from optical_ir.models.adapter import IDS, ROWS, SCALING
from optical_ir.models.encoder import load_encoder
from optical_ir.models.folder import fingerprint
from optical_ir.training.settings import DistillationSettings
from optical_ir.training.vocabulary import CutEmbedding, word_embeddings


def check_base(base: str | Path | None, teacher: MultiVectorEncoder) -> str | Path:
    """Refuse, before any work is done, a base that does not give the teacher again.

    Raises
    ------
    ConfigError
        If there is none, it does not load, it is another encoder, or it keeps other lengths.
    """
    if base is None:
        raise ConfigError(
            "lora_rank: a student of adapters is loaded with its teacher, expected the teacher's "
            "folder or name, found none. Give it as base, or set lora_rank to 0."
        )
    loaded = load_encoder(base, device="cpu")
    found, expected = fingerprint(loaded), fingerprint(teacher)
    if found != expected:
        raise ConfigError(
            f"base: expected the folder or name of the teacher, with fingerprint {expected}, found "
            f"{found} in {str(base)!r}. Save the teacher, and give it as loaded from there."
        )
    # A fingerprint has no lengths, and a student of adapters is loaded with those of its base.
    for name in ("query_length", "document_length"):
        found, expected = getattr(loaded[0], name), getattr(teacher[0], name)
        if found != expected:
            raise ConfigError(
                f"base: expected {name} {expected} as the teacher has, found {found} in "
                f"{str(base)!r}. Save the teacher, and give it as loaded from there."
            )
    return base


def add_adapters(student: MultiVectorEncoder, settings: DistillationSettings) -> None:
    """Freeze an encoder and put adapters beside all linear layers of its backbone, in place.

    They change nothing before the first step: B is zero (Hu et al. 2022, section 4.1).

    Raises
    ------
    ConfigError
        If the backbone keeps linear maps in layers other than `nn.Linear`.
    DependencyError
        If the package `peft` is missing.
    """
    try:
        from peft import LoraConfig, inject_adapter_in_model
        from peft.tuners.lora import LoraLayer
    except ImportError as err:
        raise DependencyError(
            "Students of adapters need the package peft, which is not installed. "
            "Run: pip install 'optical-ir[lora]', or set lora_rank to 0."
        ) from err
    student.requires_grad_(False)
    config = LoraConfig(
        r=settings.lora_rank,
        lora_alpha=_alpha(settings),  # type: ignore[arg-type]
        lora_dropout=0.0,
        target_modules="all-linear",
    )
    model: Any = student[0].model
    inject_adapter_in_model(config, model)
    for layer in model.modules():
        if isinstance(layer, LoraLayer) and not isinstance(layer.get_base_layer(), nn.Linear):
            raise ConfigError(
                "lora_rank: expected a backbone of nn.Linear layers, found a "
                f"{type(layer.get_base_layer()).__name__}. Set lora_rank to 0."
            )


def adapter_weights(student: MultiVectorEncoder) -> dict[str, Tensor]:
    """Give what is trained of a student of adapters, named as in `optical_ir.models.adapter`."""
    from peft import get_peft_model_state_dict

    model: Any = student[0].model
    weights = dict(get_peft_model_state_dict(model, save_embedding_layers=False))
    (config,) = model.peft_config.values()
    weights[SCALING] = torch.tensor(config.lora_alpha / config.r, dtype=torch.float64)
    embeddings = word_embeddings(student)
    if isinstance(embeddings, CutEmbedding):
        weights |= {IDS: embeddings.ids, ROWS: embeddings.rows}
    return weights


def _alpha(settings: DistillationSettings) -> float:
    return 2.0 * settings.lora_rank if settings.lora_alpha is None else settings.lora_alpha
