"""Training only those rows of the word embeddings whose pieces occur in a bitext.

The word embeddings of a multilingual encoder are most of its weights, and a bitext uses a tenth
of them. An optimiser keeps two moments of every row it is given and moves all of them each step;
here it gets the rows in use. Tokenizer and piece ids stay as they are.
"""

from collections.abc import Sequence
from typing import Any

import torch
from sentence_transformers import MultiVectorEncoder
from torch import Tensor, nn
from torch.nn import functional

_BATCH = 1024
"""Texts tokenised at once; only memory depends on it."""


class CutEmbedding(nn.Module):
    """An embedding of which some rows are trained and all others are frozen.

    In a state dict it is the ordinary embedding, of one whole `weight`: checkpoints, fingerprints
    and resumption see no difference.

    Parameters
    ----------
    embedding : nn.Embedding
        Where all rows start from.
    ids : Tensor
        Rows to train: int64 of shape (n_rows,), without repeats.

    Attributes
    ----------
    rows : nn.Parameter
        The trained rows: shape (n_rows, dim).
    """

    full: Tensor
    ids: Tensor
    positions: Tensor

    def __init__(self, embedding: nn.Embedding, ids: Tensor) -> None:
        super().__init__()
        full = embedding.weight.detach()
        self.padding_idx = embedding.padding_idx
        positions = torch.full((len(full),), -1, device=full.device)
        positions[ids] = torch.arange(len(ids), device=full.device)
        self.register_buffer("full", full)
        self.register_buffer("ids", ids.to(full.device))
        self.register_buffer("positions", positions)
        self.rows = nn.Parameter(full[self.ids].clone())

    def forward(self, ids: Tensor) -> Tensor:
        """Embed piece ids of any shape: that shape with the width of a row behind it."""
        positions = self.positions[ids]
        trained = functional.embedding(positions.clamp(min=0), self.rows)
        frozen = functional.embedding(ids, self.full)
        return torch.where((positions >= 0).unsqueeze(-1), trained, frozen)

    def weight(self) -> Tensor:
        """All rows, the trained ones in their places: shape (n_pieces, dim), without gradient."""
        return self.full.index_copy(0, self.ids, self.rows.detach())

    def _save_to_state_dict(
        self, destination: dict[str, Any], prefix: str, keep_vars: bool
    ) -> None:
        destination[f"{prefix}weight"] = self.weight()

    def _load_from_state_dict(
        self,
        state_dict: dict[str, Any],
        prefix: str,
        local_metadata: dict[str, Any],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        weight = state_dict.get(f"{prefix}weight")
        if weight is None:
            missing_keys.append(f"{prefix}weight")
            return
        with torch.no_grad():
            self.full.copy_(weight)
            self.rows.copy_(self.full[self.ids])


def word_embeddings(encoder: MultiVectorEncoder) -> nn.Module:
    """Give the module that embeds the pieces of an encoder."""
    transformer: Any = encoder[0]
    embeddings: nn.Module = transformer.model.get_input_embeddings()
    return embeddings


def cut_word_embeddings(
    encoder: MultiVectorEncoder, texts: Sequence[str], *, max_length: int
) -> None:
    """Train, of the word embeddings, the rows of the pieces that `texts` have as queries.

    Pieces of the query prompt and special tokens are among them; padding is not, which
    `nn.Embedding` does not train either. `fold_word_embeddings` undoes it.

    Parameters
    ----------
    encoder : MultiVectorEncoder
        Changed in place.
    texts : sequence of str
    max_length : int
        Tokens read of a text, prompt included.
    """
    embedding = word_embeddings(encoder)
    if not isinstance(embedding, nn.Embedding):
        raise TypeError(f"expected word embeddings in an nn.Embedding, found {type(embedding)}")
    used = torch.zeros(embedding.num_embeddings, dtype=torch.bool)
    for start in range(0, len(texts), _BATCH):
        inputs = encoder.preprocess(
            list(texts[start : start + _BATCH]),
            prompt=encoder.prompts.get("query"),
            task="query",
            max_length=max_length,
        )
        used[inputs["input_ids"].flatten().cpu()] = True
    if embedding.padding_idx is not None:
        used[embedding.padding_idx] = False
    _replace(encoder, CutEmbedding(embedding, used.nonzero().squeeze(1)))


@torch.no_grad()
def fold_word_embeddings(encoder: MultiVectorEncoder) -> None:
    """Put the trained rows back into ordinary word embeddings, in place; others do nothing."""
    cut = word_embeddings(encoder)
    if isinstance(cut, CutEmbedding):
        folded = nn.Embedding.from_pretrained(  # type: ignore[no-untyped-call]
            cut.weight(), freeze=False, padding_idx=cut.padding_idx
        )
        _replace(encoder, folded)


def _replace(encoder: MultiVectorEncoder, embeddings: nn.Module) -> None:
    transformer: Any = encoder[0]
    transformer.model.set_input_embeddings(embeddings)
