"""Loading any checkpoint as a late-interaction encoder, and encoding text with it.

Teacher and student alike are stock sentence-transformers `MultiVectorEncoder`s. A checkpoint
that is one already (sentence-transformers, PyLate, Stanford ColBERT, transformers-native) loads
as it is. Any other Hugging Face or sentence-transformers checkpoint becomes one without
training: its own token vectors, normalised, with prefix, special and punctuation tokens unscored.
"""

import os
import string
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from sentence_transformers import MultiVectorEncoder
from sentence_transformers.base.modules import Normalize, Transformer
from sentence_transformers.multi_vector_encoder.modules import MultiVectorMask
from sentence_transformers.util import load_file_path

from optical_ir.errors import ConfigError, DataError, OpticalError
from optical_ir.files import read_json_object
from optical_ir.models.adapter import base_name, has_adapter, merge_adapter
from optical_ir.models.embedded import (
    DOCUMENT_PROMPT,
    EMBEDDED_MODEL,
    QUERY_PROMPT,
    embedded_checkpoint,
)
from optical_ir.models.folder import read_description
from optical_ir.models.lengths import read_up_to
from optical_ir.models.trust import ONLY_SAFETENSORS, check_checkpoint
from optical_ir.texts import check_texts

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

TokenVectors = npt.NDArray[np.float32]
"""Token embeddings of one text: shape (n_tokens, dim), unit rows."""

QUERY_LENGTH = 64
"""Tokens kept of a query: long enough for a sentence in a language of many pieces a word."""

DOCUMENT_LENGTH = 180
"""Tokens kept of a document, as in ColBERT (Khattab and Zaharia 2020, section 4.1)."""

WORD_MARKS = ("\u2581", "\u0120", "##")
"""What tokenizers write before a piece that starts a word, or before one that does not."""

_PUNCTUATION = frozenset(string.punctuation)


def load_encoder(
    name: str | Path,
    *,
    device: str | None = None,
    query_prompt: str | None = None,
    document_prompt: str | None = None,
    query_length: int | None = None,
    document_length: int | None = None,
) -> MultiVectorEncoder:
    """Load an encoder by name.

    Parameters
    ----------
    name : str or Path
        ``embedded`` for the embedded default model, or the name or folder of any Hugging Face,
        sentence-transformers, PyLate or Stanford ColBERT checkpoint, or the folder of a student
        of adapters, whose base is loaded with it.
    device : str, optional
        Torch device; by default the best one there is, of several processes that train
        together each its own.
    query_prompt, document_prompt : str, optional
        Text put before each query and document, for checkpoints that do not store their own.
    query_length, document_length : int, optional
        Tokens kept of a text; what the checkpoint says if not given.

    Raises
    ------
    ConfigError
        If there is no such checkpoint, it cannot be loaded, it cannot read such long texts, or
        the base of its adapters is missing or another one.
    DataError
        If the `optical.json` of a folder of adapters is damaged.
    DependencyError
        If the embedded model is asked for and its package is missing.
    """
    prompts = {"query": query_prompt, "document": document_prompt}
    given = {task: prompt for task, prompt in prompts.items() if prompt is not None}
    encoder = _load(name, given, device or _own_gpu())
    transformer: Any = encoder[0]
    longest = transformer.tokenizer.model_max_length
    if max(query_length or 0, document_length or 0) > longest:
        raise ConfigError(f"Encoder {str(name)!r} reads at most {longest} tokens; ask for fewer.")
    transformer.query_length = query_length or transformer.query_length
    transformer.document_length = document_length or transformer.document_length
    return encoder


def _own_gpu() -> str | None:
    rank = os.environ.get("LOCAL_RANK")
    return f"cuda:{rank}" if rank is not None and torch.cuda.is_available() else None


