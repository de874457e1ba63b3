"""What a request must pass before anything reads it: address, rate, token, size.

Nothing here looks at proxies' headers, which anybody can write: behind a proxy all requests have
its address, and the proxy is to limit the rate.
"""

import asyncio
import base64
import binascii
import hmac
import ipaddress
import math
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from optical_ir.serving.refusals import Refusal
from optical_ir.serving.settings import Limits

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_ADDRESSES = 10_000
"""Addresses remembered; the one that asked longest ago is forgotten first."""

_BODY_SECONDS = 10.0
"""Time for a body to arrive."""

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})
"""Hosts that a request to the loopback is meant for."""


class RateLimit:
    """Token buckets by address.

    A bucket holds `burst` requests and is filled again at `rate` a second.
    """

    def __init__(
        self, rate: float, burst: int, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.rate, self.burst, self._clock = rate, burst, clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        """Count the addresses that are remembered."""
        return len(self._buckets)

    def wait(self, address: str) -> float:
        """Take a request from a bucket; give 0, or the seconds to wait if it is empty."""
        if not self.rate:
            return 0.0
        now, key = self._clock(), _network(address)
        left, then = self._buckets.pop(key, (float(self.burst), now))
        left = min(self.burst, left + (now - then) * self.rate)
        allowed = left >= 1
        self._buckets[key] = (left - allowed, now)
        if len(self._buckets) > _ADDRESSES:
            self._buckets.popitem(last=False)
        return 0.0 if allowed else (1 - left) / self.rate


def _network(address: str) -> str:
    """IPv4 address, or the first 64 bits of one of IPv6, of which a home has all."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    if found.version == 4:
        return address
    return str(ipaddress.ip_network((int(found) >> 64 << 64, 64)))


def is_loopback(host: str) -> bool:
    """Whether a host to listen on can be reached from this machine only."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Guard:
    """ASGI middleware that refuses what may not pass and reads the rest's body, which is small.

    Parameters
    ----------
    token : str or None
        What `Authorization` must bring, as a bearer or as the password of basic authentication,
        which browsers ask for; anything passes if None.
    names : frozenset of str or None
        Hosts that requests may be meant for. On the loopback this keeps out web pages whose name
        points there (DNS rebinding).
    refuse : callable
        Makes the response to a refused request, from scope and refusal.
    """

    def __init__(
        self,
        app: "ASGIApp",
        *,
        limits: Limits,
        token: str | None,
        names: frozenset[str] | None,
        refuse: "Callable[[Scope, Refusal], ASGIApp]",
    ) -> None:
        self.app, self.limits, self._refuse = app, limits, refuse
        self._token = token.encode() if token else None
        self._names = names
        self._rates = RateLimit(limits.rate, limits.burst)

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Refuse a request, or pass it on with its body read."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        try:
            headers = {name.lower(): value for name, value in scope["headers"]}
            self._check(scope, headers)
            body = await _read_body(headers, receive, self.limits.max_body)
        except Refusal as refusal:
            await self._refuse(scope, refusal)(scope, receive, send)
            return
        await self.app(scope, _replay(body, receive), send)

    def _check(self, scope: "Scope", headers: dict[bytes, bytes]) -> None:
        host = headers.get(b"host", b"").decode("latin-1").lower()
        if self._names is not None and _without_port(host) not in self._names:
            raise Refusal("host", "this service answers to localhost only")
        path = scope["path"]
        if path == "/health":
            return
        if not path.startswith("/static/"):
            client = scope.get("client")
            if seconds := self._rates.wait(client[0] if client else ""):
                raise Refusal("rate", "too many requests", retry_after=math.ceil(seconds))
        if self._token and not _is_token(headers.get(b"authorization", b""), self._token):
            raise Refusal("token", "expected the token of this service")


def _without_port(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdigit() else host


def _is_token(authorization: bytes, token: bytes) -> bool:
    """Whether credentials are the token; takes as long for one wrong token as for another."""
    scheme, _, given = authorization.partition(b" ")
    if scheme.lower() == b"basic":
        try:
            given = base64.b64decode(given.strip(), validate=True).partition(b":")[2]
        except binascii.Error:
            given = b""
    elif scheme.lower() != b"bearer":
        given = b""
    return hmac.compare_digest(given.strip(), token)


async def _read_body(headers: dict[bytes, bytes], receive: "Receive", longest: int) -> bytes:
    refusal = Refusal("body", f"expected a body of at most {longest} bytes")
    length = headers.get(b"content-length", b"0")
    if not length.isdigit() or int(length) > longest:
        raise refusal
    body: bytes = b""
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return body
                body += message.get("body", b"")
                if len(body) > longest:
                    raise refusal
                if not message.get("more_body"):
                    return body
    except TimeoutError as err:
        raise Refusal("slow", "the request took too long to arrive") from err


def _replay(body: bytes, receive: "Receive") -> "Callable[[], Awaitable[Message]]":
    """Give a body that has been read once more, and then what comes after it."""
    sent = False

    async def replay() -> "Message":
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay
