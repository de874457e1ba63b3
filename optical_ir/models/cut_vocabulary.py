"""A permanently small checkpoint: tokenizer and word embeddings with the pieces of some texts.

Most of a multilingual encoder is the matrix of its vocabulary, of which a deployment for a few
languages needs a tenth. A Unigram tokenizer takes the most probable segmentation of a text (Kudo
2018, eq. 1); with fewer pieces to choose from, the one it took is still the most probable. Hence
texts whose pieces are kept are embedded bit for bit as before. Other words fall into smaller
pieces, at worst single characters.
"""

import copy
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import torch
from sentence_transformers import MultiVectorEncoder
from sentence_transformers.multi_vector_encoder.modules import MultiVectorMask
from torch import nn

from optical_ir.errors import ConfigError
from optical_ir.files import write_folder
from optical_ir.models.folder import write_description

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_BATCH = 1000


def cut_vocabulary(encoder: MultiVectorEncoder, texts: Iterable[str]) -> MultiVectorEncoder:
    """Make an encoder whose vocabulary is the pieces that texts use.

    Kept beside these are the pieces of the prompts, special and added tokens, and every single
    character of a kept piece that is a piece itself.

    Parameters
    ----------
    encoder : MultiVectorEncoder
        Left as it is. Its tokenizer must be a fast one with a Unigram model, as XLM-R's and E5's.
    texts : iterable of str
        Whole, whatever length the encoder reads; covered as queries and as documents.

    Raises
    ------
    ConfigError
        If there are no texts, the tokenizer is of another kind, or it would split the texts
        differently without the pieces left out.
    """
    state = _unigram_state(encoder.tokenizer)
    distinct = list(dict.fromkeys(texts))
    if not distinct:
        raise ConfigError("Cutting a vocabulary needs the texts to keep it for, found none.")
    kept = _kept_ids(encoder, state, distinct)
    small = copy.deepcopy(encoder)
    tokenizer = _rebuild(encoder.tokenizer, _cut_state(state, kept))
    _check_segmentation(encoder, tokenizer, kept, distinct)
    transformer: Any = small[0]
    transformer.processor = tokenizer
    _cut_matrix(small, kept)
    for module in small:
        if isinstance(module, MultiVectorMask):
            words = tokenizer.get_vocab()
            module.skiplist_words = [word for word in module.skiplist_words if word in words]
            module.resolve_with_tokenizer(tokenizer)
    return small.eval()


def export_cut_vocabulary(
    encoder: MultiVectorEncoder,
    output: Path | str,
    texts: Iterable[str],
    *,
    space: str,
    origin: dict[str, Any],
    overwrite: bool = False,
) -> MultiVectorEncoder:
    """Save an encoder with the vocabulary of texts, still of embedding space `space`; give it.

    Raises
    ------
    ConfigError
        See `cut_vocabulary`.
    """
    small = cut_vocabulary(encoder, texts)
    with write_folder(output, overwrite=overwrite) as part:
        small.save_pretrained(str(part), create_model_card=False)
        write_description(part, {"role": "cut-vocabulary", "space": space, "origin": origin})
    return small


def _unigram_state(tokenizer: Any) -> dict[str, Any]:
    backend = getattr(tokenizer, "backend_tokenizer", None)
    state: dict[str, Any] = json.loads(backend.to_str()) if backend is not None else {}
    kind = state.get("model", {}).get("type", type(tokenizer).__name__)
    if kind != "Unigram":
        raise ConfigError(
            f"Cutting a vocabulary needs a fast tokenizer with a Unigram model, found {kind}: "
            "others build words from pieces that no text shows, or have vocabularies of one "
            "language, in which there is little to cut. Use the encoder as it is."
        )
    return state


