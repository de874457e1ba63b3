"""Translated topics and corpora as files, made so that a kill loses nothing."""

import json
import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from optical_ir.files import check_output, lock_output, write_file
from optical_ir.records import Doc, Query
from optical_ir.translation.cache import TranslationCache, open_cache
from optical_ir.translation.translating import Tally, translate_docs, translate_queries
from optical_ir.translation.translator import Translator
from optical_ir.trec import write_topics

logger = logging.getLogger(__name__)


def write_translated_topics(
    output: Path | str,
    queries: Iterable[Query],
    translator: Translator,
    *,
    batch_size: int = 32,
    overwrite: bool = False,
    advance: Callable[[float], None] = lambda n: None,
) -> Tally:
    """Translate queries into a topics file, `query_id TAB query`.

    Each batch is kept in `<output>.cache`, from which a later call goes on; the file it
    comes to is that of an uninterrupted run, byte for byte.

    Parameters
    ----------
    output : path
    queries : iterable of Query
    translator : Translator
    advance : callable
        Told the number of queries done since the last call, in parts of one.

    Returns
    -------
    Tally
        Also told in the log, where something was wrong.

    Raises
    ------
    ConfigError
        If `output` exists and `overwrite` is false, or another process is making it.
    """
    tally = Tally()
    with _cache_beside(output, translator, overwrite=overwrite) as cache:
        translated = translate_queries(
            queries, translator, cache, tally, batch_size=batch_size, advance=advance
        )
        write_topics(output, translated, overwrite=overwrite)
    tally.warn()
    return tally


def write_translated_corpus(
    output: Path | str,
    docs: Iterable[Doc],
    lang: str,
    translator: Translator,
    *,
    batch_size: int = 32,
    overwrite: bool = False,
    advance: Callable[[float], None] = lambda n: None,
) -> Tally:
    """Translate documents into JSON lines, ``{"id", "contents"}``; see `write_translated_topics`.

    Documents without text are left out and counted in the log.

    Parameters
    ----------
    lang : str
        Language of the documents, ISO 639-1 else ISO 639-3; says how sentences end.

    Raises
    ------
    DependencyError
        If sentencex is not installed.
    """
    tally, n_blank = Tally(), 0
    with _cache_beside(output, translator, overwrite=overwrite) as cache:
        translated = translate_docs(
            docs, lang, translator, cache, tally, batch_size=batch_size, advance=advance
        )
        with write_file(output, overwrite=overwrite) as stream:
            for doc_id, text in translated:
                if text:
                    record = {"id": doc_id, "contents": text}
                    stream.write(json.dumps(record, ensure_ascii=False) + "\n")
                n_blank += not text
    if n_blank:
        logger.warning("%s: %d documents without text were left out.", output, n_blank)
    tally.warn()
    return tally


@contextmanager
def _cache_beside(
    output: Path | str, translator: Translator, *, overwrite: bool
) -> Iterator[TranslationCache]:
    output = check_output(output, overwrite=overwrite)
    path = output.with_name(output.name + ".cache")
    with lock_output(output), open_cache(path, translator.identity) as cache:
        yield cache