def _load(name: str | Path, given: dict[str, str], device: str | None) -> MultiVectorEncoder:
    if str(name) == EMBEDDED_MODEL:
        defaults = {"query": QUERY_PROMPT, "document": DOCUMENT_PROMPT}
        return build_encoder(embedded_checkpoint(), prompts=defaults | given, device=device)
    if _is_path(str(name)) and not Path(name).is_dir():
        raise ConfigError(f"Encoder {str(name)!r}: expected a folder, found none. Check the path.")
    check_checkpoint(name)
    try:
        encoder = _open(name, given, device)
        # What does not fit together shows when it is used.
        for encode in (encoder.encode_query, encoder.encode_document):
            encode(["a"], show_progress_bar=False)
        return encoder
    except OpticalError:
        raise
    # A damaged folder makes the libraries that read it raise whatever comes to them.
    except Exception as err:
        reason = str(err).strip().split("\n")[0] or type(err).__name__
        raise ConfigError(
            f"Encoder {str(name)!r}: expected '{EMBEDDED_MODEL}', a checkpoint folder or a "
            f"Hugging Face model name, but it does not load ({reason})."
        ) from err


def _open(name: str | Path, given: dict[str, str], device: str | None) -> MultiVectorEncoder:
    if has_adapter(name):
        return _load_adapted(Path(name), given, device)
    if _is_multi_vector(str(name)):
        encoder = MultiVectorEncoder(
            str(name), device=device, prompts=given or None, model_kwargs=_model_kwargs(name)
        )
        _remember_missing_pooler(encoder[0])
        return encoder.eval()
    stored = _read_json(str(name), "config_sentence_transformers.json").get("prompts") or {}
    # Prompts of other tasks (clustering, say) must not make their words unscored.
    own = {task: stored[task] for task in ("query", "document") if stored.get(task)}
    return build_encoder(name, prompts=own | given, device=device)


def _load_adapted(folder: Path, given: dict[str, str], device: str | None) -> MultiVectorEncoder:
    base = base_name(folder)
    try:
        encoder = _load(base, {}, device)
    except ConfigError as err:
        raise ConfigError(
            f"{folder}: expected its base, {base!r}, found none that loads ({err}) "
            "Move a student together with its teacher, or put that there."
        ) from err
    merge_adapter(encoder, folder)
    # A whole student has its length in its own files.
    if length := (read_description(folder).get("settings") or {}).get("max_length"):
        read_up_to(encoder, length)
    encoder.prompts.update(given)
    return encoder


def build_encoder(
    checkpoint: str | Path, *, prompts: dict[str, str], device: str | None = None
) -> MultiVectorEncoder:
    """Late-interaction encoder over a plain checkpoint, without training or new weights.

    Parameters
    ----------
    checkpoint : str or Path
        Name or folder of a transformers or sentence-transformers checkpoint.
    prompts : dict
        Prefixes by task, ``query`` and ``document``; their pieces are not scored.
    """
    transformer = Transformer(
        str(checkpoint),
        model_kwargs=_model_kwargs(checkpoint),
    )
    if transformer.tokenizer is None:
        raise ConfigError(f"Encoder {str(checkpoint)!r}: expected a text model with a tokenizer.")
    longest = transformer.tokenizer.model_max_length
    transformer.query_length = min(QUERY_LENGTH, longest)
    transformer.document_length = min(DOCUMENT_LENGTH, longest)
    _remember_missing_pooler(transformer)
    mask = MultiVectorMask(
        unscored_tokens(transformer.tokenizer, prompts.values()),
        skiplist_tasks=["query", "document"],
    )
    normalize = Normalize(module_input_name="token_embeddings")
    encoder = MultiVectorEncoder(
        modules=[transformer, mask, normalize], prompts=dict(prompts), device=device
    )
    return encoder.eval()


def unscored_tokens(tokenizer: "PreTrainedTokenizerBase", prompts: Iterable[str]) -> list[str]:
    """Vocabulary pieces that take no part in MaxSim: specials, punctuation, prompt pieces.

    The stock mask module drops by token id, so a prompt's piece is dropped wherever it stands.
    """
    dropped = set(tokenizer.all_special_tokens)
    dropped.update(piece for piece in tokenizer.get_vocab() if _is_punctuation(piece))
    for prompt in prompts:
        dropped.update(tokenizer.tokenize(prompt))
    return sorted(dropped)


