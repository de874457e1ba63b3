"""Translation by CTranslate2, which is made for CPUs, from a converted folder."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from optical_ir.errors import ConfigError, DependencyError
from optical_ir.translation.cache import Translation
from optical_ir.translation.tokenizer import TranslationTokenizer
from optical_ir.translation.translator import (
    TranslationSettings,
    describe_translator,
    hash_model,
)


class CTranslate2Translator:
    """A folder that ``ct2-transformers-converter`` wrote, see `load_translator`."""

    def __init__(
        self,
        name: str,
        languages: tuple[str, str],
        settings: TranslationSettings,
        *,
        tokenizer: str,
        device: str | None = None,
    ) -> None:
        self._folder = Path(name)
        if not (self._folder / "model.bin").is_file():
            raise ConfigError(
                f"{name}: expected a folder with model.bin, found none. Write one with: "
                "ct2-transformers-converter --model MODEL --output_dir FOLDER --quantization int8"
            )
        self._tokenizer = TranslationTokenizer(tokenizer, languages, max_length=settings.max_length)
        self._settings = settings
        self._model = _load_model(name, settings, device)

    @cached_property
    def identity(self) -> Mapping[str, Any]:
        """See `Translator.identity`; the model by the hash of its folder."""
        pair, settings = self._tokenizer.pair, self._settings
        return {
            **describe_translator("ctranslate2", hash_model(self._folder), pair, settings),
            "max_length": self._tokenizer.max_length,
            "dtype": str(self._model.compute_type),
        }

    def translate(self, texts: Sequence[str]) -> list[Translation]:
        """Translate the texts in one batch, by beam search."""
        tokenizer = self._tokenizer.tokenizer
        ids, is_cut = self._tokenizer.encode(texts)
        first = self._tokenizer.pair.first_token
        results = self._model.translate_batch(
            [tokenizer.convert_ids_to_tokens(row) for row in ids],
            target_prefix=[[first]] * len(ids) if first else None,
            beam_size=self._settings.num_beams,
            max_input_length=0,
            max_decoding_length=self._settings.max_new_tokens,
            return_end_token=True,
        )
        found = [result.hypotheses[0] for result in results]
        return [
            Translation(
                self._tokenizer.decode(tokenizer.convert_tokens_to_ids(tokens)),
                cut,
                tokenizer.eos_token not in tokens,
            )
            for tokens, cut in zip(found, is_cut, strict=True)
        ]


def _load_model(name: str, settings: TranslationSettings, device: str | None) -> Any:
    try:
        import ctranslate2
    except ModuleNotFoundError as err:
        raise DependencyError(
            "The engine ctranslate2 is not installed. Run: pip install 'optical-ir[ctranslate2]'"
        ) from err
    kind, _, number = (device or "auto").partition(":")
    try:
        return ctranslate2.Translator(
            name,
            device=kind,
            device_index=int(number or 0),
            compute_type=settings.dtype or "default",
        )
    except (RuntimeError, ValueError) as err:
        raise ConfigError(f"{name}: CTranslate2 cannot load it ({err}).") from err
