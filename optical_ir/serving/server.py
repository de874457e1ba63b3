"""Running the service: where it listens, who may ask, and how it ends."""

import logging
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from optical_ir.errors import ConfigError, DependencyError
from optical_ir.serving.app import create_app
from optical_ir.serving.limits import is_loopback
from optical_ir.serving.service import Service
from optical_ir.serving.settings import Limits, Sources

logger = logging.getLogger(__name__)

TOKEN_VARIABLE = "OPTICAL_IR_TOKEN"
_SHORTEST_TOKEN = 16
_CONNECTIONS = 1000
_HEADER_BYTES = 16_384


def read_token(path: Path | None) -> str | None:
    """Read the token from a file, or else from the environment.

    Raises
    ------
    ConfigError
        If there is no such file, or the token is shorter than 16 characters or not ASCII.
    """
    source = str(path) if path else TOKEN_VARIABLE
    if path:
        try:
            token = path.read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as err:
            raise ConfigError(f"--token-file {path}: cannot be read ({err}).") from err
    elif (found := os.environ.get(TOKEN_VARIABLE)) is not None:
        token = found.strip()
    else:
        return None
    if len(token) < _SHORTEST_TOKEN or not token.isascii() or len(token.split()) != 1:
        raise ConfigError(
            f"{source}: expected a token of {_SHORTEST_TOKEN} ASCII characters or more without "
            f"white space, found {len(token)} characters. Make one with: openssl rand -hex 32"
        )
    return token


def check_access(host: str, token: str | None) -> None:
    """Refuse to listen where others reach it without a token.

    Raises
    ------
    ConfigError
        If there is none.
    """
    if token is None and not is_loopback(host):
        raise ConfigError(
            f"--host {host}: expected a token, as others can reach this address, found none. "
            f"Give one with --token-file or {TOKEN_VARIABLE}, or listen on 127.0.0.1."
        )


def serve(
    sources: Sources,
    limits: Limits,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    token: str | None = None,
) -> None:
    """Serve until SIGTERM or Ctrl-C; then end what is in flight and return.

    Raises
    ------
    ConfigError, DataError, DependencyError
        If something does not load, or the address cannot be listened on.
    """
    try:
        import uvicorn
    except ImportError as err:
        raise DependencyError(
            "Serving needs more packages. Run: pip install 'optical-ir[serve]'"
        ) from err
    check_access(host, token)
    service = Service(sources, limits)
    app = create_app(service, host=host, token=token, on_failure=lambda: stop())
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        log_config=None,
        access_log=False,  # It would have the questions.
        server_header=False,
        proxy_headers=False,  # Anybody can write them.
        ws="none",
        http="h11",
        h11_max_incomplete_event_size=_HEADER_BYTES,
        limit_concurrency=_CONNECTIONS,
        timeout_graceful_shutdown=int(limits.grace),
    )
    server = uvicorn.Server(config)

    def stop() -> None:
        server.should_exit = True

    with _quiet_signals():
        try:
            server.run()
        except SystemExit as err:
            # Uvicorn has logged why it cannot listen.
            raise ConfigError(
                f"expected to listen on {host}, port {port}, found that it cannot. Choose another "
                "--port."
            ) from err
    if service.failure:
        raise service.failure


@contextmanager
def _quiet_signals() -> Iterator[None]:
    """Let a graceful stop be the whole effect of a signal.

    Uvicorn raises the signals that stopped it again once it has ended, which would end the
    program by them and not with 0.
    """

    def ignore(number: int, frame: FrameType | None) -> None:
        logger.debug("Stopped by signal %d.", number)

    before = {number: signal.signal(number, ignore) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
