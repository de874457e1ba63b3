"""Loading everything a service needs, before it says that it is ready."""

import logging
from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING

from sentence_transformers import MultiVectorEncoder

from optical_ir.collections import read_gloss_lexicon
from optical_ir.errors import ConfigError
from optical_ir.matches import load_index_teacher, open_docs
from optical_ir.models import fast_inference
from optical_ir.retrieval.index import MultiVectorIndex
from optical_ir.retrieval.queries import load_for
from optical_ir.serving.passages import PassageStore
from optical_ir.serving.settings import Sources
from optical_ir.serving.sharing import share_weights
from optical_ir.serving.systems import Systems
from optical_ir.serving.translations import load_translations

if TYPE_CHECKING:
    from optical_ir.retrieval.bm25 import Bm25Index

logger = logging.getLogger(__name__)

_MEGABYTE = 1 << 20


class Stopped(Exception):
    """The service was told to stop before it was ready."""


def load_systems(sources: Sources, *, should_stop: Callable[[], bool] = lambda: False) -> Systems:
    """Load index, encoders, texts and translations, and ask each once.

    Parameters
    ----------
    should_stop : callable
        Asked between steps.

    Raises
    ------
    ConfigError, DataError, DependencyError
        If a part does not load, or does not fit the index.
    Stopped
        If `should_stop` says so.
    """

    def go_on(step: str) -> None:
        if should_stop():
            raise Stopped
        logger.info("Loading %s.", step)

    go_on("the lexicons, the index and the passages")
    lexicons = {lang: read_gloss_lexicon(path) for lang, path in sources.lexicons.items()}
    index = MultiVectorIndex.open(sources.index)
    with ExitStack() as opened:
        passages = _open_passages(index, sources)
        opened.callback(passages.close)
        passages.check(index.doc_ids)
        go_on("the teacher")
        teacher = _load_teacher(index, sources)
        students = _load_students(index, sources, teacher, go_on)
        go_on("the rest")
        translations = load_translations(
            sources.topics, sources.translated_topics, sources.translators, device=sources.device
        )
        bm25 = _open_bm25(sources)
        systems = Systems(
            index,
            students,
            passages,
            lexicons=lexicons,
            teacher=teacher,
            bm25=bm25,
            translations=translations,
        )
        systems.warm_up()
        opened.pop_all()
    return systems


def _open_passages(index: MultiVectorIndex, sources: Sources) -> PassageStore:
    if sources.passages and sources.passages.is_file():
        return PassageStore(sources.passages)
    return PassageStore.build(open_docs(index, sources.collection), sources.passages)


def _load_teacher(index: MultiVectorIndex, sources: Sources) -> MultiVectorEncoder | None:
    """Load the teacher as `search` does, for queries, and for documents as long as the index's."""
    try:
        teacher = load_index_teacher(index, sources.teacher, device=sources.device)
    except ConfigError as err:
        if sources.teacher:
            raise
        logger.warning("No zero-shot answers and no matching words without a teacher: %s", err)
        return None
    if sources.max_length:
        teacher[0].query_length = sources.max_length  # type: ignore[assignment]
    return fast_inference(teacher)


def _load_students(
    index: MultiVectorIndex,
    sources: Sources,
    teacher: MultiVectorEncoder | None,
    go_on: Callable[[str], None],
) -> dict[str, MultiVectorEncoder]:
    """Load the encoder of each language, one that serves several only once."""
    by_name: dict[str, MultiVectorEncoder] = {}
    base = teacher
    for lang, name in sources.encoders.items():
        go_on(f"the encoder of {lang}")
        if name in by_name:
            continue
        student = load_for(
            index,
            name,
            glossed=any(sources.encoders[key] == name for key in sources.lexicons),
            max_length=sources.max_length,
            device=sources.device,
        )
        # All share with the teacher or, without one, with the first of them.
        if base is not None:
            saved = share_weights(student, base)
            logger.info("%s shares %d MB.", name, saved // _MEGABYTE)
        base = student if base is None else base
        by_name[name] = student
    return {lang: by_name[name] for lang, name in sources.encoders.items()}


def _open_bm25(sources: Sources) -> "Bm25Index | None":
    if sources.bm25 is None:
        return None
    from optical_ir.retrieval.bm25 import Bm25Index

    return Bm25Index(sources.bm25)
