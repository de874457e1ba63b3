"""The web application: its paths, what they take and give, and how refusals look."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Any, Literal

from optical_ir import __version__
from optical_ir.serving.limits import LOOPBACK_NAMES, Guard, is_loopback
from optical_ir.serving.metrics import Measured
from optical_ir.serving.page import compare, render_page, render_problem, static_folder
from optical_ir.serving.refusals import Refusal
from optical_ir.serving.replies import (
    ExplainReply,
    Health,
    Problem,
    SearchReply,
    explain_reply,
    search_reply,
)
from optical_ir.serving.service import Service, check_language, check_text

if TYPE_CHECKING:
    from fastapi import FastAPI
    from starlette.responses import Response
    from starlette.types import Message, Receive, Scope, Send

_HEADERS = {
    b"content-security-policy": b"default-src 'none'; style-src 'self'; script-src 'self'; "
    b"img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; "
    b"frame-ancestors 'none'",
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"no-referrer",
    b"cross-origin-opener-policy": b"same-origin",
    b"cross-origin-resource-policy": b"same-origin",
}
_WHY: dict[int | str, dict[str, Any]] = {
    401: {"model": Problem, "description": "The token is missing or wrong."},
    413: {"model": Problem, "description": "The body is too large."},
    421: {"model": Problem, "description": "The host is not localhost."},
    422: {"model": Problem, "description": "The request cannot be understood or answered."},
    429: {"model": Problem, "description": "Too many requests; see Retry-After."},
    503: {"model": Problem, "description": "Not ready, busy or out of time; see Retry-After."},
}


class Headed:
    """ASGI middleware that tells browsers to load nothing but the page's own files."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Pass a request on; add the headers to its response."""

        async def send_headed(message: "Message") -> None:
            if message["type"] == "http.response.start":
                kept = [pair for pair in message.get("headers", []) if pair[0] not in _HEADERS]
                if not scope["path"].startswith("/static/"):
                    kept.append((b"cache-control", b"no-store"))
                message = {**message, "headers": [*kept, *_HEADERS.items()]}
            await send(message)

        await self.app(scope, receive, send_headed)


def create_app(
    service: Service,
    *,
    host: str = "127.0.0.1",
    token: str | None = None,
    on_failure: Callable[[], None] = lambda: None,
) -> "FastAPI":
    """Make the application of a service.

    Parameters
    ----------
    host : str
        Where it will listen; on the loopback it answers to localhost only.
    token : str, optional
        What every request but those to `/health` must bring.
    on_failure : callable
        Called if the models do not load.
    """
    from fastapi import FastAPI

    @asynccontextmanager
    async def live(app: FastAPI) -> AsyncIterator[None]:
        service.start(on_failure)
        yield
        await service.stop()

    app = FastAPI(
        title="optical-ir",
        version=__version__,
        description="Ask in one language, find in English.",
        docs_url=None,  # Its page loads scripts from elsewhere.
        redoc_url=None,
        lifespan=live,
    )
    _add_search(app, service)
    _add_page(app, service)
    _add_operations(app, service)
    _add_refusals(app, service)
    app.add_middleware(
        Guard,
        limits=service.limits,
        token=token,
        names=LOOPBACK_NAMES | {host} if is_loopback(host) else None,
        refuse=lambda scope, refusal: _refuse(service, scope["path"], refusal),
    )
    app.add_middleware(Headed)
    app.add_middleware(Measured, metrics=service.metrics)
    return app


def _add_search(app: "FastAPI", service: Service) -> None:
    from fastapi import Body

    limits, languages = service.limits, service.languages
    query_type = Annotated[
        str,
        Body(
            min_length=1,
            max_length=limits.max_chars,
            pattern=r"\S",
            description="In the language of `lang`; no longer than its encoder reads.",
        ),
    ]
    lang_type = Annotated[str, Body(json_schema_extra={"enum": languages})]
    # Strict, since `true` and "3" would be read as numbers, which the description denies.
    k_type = Annotated[int, Body(strict=True, ge=1, le=limits.max_k)]

    @app.post("/search", responses=_WHY)
    async def search(
        query: query_type,
        lang: lang_type,
        k: k_type = 10,
        system: Annotated[Literal["student", "zero-shot", "bm25-translation"], Body()] = "student",
    ) -> SearchReply:
        """Find the best `k` passages for a query."""
        text, code = check_text(query), check_language(lang, languages)
        return await service.run(
            lambda systems: search_reply(
                systems, system, code, systems.search(system, text, code, k=k)
            )
        )

    @app.post("/explain", responses=_WHY)
    async def explain(
        query: query_type,
        lang: lang_type,
        doc_ids: Annotated[
            list[str] | None,
            Body(max_length=limits.max_k, description="The best `k` if not given."),
        ] = None,
        k: k_type = 3,
        system: Annotated[Literal["student", "zero-shot"], Body()] = "student",
    ) -> ExplainReply:
        """Show the document token that each query token matched; the similarities add up."""
        text, code = check_text(query), check_language(lang, languages)

        def work(systems: Any) -> ExplainReply:
            found = systems.search(system, text, code, k=k).hits if not doc_ids else ()
            asked = doc_ids or [hit.doc_id for hit in found]
            return explain_reply(system, code, systems.explain(system, text, code, asked))

        return await service.run(work)


