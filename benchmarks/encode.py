"""Encoding documents into token embeddings against a bare transformers forward pass.

Ours is `encode_documents` from texts to unit vectors: tokenising, sorting by length, the model,
masking, normalising, copying. Theirs is `AutoModel` in the same dtype over the very same batches,
already tokenised. Embedded default model, demo passages.

Target: at least .90 of its tokens per second.
"""

from argparse import ArgumentParser
from itertools import cycle, islice
from typing import Any

from benchmarks.timing import Ratio, parse_options, print_table, time_interleaved


def record_batches(encoder: Any, texts: list[str], batch_size: int) -> list[dict[str, Any]]:
    """Model inputs of every batch that `encode_documents` makes of the texts."""
    from optical_ir.models import encode_documents

    batches: list[dict[str, Any]] = []

    def record(module: object, inputs: tuple[dict[str, Any]]) -> None:
        batches.append({name: inputs[0][name] for name in ("input_ids", "attention_mask")})

    hook = encoder[0].register_forward_pre_hook(record)
    encode_documents(encoder, texts, batch_size=batch_size)
    hook.remove()
    return batches


def _add_options(parser: ArgumentParser) -> None:
    parser.add_argument("--documents", type=int, default=264, help="default: %(default)s")
    parser.add_argument("--batch-size", type=int, default=32, help="default: %(default)s")


def main() -> None:
    """Time both sides and print the table."""
    options = parse_options(__doc__, rounds=5, add=_add_options)
    import torch
    from transformers import AutoModel

    from optical_ir.collections import load_collection
    from optical_ir.models import (
        embedded_checkpoint,
        encode_documents,
        fast_inference,
        load_encoder,
    )

    passages = [doc.text for doc in load_collection("demo").iter_docs()]
    texts = list(islice(cycle(passages), options.documents))
    encoder = fast_inference(load_encoder("embedded", device="cpu"))
    batches = record_batches(encoder, texts, options.batch_size)
    bare = AutoModel.from_pretrained(
        embedded_checkpoint(), dtype=encoder.dtype, add_pooling_layer=False
    ).eval()

    @torch.inference_mode()
    def forward() -> None:
        for batch in batches:
            bare(**batch)

    def encode() -> None:
        encode_documents(encoder, texts, batch_size=options.batch_size)

    times = time_interleaved({"encode": encode, "bare forward": forward}, rounds=options.rounds)
    n_tokens = sum(int(batch["attention_mask"].sum()) for batch in batches)
    title = f"{len(texts)} documents, {n_tokens} tokens, {encoder.dtype}"
    # The ratio of speeds is that of times, turned round.
    ratios = [Ratio("bare forward", "encode", 0.90, at_least=True)]
    print_table(f"{title}, {options.threads} thread(s)", times, ratios)
    for name, seconds in times.items():
        print(f"  {name}: {n_tokens / sorted(seconds)[len(seconds) // 2]:.0f} tokens a second")


if __name__ == "__main__":
    main()
