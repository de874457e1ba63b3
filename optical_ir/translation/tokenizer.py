"""The tokenizer of a translation model: loaded, and used so that nothing is cut unseen."""

import warnings
from collections.abc import Sequence
from typing import Any

from optical_ir.errors import ConfigError, DependencyError
from optical_ir.translation.codes import LanguagePair, language_pair, language_tokens

_LONGEST = 512
"""Tokens that a model reads at most, also where it sets no limit: that of OPUS-MT and NLLB-200."""


class TranslationTokenizer:
    """A tokenizer between two languages.

    Parameters
    ----------
    name : str
        Name or folder.
    languages : (str, str)
        Source and target: ISO 639-1, ISO 639-3 or BCP 47.
    max_length : int, optional
        Tokens kept of a source text, those of the model's own included.

    Raises
    ------
    ConfigError
        If it does not load, is of another family, lacks a language, or reads fewer tokens.
    DependencyError
        If sentencepiece is missing.
    """

    def __init__(self, name: str, languages: tuple[str, str], *, max_length: int | None) -> None:
        self.tokenizer = _load(name)
        self.pair: LanguagePair = language_pair(self.tokenizer, *languages)
        self.max_length = max_length or min(_LONGEST, self.tokenizer.model_max_length)
        if self.max_length > self.tokenizer.model_max_length:
            raise ConfigError(
                f"max_length: {name!r} reads at most {self.tokenizer.model_max_length} tokens, "
                f"found {self.max_length}. Ask for fewer."
            )
        if self.pair.source is not None:
            self.tokenizer.src_lang = self.pair.source
        first = self.pair.first_token
        self.first_id: int | None = self.tokenizer.convert_tokens_to_ids(first) if first else None
        self._dropped = set(language_tokens(self.tokenizer)[1].values())
        self._dropped.update(self.tokenizer.all_special_tokens)
        self._check_prefix(name)

    def limit(self, positions: int | None) -> None:
        """Keep no more tokens than a model has positions."""
        self.max_length = min(self.max_length, positions or self.max_length)

    def encode(self, texts: Sequence[str]) -> tuple[list[list[int]], list[bool]]:
        """Token ids of each text, and whether it was cut to `max_length`."""
        prompted = [self.pair.prefix + text for text in texts]
        ids: list[list[int]] = self.tokenizer(prompted)["input_ids"]
        is_cut = [len(row) > self.max_length for row in ids]
        for number in (number for number, cut in enumerate(is_cut) if cut):
            ids[number] = self.tokenizer(
                prompted[number], truncation=True, max_length=self.max_length
            )["input_ids"]
        return ids, is_cut

    def decode(self, ids: Sequence[int]) -> str:
        """Text of generated ids, without special and language tokens, in single blanks."""
        pieces = self.tokenizer.convert_ids_to_tokens(list(ids))
        # By piece, since rows of a matrix that no piece belongs to are unknown pieces.
        named = zip(ids, pieces, strict=True)
        kept = [index for index, piece in named if piece not in self._dropped]
        return " ".join(self.tokenizer.decode(kept).split())

    def _check_prefix(self, name: str) -> None:
        """Refuse a tokenizer that takes a language token to pieces."""
        token = self.pair.prefix.strip()
        if token and self.tokenizer.convert_tokens_to_ids(token) not in self.encode(["a"])[0][0]:
            raise ConfigError(
                f"{name!r}: expected a tokenizer that keeps {token!r} in one piece, found one that "
                "splits it. Use the tokenizer that came with the checkpoint."
            )


def _load(name: str) -> Any:
    from transformers import AutoTokenizer

    try:
        with warnings.catch_warnings():
            # transformers asks for sacremoses, and uses it for nothing when it translates.
            warnings.filterwarnings("ignore", message="Recommended: pip install sacremoses")
            return AutoTokenizer.from_pretrained(name, trust_remote_code=False)
    except ImportError as err:
        raise DependencyError(
            f"The tokenizer of {name!r} needs another package "
            f"({str(err).strip().splitlines()[0]}). Run: pip install 'optical-ir[translate]'"
        ) from err
    except (OSError, ValueError, KeyError, TypeError) as err:
        raise ConfigError(
            f"Tokenizer {name!r}: expected a folder or a Hugging Face model name, but it does not "
            f"load ({_first_line(err)})."
        ) from err


def _first_line(err: Exception) -> str:
    return (str(err).strip() or type(err).__name__).splitlines()[0]
