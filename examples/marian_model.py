"""The parts of a small Marian model: settings, tokenizer, model, batches and loss.

As in Vaswani et al. (2017), but small: joint pieces, tied embeddings, label smoothing.
"""

import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import sentencepiece
import torch
from torch.nn.functional import cross_entropy
from transformers import MarianConfig, MarianMTModel, MarianTokenizer

from optical_ir.records import BitextPair

logger = logging.getLogger(__name__)

Ids = tuple[list[int], list[int]]
"""Token ids of a sentence and of its translation."""

_IGNORED = -100


@dataclass(frozen=True)
class Settings:
    """Model and training; `--config` gives them.

    Parameters
    ----------
    vocabulary : int
        SentencePiece pieces at most, of both languages together.
    dim, n_layers, ffn_dim, n_heads : int
        Width, and what the encoder and the decoder have each.
    max_length : int
        Tokens; pairs with a longer side are left out of training.
    batch_tokens : int
        Pairs of a batch times its longest side.
    warmup : int
        Steps until `learning_rate` is reached.
    share : float
        Further bitext is repeated to this part of the first one's pairs.
    dev_pairs : int
        Held out of the first bitext, where `--dev` gives none.
    max_steps, max_minutes, patience
        What ends training: steps, processor minutes, evaluations without a lower loss.
    eval_every : int
        Steps between evaluations, and between states to go on from.
    """

    vocabulary: int = 8000
    dim: int = 256
    n_layers: int = 3
    ffn_dim: int = 1024
    n_heads: int = 4
    max_length: int = 64
    batch_tokens: int = 1500
    learning_rate: float = 1e-3
    warmup: int = 1000
    dropout: float = 0.1
    smoothing: float = 0.1
    share: float = 0.1
    dev_pairs: int = 500
    max_steps: int = 20000
    max_minutes: float = 600.0
    eval_every: int = 500
    patience: int = 5
    seed: int = 42


def make_tokenizer(folder: Path, texts: Sequence[str], language: str, size: int) -> Any:
    """Train SentencePiece on the texts of both sides and write a Marian tokenizer to `folder`."""
    path = folder / "source.spm"
    with path.open("wb") as stream:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(texts),
            model_writer=stream,
            vocab_size=size,
            hard_vocab_limit=False,
            minloglevel=2,
            num_threads=1,
        )
    (folder / "target.spm").write_bytes(path.read_bytes())
    processor = sentencepiece.SentencePieceProcessor(model_file=str(path))
    pieces = [processor.id_to_piece(index) for index in range(len(processor))]
    kept = [piece for piece in pieces if piece not in ("<s>", "</s>", "<unk>")]
    names = {piece: index for index, piece in enumerate(["</s>", "<unk>", *kept, "<pad>"])}
    (folder / "vocab.json").write_text(json.dumps(names, ensure_ascii=False), "utf-8")
    files = [str(folder / name) for name in ("source.spm", "target.spm", "vocab.json")]
    tokenizer = MarianTokenizer(
        *files, source_lang=language, target_lang="en", model_max_length=512
    )
    tokenizer.save_pretrained(folder)
    return tokenizer


def make_model(tokenizer: Any, settings: Settings) -> MarianMTModel:
    """Give an untrained model whose embeddings serve both sides and the output."""
    torch.manual_seed(settings.seed)
    sizes = {
        "layers": settings.n_layers,
        "attention_heads": settings.n_heads,
        "ffn_dim": settings.ffn_dim,
    }
    model = MarianMTModel(
        MarianConfig(
            vocab_size=len(tokenizer),
            d_model=settings.dim,
            dropout=settings.dropout,
            max_position_embeddings=512,
            scale_embedding=True,
            init_std=settings.dim**-0.5,
            activation_function="relu",
            pad_token_id=tokenizer.pad_token_id,
            eos_token_id=tokenizer.eos_token_id,
            decoder_start_token_id=tokenizer.pad_token_id,
            forced_eos_token_id=tokenizer.eos_token_id,
            **{f"encoder_{name}": size for name, size in sizes.items()},
            **{f"decoder_{name}": size for name, size in sizes.items()},
        )
    )
    # Padding is no word; OPUS-MT says the same.
    model.generation_config.bad_words_ids = [[tokenizer.pad_token_id]]
    return model


def encode_pairs(tokenizer: Any, pairs: Sequence[BitextPair], max_length: int) -> list[Ids]:
    """Token ids of the pairs of which neither side is longer than `max_length`."""
    sources = tokenizer([pair.source for pair in pairs])["input_ids"]
    targets = tokenizer(text_target=[pair.target for pair in pairs])["input_ids"]
    encoded = [both for both in zip(sources, targets, strict=True) if _longer(both) <= max_length]
    logger.info("%d of %d pairs have at most %d tokens.", len(encoded), len(pairs), max_length)
    return encoded


def _longer(pair: Ids) -> int:
    return max(map(len, pair))


def iter_batches(pairs: Sequence[Ids], settings: Settings) -> Iterator[list[Ids]]:
    """Batches of like length without end; in an epoch every pair comes once."""
    epoch = 0
    while True:
        generator = np.random.default_rng((settings.seed, epoch))
        shuffled = [pairs[index] for index in generator.permutation(len(pairs))]
        batches = batches_of(shuffled, settings.batch_tokens)
        for index in generator.permutation(len(batches)):
            yield batches[index]
        epoch += 1


def batches_of(pairs: Sequence[Ids], batch_tokens: int) -> list[list[Ids]]:
    """Put pairs of like length together."""
    batches: list[list[Ids]] = [[]]
    for pair in sorted(pairs, key=lambda pair: (_longer(pair), len(pair[0]))):
        if (len(batches[-1]) + 1) * _longer(pair) > batch_tokens and batches[-1]:
            batches.append([])
        batches[-1].append(pair)
    return batches


def batch_loss(model: MarianMTModel, batch: Sequence[Ids], *, smoothing: float) -> torch.Tensor:
    """Mean cross-entropy, in nats, of the target tokens of a batch."""
    pad = model.config.pad_token_id
    source = _pad([source for source, _ in batch], pad).to(model.device)
    labels = _pad([target for _, target in batch], _IGNORED).to(model.device)
    logits = model(input_ids=source, attention_mask=(source != pad).long(), labels=labels).logits
    return cross_entropy(
        logits.float().flatten(0, 1),
        labels.flatten(),
        ignore_index=_IGNORED,
        label_smoothing=smoothing,
    )


def _pad(rows: Sequence[Sequence[int]], filler: int) -> torch.Tensor:
    longest = max(map(len, rows))
    return torch.tensor([[*row, *[filler] * (longest - len(row))] for row in rows])


@torch.inference_mode()
def mean_loss(model: MarianMTModel, batches: Sequence[Sequence[Ids]]) -> float:
    """Mean cross-entropy over the target tokens of all batches, in nats, without smoothing."""
    sizes = [sum(len(target) for _, target in batch) for batch in batches]
    losses = [float(batch_loss(model, batch, smoothing=0.0)) for batch in batches]
    return float(np.average(losses, weights=sizes))
