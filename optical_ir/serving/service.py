"""A service's life: it loads, answers from its workers, and stops."""

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

from optical_ir.serving.loading import Stopped, load_systems
from optical_ir.serving.metrics import Metrics
from optical_ir.serving.refusals import Refusal
from optical_ir.serving.settings import Limits, Sources
from optical_ir.serving.systems import Systems
from optical_ir.serving.translations import load_examples
from optical_ir.serving.work import WorkPool

logger = logging.getLogger(__name__)

_T = TypeVar("_T")
_EXAMPLES = 2


class Service:
    """What all requests share.

    Parameters
    ----------
    sources : Sources
    limits : Limits

    Attributes
    ----------
    examples : mapping of str to sequence of str
        Queries to show, by language.
    failure : Exception or None
        Why loading failed.

    Raises
    ------
    ConfigError, DataError
        If the limits do not fit the machine, or topics are malformed.
    """

    def __init__(self, sources: Sources, limits: Limits) -> None:
        self.sources, self.limits, self.metrics = sources, limits, Metrics()
        self.languages = sorted(sources.encoders)
        self.examples = load_examples(sources.topics, n=_EXAMPLES)
        self.failure: Exception | None = None
        self._pool = WorkPool(limits.workers, queue=limits.queue)
        self._systems: Systems | None = None
        self._stopping = threading.Event()
        self._loading: asyncio.Task[None] | None = None
        self.metrics.at_work.set_function(lambda: self._pool.held)

    @property
    def is_ready(self) -> bool:
        """Whether all is loaded and warm, and the service is not about to stop."""
        return self._systems is not None and not self._stopping.is_set()

    def start(self, on_failure: Callable[[], None]) -> None:
        """Begin to load, in the workers; call `on_failure` if that fails."""
        self._loading = asyncio.create_task(self._load(on_failure))

    async def _load(self, on_failure: Callable[[], None]) -> None:
        sources, stopping = self.sources, self._stopping
        work = self._pool.submit(lambda: load_systems(sources, should_stop=stopping.is_set))
        try:
            self._systems = await asyncio.wrap_future(work)
        except Stopped:
            return
        except Exception as err:
            # Whatever it is, a service that will never be ready must not go on.
            self.failure = err
            on_failure()
            return
        self.metrics.ready.set(1)
        logger.info(
            "Ready: %d passages, languages %s, %d workers of %d threads.",
            *(len(self._systems.index.doc_ids), ", ".join(self.languages)),
            *(self._pool.workers, self._pool.threads),
        )

    async def run(self, work: Callable[[Systems], _T]) -> _T:
        """Let a worker do something with the systems.

        Raises
        ------
        Refusal
            If they are not loaded yet, there is no room, or the time is up.
        """
        systems = self._systems
        if systems is None:
            raise Refusal("not-ready", "the models are not loaded yet", retry_after=5)
        return await self._pool.run(lambda: work(systems), timeout=self.limits.timeout)

    async def stop(self) -> None:
        """Wait for loading and for what the workers do, then close all files."""
        self._stopping.set()
        self.metrics.ready.set(0)
        if self._loading:
            await self._loading
        await asyncio.to_thread(self._pool.close)
        if self._systems:
            self._systems.close()


def check_text(text: str) -> str:
    """Refuse a query that is no text: blank, or with halves of characters."""
    if not text.strip():
        raise Refusal("invalid", "expected a query, found white space only")
    try:
        text.encode()
    except UnicodeEncodeError as err:
        raise Refusal("invalid", "expected a query of whole characters") from err
    return text


def check_language(lang: str, languages: Sequence[str]) -> str:
    """Refuse a language that has no encoder."""
    if lang not in languages:
        raise Refusal("invalid", f"expected a language of {', '.join(languages)}")
    return lang
