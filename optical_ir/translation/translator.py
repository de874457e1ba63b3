"""What translates: the settings, and the form that all engines have."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from optical_ir.errors import ConfigError
from optical_ir.files import sha256_file
from optical_ir.translation.cache import Translation

if TYPE_CHECKING:
    from optical_ir.translation.codes import LanguagePair

ENGINES = ("transformers", "ctranslate2")

_MODEL_FILES = {".safetensors", ".bin", ".json", ".model", ".spm", ".txt"}


@dataclass(frozen=True)
class TranslationSettings:
    """How a model translates.

    Parameters
    ----------
    num_beams : int
        Width of the beam search; 1 is greedy.
    max_new_tokens : int
        Tokens of a translation at most; one that is not finished by then is counted.
    max_length : int or None
        Tokens read of a source text; what the checkpoint says, and 512 at most, if None. A text
        that is cut is counted.
    dtype : str or None
        Of the weights: a torch type, float32 if None; of CTranslate2 a compute type, that of the
        conversion if None.
    """

    num_beams: int = 4
    max_new_tokens: int = 256
    max_length: int | None = None
    dtype: str | None = None


class Translator(Protocol):
    """A loaded model that translates between two languages."""

    @property
    def identity(self) -> Mapping[str, Any]:
        """All that decides a translation beside the text: model, settings and languages."""

    def translate(self, texts: Sequence[str]) -> list[Translation]:
        """Translate the texts in one batch."""


def load_translator(
    model: str,
    source_lang: str,
    target_lang: str,
    *,
    engine: str = "transformers",
    tokenizer: str | None = None,
    settings: TranslationSettings | None = None,
    device: str | None = None,
) -> Translator:
    """Load a translation model by name.

    Parameters
    ----------
    model : str
        Name or folder of a MarianMT (OPUS-MT), M2M-100, NLLB-200, mBART-50 or MADLAD-400
        checkpoint; with the engine ``ctranslate2`` a folder that
        ``ct2-transformers-converter`` wrote.
    source_lang, target_lang : str
        ISO 639-1, ISO 639-3 or BCP 47.
    tokenizer : str, optional
        Name or folder of the tokenizer, for CTranslate2 folders without one.
    device : str, optional
        Torch device; by default the best one there is.

    Raises
    ------
    ConfigError
        If there is no such model or engine, it does not load, it is of another family, it does
        not have a language, or `settings` do not fit it.
    DependencyError
        If a package is missing.
    """
    if engine not in ENGINES:
        raise ConfigError(f"expected an engine of {', '.join(ENGINES)}, found {engine!r}.")
    settings = settings or TranslationSettings()
    languages = (source_lang, target_lang)
    if engine == "ctranslate2":
        from optical_ir.translation.ctranslate2_engine import CTranslate2Translator

        return CTranslate2Translator(
            model, languages, settings, tokenizer=tokenizer or model, device=device
        )
    from optical_ir.translation.transformers_engine import TransformersTranslator

    return TransformersTranslator(
        model, languages, settings, tokenizer=tokenizer or model, device=device
    )


def describe_translator(
    engine: str, model: str, pair: "LanguagePair", settings: TranslationSettings
) -> dict[str, Any]:
    """All that decides a translation beside the text, for caches and provenance."""
    return {
        "engine": engine,
        "model": model,
        "family": pair.family,
        "source": pair.source,
        "target": pair.target,
        **asdict(settings),
    }


def hash_model(folder: Path) -> str:
    """SHA-256 over the names and bytes of the files that make a model: weights, settings, pieces.

    Other files, as a model card, and the folder's own name do not count.
    """
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.suffix in _MODEL_FILES and path.is_file():
            digest.update(f"{path.name} {sha256_file(path)}\n".encode())
    return digest.hexdigest()
