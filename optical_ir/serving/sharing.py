"""Encoders of one family hold once what they have in common.

Students start from their teacher, and training leaves much of it as it was: of the word
embeddings, which are most of a multilingual encoder, all rows but those of pieces that the bitext
has; with adapters also every weight that none is beside. What is equal to the bit is held once,
so that the encoders give the same vectors, to the bit, as apart.
"""

import json
import threading
from typing import Any

import torch
from sentence_transformers import MultiVectorEncoder
from torch import Tensor, nn

_WORTHWHILE = 0.5
"""Share of changed rows up to which word embeddings are held as changes of another's."""

_TOKENIZING = (
    *("model_max_length", "padding_side", "truncation_side", "model_input_names"),
    *("special_tokens_map", "split_special_tokens"),
)
"""What a tokenizer does beside the rules of its fast half."""


class ChangedEmbedding(nn.Module):
    """Word embeddings that are those of another encoder, but for some rows.

    Parameters
    ----------
    base : Tensor, shape (n_rows, dim)
        Held by reference.
    own : Tensor, shape (n_rows, dim)
        What to look like.
    changed : Tensor, shape (n_rows,), bool
        Where they differ.
    """

    def __init__(self, base: Tensor, own: Tensor, changed: Tensor) -> None:
        super().__init__()
        self.register_buffer("base", base)
        self.register_buffer("rows", own[changed].clone())
        places = torch.full((len(base),), -1, dtype=torch.int32, device=base.device)
        places[changed] = torch.arange(int(changed.sum()), dtype=torch.int32, device=base.device)
        self.register_buffer("places", places)

    def forward(self, ids: Tensor) -> Tensor:
        """Rows of ids, shape (..., dim)."""
        base, rows, places = (getattr(self, name) for name in ("base", "rows", "places"))
        found = nn.functional.embedding(ids, base)
        place = places[ids].long()
        is_own = place >= 0
        found[is_own] = rows[place[is_own]]
        return found


def share_weights(encoder: MultiVectorEncoder, base: MultiVectorEncoder) -> int:
    """Let an encoder refer to weights and tokenizer of another where they are equal, in place.

    Returns
    -------
    int
        Bytes that it no longer holds itself.
    """
    saved = 0
    theirs = dict(base.named_parameters())
    for name, own in list(encoder.named_parameters()):
        other = theirs.get(name)
        if other is None or other.shape != own.shape or other.dtype != own.dtype:
            continue
        if own.data_ptr() != other.data_ptr() and torch.equal(own, other):
            own.data = other.data
            saved += own.nbytes
    saved += _share_embeddings(encoder[0], base[0])
    _share_tokenizer(encoder[0], base[0])
    return saved


def _share_embeddings(own: Any, base: Any) -> int:
    table, other = (module.model.get_input_embeddings() for module in (own, base))
    if not (isinstance(table, nn.Embedding) and isinstance(other, nn.Embedding)):
        return 0
    mine, theirs = table.weight.data, other.weight.data
    if mine.shape != theirs.shape or mine.dtype != theirs.dtype:
        return 0
    changed = (mine != theirs).any(dim=1)
    # All equal: shared already.
    if not 0 < int(changed.sum()) <= _WORTHWHILE * len(mine):
        return 0
    light = ChangedEmbedding(theirs, mine, changed).eval()
    own.model.set_input_embeddings(light)
    return int(mine.nbytes - light.get_buffer("rows").nbytes - light.get_buffer("places").nbytes)


def _share_tokenizer(own: Any, base: Any) -> None:
    mine, theirs = own.tokenizer, base.tokenizer
    if (
        type(mine) is type(theirs)
        and getattr(mine, "is_fast", False)
        and all(getattr(mine, name) == getattr(theirs, name) for name in _TOKENIZING)
        and _rules(mine) == _rules(theirs)
    ):
        own.processor = theirs
        # It holds the tokenizer too, hundreds of megabytes of a large vocabulary.
        if hasattr(own, "input_formatter"):
            own.input_formatter.processor = theirs


def _rules(tokenizer: Any) -> dict[str, Any]:
    """All that a fast tokenizer does, without the lengths that it was last asked for."""
    rules: dict[str, Any] = json.loads(tokenizer.backend_tokenizer.to_str())
    return {**rules, "truncation": None, "padding": None}


def lock_tokenizer(encoder: MultiVectorEncoder, lock: threading.Lock) -> None:
    """Let one thread at a time tokenise with an encoder, or with others of the same lock.

    A fast tokenizer keeps the length that it was last asked to cut to, and refuses to be asked by
    two threads at once.
    """
    preprocess = encoder.preprocess

    def preprocess_alone(*arguments: Any, **settings: Any) -> Any:
        with lock:
            return preprocess(*arguments, **settings)

    encoder.preprocess = preprocess_alone  # type: ignore[method-assign]