def _add_page(app: "FastAPI", service: Service) -> None:
    from fastapi import Query
    from fastapi.responses import HTMLResponse
    from fastapi.staticfiles import StaticFiles

    limits, languages = service.limits, service.languages

    @app.get("/", response_class=HTMLResponse, responses=_WHY)
    async def page(
        q: Annotated[str, Query(max_length=limits.max_chars)] = "",
        lang: Annotated[str, Query(json_schema_extra={"enum": languages})] = languages[0],
    ) -> HTMLResponse:
        """Answer a question by all systems, side by side, for people."""
        code = check_language(lang, languages)
        columns = []
        if q.strip():
            text = check_text(q)
            columns = await service.run(lambda systems: compare(systems, text, code))
        html = render_page(
            languages,
            query=q,
            lang=code,
            columns=columns,
            examples=service.examples,
            max_chars=limits.max_chars,
        )
        return HTMLResponse(html)

    app.mount("/static", StaticFiles(directory=static_folder()))


def _add_operations(app: "FastAPI", service: Service) -> None:
    from fastapi.responses import JSONResponse, PlainTextResponse

    not_ready = {"model": Health, "description": "The models are not loaded, or are about to go."}

    @app.get("/health", response_model=Health, responses={503: not_ready})
    async def health() -> JSONResponse:
        """Say whether requests will be answered: 200, or 503 with Retry-After."""
        if service.is_ready:
            return JSONResponse({"status": "ready"})
        return JSONResponse({"status": "not ready"}, 503, {"Retry-After": "5"})

    @app.get("/metrics", response_class=PlainTextResponse)
    async def metrics() -> PlainTextResponse:
        """Count requests, their times and refusals, as Prometheus reads it."""
        return PlainTextResponse(service.metrics.render(), media_type="text/plain; version=0.0.4")


def _add_refusals(app: "FastAPI", service: Service) -> None:
    from fastapi.exception_handlers import http_exception_handler
    from fastapi.exceptions import RequestValidationError
    from starlette.exceptions import HTTPException
    from starlette.requests import Request
    from starlette.responses import Response

    @app.exception_handler(Refusal)
    async def refuse(request: Request, refusal: Refusal) -> Response:
        return _refuse(service, request.url.path, refusal)

    @app.exception_handler(RequestValidationError)
    async def refuse_invalid(request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        where = " ".join(map(str, first["loc"]))
        # Without what was sent, which may be anything.
        return _refuse(service, request.url.path, Refusal("invalid", f"{where}: {first['msg']}"))

    @app.exception_handler(HTTPException)
    async def refuse_unread(request: Request, error: HTTPException) -> Response:
        # A body that is not even UTF-8.
        if error.status_code == 400:
            refusal = Refusal("invalid", "expected a body in JSON")
            return _refuse(service, request.url.path, refusal)
        return await http_exception_handler(request, error)


def _refuse(service: Service, path: str, refusal: Refusal) -> "Response":
    """Response to what is refused: HTML on the page, JSON elsewhere."""
    from fastapi.responses import HTMLResponse, JSONResponse

    service.metrics.rejected.labels(refusal.reason).inc()
    headers = {}
    if refusal.retry_after is not None:
        headers["Retry-After"] = str(refusal.retry_after)
    if refusal.reason == "token":
        headers["WWW-Authenticate"] = 'Basic realm="optical-ir", charset="UTF-8"'
    if path == "/":
        html = render_problem(refusal.status, refusal.message)
        return HTMLResponse(html, refusal.status, headers)
    content = {"reason": refusal.reason, "detail": refusal.message}
    return JSONResponse(content, refusal.status, headers)