def _is_punctuation(piece: str) -> bool:
    for mark in WORD_MARKS:
        piece = piece.removeprefix(mark)
    return all(char in _PUNCTUATION or unicodedata.category(char)[0] == "P" for char in piece)


def _is_path(name: str) -> bool:
    """Whether a name can only be a folder; names on a hub have one slash at most."""
    return name.startswith((".", "/", "~")) or name.endswith("/") or name.count("/") > 1


def _read_json(name: str, file: str) -> dict[str, Any]:
    path = load_file_path(name, file)
    return read_json_object(Path(path)) if path else {}


def _is_multi_vector(name: str) -> bool:
    saved = _read_json(name, "config_sentence_transformers.json").get("model_type")
    if saved is not None:
        return saved in ("MultiVectorEncoder", "ColBERT")
    architectures = _read_json(name, "config.json").get("architectures") or []
    return any(kind == "HF_ColBERT" or kind.endswith("ForRetrieval") for kind in architectures)


def _model_kwargs(checkpoint: str | Path) -> dict[str, Any]:
    # BERT-like models make a random pooler for checkpoints that have none, and warn about it;
    # an encoder with random weights would have another fingerprint each time.
    kind = _read_json(str(checkpoint), "config.json").get("model_type")
    is_like_bert = kind in ("bert", "roberta", "xlm-roberta")
    return ONLY_SAFETENSORS | ({"add_pooling_layer": False} if is_like_bert else {})


def _remember_missing_pooler(transformer: Any) -> None:
    # Without this a saved encoder would come back with a random pooler and a warning about it.
    if getattr(getattr(transformer, "model", None), "pooler", True) is None:
        transformer.model_kwargs = {"add_pooling_layer": False}
        transformer.config_keys = [*type(transformer).config_keys, "model_kwargs"]


def encode_queries(
    encoder: MultiVectorEncoder, texts: Sequence[str], *, batch_size: int = 32
) -> list[TokenVectors]:
    """Token embeddings of queries: for each text float32 of shape (n_tokens, dim), unit rows.

    A text with nothing to score, such as one of punctuation only, gives shape (0, dim).

    Raises
    ------
    ConfigError
        If the encoder fails, as a damaged one does, or one that has too little memory.
    DataError
        If a text has half a character, or the encoder's weights give vectors that are not finite.
    """
    return _encode(encoder, texts, "query", batch_size)


def encode_documents(
    encoder: MultiVectorEncoder, texts: Sequence[str], *, batch_size: int = 32
) -> list[TokenVectors]:
    """Token embeddings of documents; see `encode_queries`."""
    return _encode(encoder, texts, "document", batch_size)


def _encode(
    encoder: MultiVectorEncoder, texts: Sequence[str], task: str, batch_size: int
) -> list[TokenVectors]:
    check_texts(texts)
    encode = encoder.encode_query if task == "query" else encoder.encode_document
    try:
        vectors = encode(list(texts), batch_size=batch_size, show_progress_bar=False)
    # Weights, tokenizer and settings that do not fit together, or too little memory.
    except (IndexError, RuntimeError) as err:
        reason = str(err).strip().split("\n")[0]
        raise ConfigError(
            f"The encoder fails on a batch of {task} texts ({type(err).__name__}: {reason}). If "
            "its folder is whole, lower the batch size or the length; else take it from its source."
        ) from err
    # Normalised again in float32, so that a bfloat16 model gives unit rows too.
    rows = [torch.nn.functional.normalize(v.float(), dim=-1).cpu().numpy() for v in vectors]
    check_vectors(rows)
    return rows


def check_vectors(rows: Iterable[npt.NDArray[np.float32]]) -> None:
    """Refuse vectors that are no numbers, as damaged weights give, with a `DataError`."""
    if not all(np.isfinite(row).all() for row in rows):
        raise DataError(
            "The encoder gives vectors that are not finite. Its weights are damaged, or too large "
            "for its dtype; take the checkpoint from its source."
        )


def embedding_dim(encoder: MultiVectorEncoder) -> int:
    """Width of the encoder's token embeddings."""
    dim = encoder.get_embedding_dimension()
    if dim is None:
        raise ConfigError("The encoder does not tell the width of its token embeddings.")
    return dim
