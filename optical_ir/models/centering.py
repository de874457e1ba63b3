"""Centring and projecting token embeddings, folded into the checkpoint as a stock `Dense`.

Token vectors of a pre-trained model share a large common component; without it, cosines tell
tokens apart better (Mu and Viswanath 2018, "All-but-the-Top", section 2). Subtracting a mean and
rotating onto principal axes is affine, so one `Dense` with bias carries both.
"""

from collections.abc import Iterable
from itertools import islice

import torch
from sentence_transformers import MultiVectorEncoder
from sentence_transformers.base.modules import Dense, Normalize
from torch import Tensor, nn

from optical_ir.errors import ConfigError
from optical_ir.models.encoder import embedding_dim


def center_encoder(
    encoder: MultiVectorEncoder,
    texts: Iterable[str],
    *,
    dim: int | None = None,
    batch_size: int = 32,
) -> MultiVectorEncoder:
    """Make an encoder whose token embeddings are centred on those of `texts`.

    Parameters
    ----------
    encoder : MultiVectorEncoder
        Left as it is; the new encoder shares its weights.
    texts : iterable of str
        Documents to estimate the mean token vector from, a thousand or more.
    dim : int, optional
        Keep this many principal components of the centred vectors; all by default.

    Raises
    ------
    ConfigError
        If `dim` is not between 1 and the encoder's own, or `texts` has too few tokens for it.
    """
    full = embedding_dim(encoder)
    if dim is not None and not 1 <= dim <= full:
        raise ConfigError(f"dim: expected 1 to {full}, the encoder's own width, found {dim}.")
    mean, covariance, n_tokens = _moments(encoder, texts, batch_size)
    if n_tokens < full:
        raise ConfigError(
            f"Centring {full}-dimensional vectors needs at least as many tokens, found "
            f"{n_tokens}. Give more or longer documents."
        )
    # Without projection the axes stay as they are: an identity, not a rotation.
    axes = torch.eye(full) if dim is None else torch.linalg.eigh(covariance).eigenvectors.flip(-1)
    weight = axes[:, : dim or full].T.float().contiguous()
    dense = Dense(
        full,
        len(weight),
        bias=True,
        activation_function=nn.Identity(),
        init_weight=weight,
        init_bias=-weight @ mean.float(),
        module_input_name="token_embeddings",
    )
    modules = list(encoder)
    position = normalize_position(encoder)
    return MultiVectorEncoder(
        modules=[*modules[:position], dense, *modules[position:]],
        prompts={task: prompt for task, prompt in encoder.prompts.items() if prompt is not None},
        device=str(encoder.device),
    ).eval()


def normalize_position(encoder: MultiVectorEncoder) -> int:
    """Place of the first `Normalize` among the encoder's modules; a `ConfigError` without one."""
    positions = [i for i, module in enumerate(encoder) if isinstance(module, Normalize)]
    if not positions:
        raise ConfigError(
            "A linear layer goes before the encoder's Normalize module, and this one has none. "
            "Use a checkpoint that normalises its token embeddings."
        )
    return positions[0]


@torch.inference_mode()
def _moments(
    encoder: MultiVectorEncoder, texts: Iterable[str], batch_size: int
) -> tuple[Tensor, Tensor, int]:
    """Mean (dim,), covariance (dim, dim) and number of the scored raw token vectors of `texts`."""
    # What follows Normalize may still be the mask that says which tokens are scored.
    modules = [module for module in encoder if not isinstance(module, Normalize)]
    total = torch.zeros(embedding_dim(encoder), dtype=torch.float64)
    squares = torch.zeros(len(total), len(total), dtype=torch.float64)
    n_tokens = 0
    stream = iter(texts)
    while batch := list(islice(stream, batch_size)):
        features = encoder.preprocess(
            batch,
            prompt=encoder.prompts.get("document"),
            task="document",
        )
        features = {
            k: v.to(encoder.device) if isinstance(v, Tensor) else v for k, v in features.items()
        }
        for module in modules:
            takes_task = "task" in getattr(module, "forward_kwargs", ())
            features = module(features, task="document") if takes_task else module(features)
        tokens = features["token_embeddings"][features["attention_mask"].bool()].double().cpu()
        total += tokens.sum(0)
        squares += tokens.T @ tokens
        n_tokens += len(tokens)
    mean = total / max(n_tokens, 1)
    return mean, squares / max(n_tokens, 1) - torch.outer(mean, mean), n_tokens
