"""Translation by seq2seq checkpoints of transformers."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from optical_ir.errors import ConfigError
from optical_ir.translation.cache import Translation
from optical_ir.translation.tokenizer import TranslationTokenizer
from optical_ir.translation.translator import (
    TranslationSettings,
    describe_translator,
    hash_model,
)

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


class TransformersTranslator:
    """A Marian, M2M-100, NLLB-200, mBART-50 or MADLAD-400 checkpoint, see `load_translator`."""

    def __init__(
        self,
        name: str,
        languages: tuple[str, str],
        settings: TranslationSettings,
        *,
        tokenizer: str,
        device: str | None = None,
    ) -> None:
        _check_name(name)
        dtype = settings.dtype or "float32"
        if dtype not in _DTYPES:
            raise ConfigError(f"expected a dtype of {', '.join(_DTYPES)}, found {dtype!r}.")
        self._name = name
        self._tokenizer = TranslationTokenizer(tokenizer, languages, max_length=settings.max_length)
        self._settings = settings
        self._device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        self._model = _load_model(name, _DTYPES[dtype]).to(self._device).eval()
        positions = getattr(self._model.config, "max_position_embeddings", None)
        _check_positions(settings, positions)
        self._tokenizer.limit(positions)

    @cached_property
    def identity(self) -> Mapping[str, Any]:
        """See `Translator.identity`; a hub's checkpoint by its revision, a folder by its hash."""
        revision = getattr(self._model.config, "_commit_hash", None)
        if Path(self._name).is_dir():
            revision = hash_model(Path(self._name))
        pair, settings = self._tokenizer.pair, self._settings
        return {
            **describe_translator("transformers", revision or self._name, pair, settings),
            "max_length": self._tokenizer.max_length,
            "dtype": settings.dtype or "float32",
        }

    def translate(self, texts: Sequence[str]) -> list[Translation]:
        """Translate the texts in one batch, by beam search.

        Raises
        ------
        ConfigError
            If the batch does not fit into memory.
        """
        ids, is_cut = self._tokenizer.encode(texts)
        rows = self._generate(_pad(ids, self._tokenizer.tokenizer.pad_token_id))
        # The first token is the decoder's start, in M2M-100 the same as the end.
        end = self._model.generation_config.eos_token_id
        ends = set(end if isinstance(end, list) else [end])
        return [
            Translation(self._tokenizer.decode(row), cut, not ends & set(row))
            for row, cut in zip((row[1:] for row in rows), is_cut, strict=True)
        ]

    def _generate(self, batch: Mapping[str, torch.Tensor]) -> list[list[int]]:
        """Token ids of each text's translation, from the decoder's start to the longest end."""
        forced = self._tokenizer.first_id
        try:
            with torch.inference_mode():
                rows: list[list[int]] = self._model.generate(
                    **{name: tensor.to(self._device) for name, tensor in batch.items()},
                    num_beams=self._settings.num_beams,
                    max_new_tokens=self._settings.max_new_tokens,
                    do_sample=False,
                    **({} if forced is None else {"forced_bos_token_id": forced}),
                ).tolist()
        except torch.OutOfMemoryError as err:
            raise ConfigError(
                f"expected memory on {self._device} for a batch of {len(batch['input_ids'])} "
                f"texts and {self._settings.num_beams} beams, found too little. Lower --batch-size "
                "and go on: what is translated is kept."
            ) from err
        return rows


def _check_name(name: str) -> None:
    is_path = name.startswith((".", "/", "~")) or name.endswith("/") or name.count("/") > 1
    if is_path and not Path(name).is_dir():
        raise ConfigError(f"Model {name!r}: expected a folder, found none. Check the path.")


def _load_model(name: str, dtype: torch.dtype) -> Any:
    from transformers import AutoModelForSeq2SeqLM

    try:
        model: Any = AutoModelForSeq2SeqLM.from_pretrained(
            name, dtype=dtype, trust_remote_code=False
        )
    # A damaged folder makes the libraries that read it raise whatever comes to them.
    except Exception as err:
        reason = str(err).strip().split("\n")[0] or type(err).__name__
        raise ConfigError(
            f"Model {name!r}: expected a seq2seq checkpoint folder or Hugging Face model name, "
            f"but it does not load ({reason})."
        ) from err
    # Lengths are told in new tokens only, and an end that is forced would hide that one is cut.
    model.generation_config.max_length = None
    model.generation_config.forced_eos_token_id = None
    return model


def _check_positions(settings: TranslationSettings, positions: int | None) -> None:
    longest = max(settings.max_new_tokens + 1, settings.max_length or 0)
    if positions is not None and longest > positions:
        raise ConfigError(
            f"expected lengths of at most {positions - 1} new tokens and {positions} read, which "
            f"is what the model has, found {settings.max_new_tokens} and {settings.max_length}. "
            "Lower --max-new-tokens or --max-length."
        )


def _pad(ids: Sequence[Sequence[int]], pad: int) -> dict[str, torch.Tensor]:
    """Ids and mask of shape (n_texts, longest), padded on the right."""
    longest = max(map(len, ids))
    return {
        "input_ids": torch.tensor([[*row, *[pad] * (longest - len(row))] for row in ids]),
        "attention_mask": torch.tensor(
            [[1] * len(row) + [0] * (longest - len(row)) for row in ids]
        ),
    }