def _kept_ids(encoder: MultiVectorEncoder, state: dict[str, Any], texts: list[str]) -> list[int]:
    """Ids of the pieces to keep, ascending, so that they keep their order."""
    tokenizer = encoder.tokenizer
    kept = {token["id"] for token in state["added_tokens"]} | set(tokenizer.all_special_ids)
    for ids in _tokenize(tokenizer, _with_prompts(encoder, texts)):
        kept.update(ids)
    # RoBERTa counts positions from the id of padding, which must stay what it is.
    kept.update(range((tokenizer.pad_token_id or 0) + 1))
    pieces = state["model"]["vocab"]
    if state["model"].get("byte_fallback"):
        kept.update(id_ for id_, (piece, _) in enumerate(pieces) if piece.startswith("<0x"))
    letters = set("".join(pieces[id_][0] for id_ in kept if id_ < len(pieces)))
    kept.update(id_ for id_, (piece, _) in enumerate(pieces) if piece in letters)
    # An unknown character counts as less probable, by a fixed step, than the rarest piece.
    kept.add(min(range(len(pieces)), key=lambda id_: pieces[id_][1]))
    return sorted(kept)


def _with_prompts(encoder: MultiVectorEncoder, texts: list[str]) -> Iterator[str]:
    prompts = (encoder.prompts.get(task) or "" for task in ("query", "document"))
    for prompt in dict.fromkeys(prompts):
        yield from (prompt + text for text in texts)


def _tokenize(tokenizer: Any, texts: Iterable[str]) -> Iterator[list[int]]:
    batch: list[str] = []
    for text in texts:
        batch.append(text)
        if len(batch) == _BATCH:
            yield from tokenizer(batch, verbose=False)["input_ids"]
            batch = []
    if batch:
        yield from tokenizer(batch, verbose=False)["input_ids"]


def _cut_state(state: dict[str, Any], kept: list[int]) -> dict[str, Any]:
    """State of the backend tokenizer with the kept pieces only, numbered anew."""
    number = {old: new for new, old in enumerate(kept)}
    model, pieces = state["model"], state["model"]["vocab"]
    model = model | {"vocab": [pieces[id_] for id_ in kept if id_ < len(pieces)]}
    if model["unk_id"] is not None:
        model["unk_id"] = number[model["unk_id"]]
    added = [token | {"id": number[token["id"]]} for token in state["added_tokens"]]
    processor = copy.deepcopy(state["post_processor"])
    _renumber(processor, number)
    changed = {"model": model, "added_tokens": added, "post_processor": processor}
    return state | changed | {"padding": None, "truncation": None}


def _renumber(processor: dict[str, Any] | None, number: dict[int, int]) -> None:
    if processor is None:
        return
    for inner in processor.get("processors", ()):
        _renumber(inner, number)
    for token in processor.get("special_tokens", {}).values():
        token["ids"] = [number[id_] for id_ in token["ids"]]
    for name in ("sep", "cls"):
        if name in processor:
            piece, id_ = processor[name]
            processor[name] = [piece, number[id_]]


def _rebuild(tokenizer: Any, state: dict[str, Any]) -> "PreTrainedTokenizerBase":
    # By way of files, so that it is what the saved encoder will load.
    with TemporaryDirectory() as folder:
        tokenizer.save_pretrained(folder)
        (Path(folder) / "tokenizer.json").write_text(json.dumps(state), "utf-8")
        rebuilt: PreTrainedTokenizerBase = type(tokenizer).from_pretrained(folder)
    return rebuilt


def _check_segmentation(
    encoder: MultiVectorEncoder, tokenizer: Any, kept: list[int], texts: list[str]
) -> None:
    before = _tokenize(encoder.tokenizer, _with_prompts(encoder, texts))
    after = _tokenize(tokenizer, _with_prompts(encoder, texts))
    for old, new in zip(before, after, strict=True):
        if old != [kept[id_] for id_ in new]:
            text = encoder.tokenizer.decode(old)
            raise ConfigError(
                f"The tokenizer splits {text[:80]!r} differently with a cut vocabulary. Use the "
                "encoder as it is."
            )


@torch.no_grad()
def _cut_matrix(small: MultiVectorEncoder, kept: list[int]) -> None:
    transformer: Any = small[0]
    full = transformer.model.get_input_embeddings()
    cut = nn.Embedding.from_pretrained(  # type: ignore[no-untyped-call]
        full.weight[torch.tensor(kept, device=full.weight.device)],
        freeze=not full.weight.requires_grad,
        padding_idx=full.padding_idx,
    )
    transformer.model.set_input_embeddings(cut)
    config = transformer.model.config
    config.vocab_size = len(kept)
    number = {old: new for new, old in enumerate(kept)}
    for name, id_ in config.to_dict().items():
        if name.endswith("_token_id") and id_ in number:
            setattr(config, name, number[id_])
