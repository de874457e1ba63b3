"""Encoders for Pyserini, in two forms: a plain checkpoint, and one with settings of MUVERA.

A plain checkpoint is what stock `pyserini.encode --encoder-class auto --pooling mean --l2-norm`
reads: its vector is the L2-normalised mean of the last hidden states of *all* tokens, special
and prompt tokens included. The centring of the token embeddings is folded into the bias of the
backbone's last layer norm; the scoring mask and the unit length of each token are lost.
"""

import copy
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from sentence_transformers import MultiVectorEncoder, SentenceTransformer
from sentence_transformers.base.modules import Dense, Normalize
from sentence_transformers.multi_vector_encoder.modules import MultiVectorMask
from sentence_transformers.sentence_transformer.modules import Pooling
from torch import Tensor, nn

from optical_ir.errors import ConfigError
from optical_ir.files import write_folder
from optical_ir.models.encoder import embedding_dim
from optical_ir.models.folder import write_description
from optical_ir.models.muvera import MuveraSettings

_TRAPS = ("clip", "dse")
"""Parts of a path that make Pyserini pass arguments which its `auto` encoders do not take."""


def fold_encoder(encoder: MultiVectorEncoder) -> SentenceTransformer:
    """Pooled single-vector model with the weights of a late-interaction encoder.

    Parameters
    ----------
    encoder : MultiVectorEncoder
        Left as it is. Its token embeddings may be centred, not projected: a plain checkpoint has
        no place for a linear map.

    Raises
    ------
    ConfigError
        If the encoder has a projection, or its backbone no last layer norm with a bias.
    """
    shift = _centring(encoder)
    transformer: Any = copy.deepcopy(encoder[0])
    if shift is not None:
        with torch.no_grad():
            _last_bias(transformer.model).add_(shift)
    # One length for both: stock Pyserini reads a query's from the tokenizer.
    transformer.max_seq_length = transformer.document_length or transformer.max_seq_length
    transformer.query_length = transformer.document_length = None
    folded = SentenceTransformer(
        modules=[transformer, Pooling(embedding_dim(encoder)), Normalize()],
        prompts={task: prompt for task, prompt in encoder.prompts.items() if prompt is not None},
        device=str(encoder.device),
    ).eval()
    _check_folded(encoder, folded, shift)
    return folded


def _centring(encoder: MultiVectorEncoder) -> Tensor | None:
    """Sum of the biases of the encoder's linear layers, all of which must be identities."""
    shift = None
    for module in list(encoder)[1:]:
        if isinstance(module, Dense) and _is_identity(module):
            bias = module.linear.bias.detach()
            shift = bias if shift is None else shift + bias
        elif not isinstance(module, Normalize | MultiVectorMask):
            raise ConfigError(
                f"A plain checkpoint holds a backbone and a centring, this encoder also has a "
                f"{type(module).__name__} that projects or changes its token embeddings. Export "
                "it with --muvera, or give it to `python -m encoders` as it is."
            )
    return shift


def _is_identity(dense: Dense) -> bool:
    weight = dense.linear.weight
    return (
        isinstance(dense.activation_function, nn.Identity)
        and dense.linear.bias is not None
        and weight.shape[0] == weight.shape[1]
        and torch.equal(weight, torch.eye(len(weight)).to(weight))
    )


def _last_bias(model: nn.Module) -> Tensor:
    norms = [module for module in model.modules() if isinstance(module, nn.LayerNorm)]
    if not norms or norms[-1].bias is None:
        raise ConfigError(
            "Folding the centring needs a backbone that ends in a layer norm with a bias, as "
            "BERT and XLM-R do. Use --muvera, or an encoder that is not centred."
        )
    return norms[-1].bias


@torch.inference_mode()
def _check_folded(
    encoder: MultiVectorEncoder, folded: SentenceTransformer, shift: Tensor | None
) -> None:
    """Compare the last hidden states of both on one text: not every layer norm is the output."""
    before, after = encoder[0], folded[0]
    features = encoder.preprocess(["a b c"], task="query")
    inputs = {k: v.to(encoder.device) if isinstance(v, Tensor) else v for k, v in features.items()}
    states = [module(dict(inputs))["token_embeddings"] for module in (before, after)]
    expected = states[0] if shift is None else states[0] + shift
    if not torch.allclose(states[1], expected, atol=1e-4):
        raise ConfigError(
            "The centring cannot be folded into this backbone: its last layer norm is not its "
            "output. Export the encoder with --muvera, or one that is not centred."
        )


def export_single_vector(
    encoder: MultiVectorEncoder,
    output: Path | str,
    *,
    origin: dict[str, Any],
    overwrite: bool = False,
) -> None:
    """Save an encoder as a plain checkpoint for stock Pyserini; see the module's header.

    Raises
    ------
    ConfigError
        See `fold_encoder`; also if the name of `output` would mislead Pyserini.
    """
    name = Path(output).name
    for trap in _TRAPS:
        if trap in name.lower():
            raise ConfigError(
                f"{name}: expected a name without {' and '.join(map(repr, _TRAPS))}, from which "
                f"Pyserini infers arguments of another encoder, found {trap!r}. Choose another."
            )
    folded = fold_encoder(encoder)
    with write_folder(output, overwrite=overwrite) as part:
        folded.save_pretrained(str(part), create_model_card=False)
        write_description(part, {"role": "single-vector", "origin": origin})


def export_muvera(
    encoder: MultiVectorEncoder,
    output: Path | str,
    settings: MuveraSettings,
    *,
    space: str,
    origin: dict[str, Any],
    overwrite: bool = False,
) -> None:
    """Save an encoder with settings of MUVERA, for the launcher ``python -m encoders``.

    It is still the late-interaction encoder it was, of embedding space `space`, which can
    re-rank what its fixed-dimensional encodings have found.
    """
    with write_folder(output, overwrite=overwrite) as part:
        encoder.save_pretrained(str(part), create_model_card=False)
        write_description(
            part, {"role": "muvera", "space": space, "muvera": asdict(settings), "origin": origin}
        )
