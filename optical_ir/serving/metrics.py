"""What a service counts, in Prometheus' text format."""

import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

PATHS = ("/", "/search", "/explain", "/health", "/metrics", "/openapi.json", "/static")
_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


def path_label(path: str) -> str:
    """Name of a path among few, so that nobody can make the counters grow."""
    if path.startswith("/static/"):
        return "/static"
    return path if path in PATHS else "other"


class Metrics:
    """Counters of one service."""

    def __init__(self) -> None:
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
        from prometheus_client.process_collector import ProcessCollector

        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        settings: dict[str, Any] = {"namespace": "optical_ir", "registry": self._registry}
        self.requests = Counter("requests", "Requests.", ["path", "status"], **settings)
        self.seconds = Histogram(
            "request_seconds", "Time to the end of the answer.", ["path"],
            buckets=_BUCKETS, **settings,
        )  # fmt: skip
        self.in_flight = Gauge("in_flight", "Requests not yet answered.", **settings)
        self.at_work = Gauge("at_work", "Requests in the workers or their queue.", **settings)
        self.rejected = Counter("rejected", "Requests refused.", ["reason"], **settings)
        self.ready = Gauge("ready", "Whether the models are loaded and warm.", **settings)

    def render(self) -> bytes:
        """Text of all counters, with those of the process."""
        from prometheus_client import generate_latest

        return generate_latest(self._registry)


class Measured:
    """ASGI middleware that counts and times each request."""

    def __init__(self, app: "ASGIApp", *, metrics: Metrics) -> None:
        self.app, self.metrics = app, metrics

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Pass a request on; count it when it is answered."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path, status, start = path_label(scope["path"]), "500", time.perf_counter()

        async def send_measured(message: "Message") -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = str(message["status"])
            await send(message)

        with self.metrics.in_flight.track_inprogress():
            try:
                await self.app(scope, receive, send_measured)
            finally:
                self.metrics.seconds.labels(path).observe(time.perf_counter() - start)
                self.metrics.requests.labels(path, status).inc()
