"""Texts in batches of like length, those in the cache passed over."""

from collections.abc import Callable, Iterable, Iterator, Sequence

from optical_ir.translation.cache import Translation, TranslationCache
from optical_ir.translation.translator import Translator


def translate_texts(
    texts: Iterable[str],
    translator: Translator,
    cache: TranslationCache,
    *,
    batch_size: int = 32,
    advance: Callable[[float], None] = lambda share: None,
) -> dict[str, Translation]:
    """Translate texts, each once, longest first.

    Batches are made of the texts alone, whatever their order and whatever the cache holds. A
    batch that a kill left half in the cache is translated whole, so that it is padded as it was
    and its translations are those of an uninterrupted run, bit for bit.

    Parameters
    ----------
    texts : iterable of str
    translator : Translator
    cache : TranslationCache
        Gets every batch as soon as it is translated.
    advance : callable
        Told, as work goes on, which share of it was done since the last call; they sum to 1.

    Returns
    -------
    dict
        Translation of each text.
    """
    ordered = sorted(set(texts), key=lambda text: (-len(text), text))
    done = 0
    for batch in _missing(ordered, cache, batch_size):
        missing = [text for text in batch if text not in cache]
        by_text = dict(zip(batch, translator.translate(batch), strict=True))
        cache.add((text, by_text[text]) for text in missing)
        done += len(missing)
        advance(len(missing) / len(ordered))
    advance(1 - done / max(len(ordered), 1))
    return {text: cache[text] for text in ordered}


def _missing(
    ordered: Sequence[str], cache: TranslationCache, batch_size: int
) -> Iterator[Sequence[str]]:
    """Batches with texts that are not in the cache.

    One kill leaves one batch half done; where there are more, the texts themselves were others
    at the time, and the missing ones get batches of their own.
    """
    batches = list(_in_batches(ordered, batch_size))
    n_missing = [sum(text not in cache for text in batch) for batch in batches]
    is_partial = [0 < n < len(batch) for n, batch in zip(n_missing, batches, strict=True)]
    if sum(is_partial) > 1:
        yield from _in_batches([text for text in ordered if text not in cache], batch_size)
        return
    yield from (batch for n, batch in zip(n_missing, batches, strict=True) if n)


def _in_batches(texts: Sequence[str], batch_size: int) -> Iterator[Sequence[str]]:
    for start in range(0, len(texts), batch_size):
        yield texts[start : start + batch_size]
