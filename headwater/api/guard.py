"""The guard in front of every route: nothing gets past it that is not named here or brings what allows it.

It checks, in this order, the Host (a foreign name that leads here), the Origin (a foreign page that asks), the length of the
body, who asks, and whether that one may. It is plain ASGI, so that it stands before all routes, also those to come.
"""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import logging
import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from starlette.requests import cookie_parser

from headwater.api.browsers import COOKIE, CSRF, Browsers, BrowserSession
from headwater.api.pages import page
from headwater.api.problems import MEDIA_TYPE, encoded, problem
from headwater.api.tokens import Scope, Token, Tokens
from headwater.errors import HeadwaterError, UsageError
from headwater.records import dataclass

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Send
    from starlette.types import Scope as Connection

_log = logging.getLogger("headwater.server")
BODY = 256 * 1024
"""Bytes that a body may have."""
PATIENCE = 10.0
"""Seconds in which a body must have come."""
OPEN = frozenset({("GET", "/api/health"), ("GET", "/api/ready"), ("POST", "/api/session")})
"""What anybody may ask: whether the server is well, and for a session, with a token; the pages, too (pages.py)."""
ADMIN = frozenset({"/api/audit"})
"""What a token of the scope admin may ask alone."""

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"x-frame-options", b"DENY"),
    (b"content-security-policy", b"default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who asks: a name, what it may, and the browser's session if it comes from one.

    `holds` says whether that is so still: a token may be revoked, or expire, while an answer is given.
    """

    name: str
    scope: Scope
    session: BrowserSession | None = None
    holds: Callable[[], bool] = lambda: True


class _Refused(Exception):
    def __init__(self, status: int, kind: str, detail: str, *, hint: str | None = None) -> None:
        self.document = problem(status, kind, detail, hint=hint)


class Guard:
    """The middleware. Without `tokens` everybody who reaches it may do everything: for a server on loopback only.

    `refused` is told the address of who came with a token that is none.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        hosts: Iterable[str],
        tokens: Tokens | None,
        browsers: Browsers | None,
        refused: Callable[[str], None] = lambda source: None,
    ) -> None:
        self._app, self._tokens, self._browsers, self._heard_refused = app, tokens, browsers, refused
        self._hosts = frozenset(host.lower() for host in hosts)

    async def __call__(self, scope: Connection, receive: Receive, send: Send) -> None:
        """Answer, or let the app answer."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return

        # Who only asks for the head is answered as anybody, without the body: live updates alone have none that ends.
        only_head = scope["method"] == "HEAD" and scope["path"] != "/api/events"

        async def hardened(message: Message) -> None:
            if only_head and message["type"] == "http.response.body":
                message = {**message, "body": b""}
            if message["type"] == "http.response.start":
                headers = list(message.get("headers", ()))
                if not any(name == b"cache-control" for name, _ in headers):
                    headers.append((b"cache-control", b"no-store"))
                message = {**message, "headers": [*headers, *_HEADERS]}
            await send(message)

        try:
            headers = _Headers(scope["headers"])
            self._check_host(headers)
            self._check_origin(scope["method"], headers)
            scope.setdefault("state", {})["identity"] = self._identity(scope["method"], scope["path"], headers)
            receive = await _received(scope["method"], headers, receive)
        except HeadwaterError as error:
            # The tokens can't be read. Where they lie is nobody's business who has not been let in.
            _log.warning("%s %s: %s (%s)", scope["method"], scope["path"], error.message, error.where)
            await _refuse(hardened, problem(503, error.kind, error.message, hint=error.hint))
            return
        except _Refused as refused:
            if refused.document["status"] == 401 and headers.all("authorization"):
                self._heard_refused((scope.get("client") or ("unknown",))[0])
            await _refuse(hardened, refused.document)
            return
        await self._app({**scope, "method": "GET"} if only_head else scope, receive, hardened)

    def _check_host(self, headers: _Headers) -> None:
        found = headers.all("host")
        name = _host_name(found[0]) if len(found) == 1 else ""
        if name not in self._hosts:
            hint = "use the address that headwater serve printed, or name this one with --allow-host"
            raise _Refused(421, "host", "this server does not answer to that Host", hint=hint)

    def _check_origin(self, method: str, headers: _Headers) -> None:
        host = headers.all("host")[0].lower()
        for origin in headers.all("origin"):
            if origin.lower() not in (f"http://{host}", f"https://{host}"):
                hint = "behind a proxy: have it pass on the Host that browsers ask for (nginx: proxy_set_header Host $http_host)"
                raise _Refused(403, "origin", "pages of other origins may not ask this server", hint=hint)
        if method not in _SAFE and any(one not in ("same-origin", "none") for one in headers.all("sec-fetch-site")):
            raise _Refused(403, "origin", "pages of other sites may not change anything here")

    def _identity(self, method: str, path: str, headers: _Headers) -> Identity | None:
        if self._tokens is None:
            return Identity(name="local", scope="admin")
        method_read = "GET" if method == "HEAD" else method
        if (method_read, path) in OPEN or (method_read == "GET" and page(path) is not None):
            return None
        token, session = self._token(headers)
        if token is None:
            hint = "send Authorization: Bearer TOKEN, with a token of headwater token create"
            raise _Refused(401, "unauthorized", "no valid token came with the request", hint=hint)
        changes = method not in _SAFE
        if session is not None and changes:
            given = headers.all(CSRF)
            if len(given) != 1 or not hmac.compare_digest(given[0].encode(), session.csrf.encode()):
                hint = f"send the csrf text of GET /api/session as {CSRF}"
                raise _Refused(403, "csrf", "a change from a browser needs the text of its session", hint=hint)
        needed: Scope = "admin" if path in ADMIN else "run" if changes and path != "/api/session" else "read"
        if not token.allows(needed):
            raise _Refused(403, "scope", f"this needs a token of the scope {needed}: yours is of {token.scope}")
        return Identity(name=token.name, scope=token.scope, session=session, holds=lambda: self._holds(headers))

    def _holds(self, headers: _Headers) -> bool:
        try:
            return self._token(headers)[0] is not None
        except HeadwaterError:
            return False

    def _token(self, headers: _Headers) -> tuple[Token | None, BrowserSession | None]:
        assert self._tokens is not None
        given = headers.all("authorization")
        if given:
            kind, _, text = given[0].partition(" ")
            valid = len(given) == 1 and kind.lower() == "bearer"
            return (self._tokens.of(text.strip()) if valid else None), None
        cookie = _cookie(headers)
        found = self._browsers.of(cookie) if cookie and self._browsers is not None else None
        return found or (None, None)


class _Headers:
    """Headers by name, each as often as it came."""

    def __init__(self, raw: Iterable[tuple[bytes, bytes]]) -> None:
        self._raw = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in raw]

    def all(self, name: str) -> list[str]:
        return [value for one, value in self._raw if one == name]


def _host_name(text: str) -> str:
    """The name in a Host header, without its port: lower case, IPv6 addresses in their brackets.

    >>> _host_name("LocalHost:8421"), _host_name("[::1]:8421"), _host_name("evil.example")
    ('localhost', '[::1]', 'evil.example')
    """
    text = text.strip().lower()
    name, colon, port = text.rpartition(":")
    if colon and not name.endswith(":") and (port.isdigit() or not port) and (":" not in name or name.endswith("]")):
        text = name
    return text.rstrip(".")


def allowed_name(text: str) -> str:
    """A name or an address that somebody allows, as it comes in a Host header; the port does not matter. Raises UsageError.

    >>> allowed_name("Shop.example."), allowed_name("shop.example:8443"), allowed_name("fd00::5"), allowed_name("[fd00::5]:80")
    ('shop.example', 'shop.example', '[fd00::5]', '[fd00::5]')
    """
    name = _host_name(text)
    with suppress(ValueError):
        return f"[{ipaddress.IPv6Address(name.strip('[]'))}]"
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{text[:80]!r} is no name or address of a server",
            where="--allow-host",
            hint="give it as it stands in the browser's address, without https:// and path: shop.example.com",
        )
    return name


_NAME = re.compile(r"[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?")


def _cookie(headers: _Headers) -> str | None:
    # A browser sends the cookies of all servers of a host, and http.cookies gives up all of them for one that it can't read.
    return cookie_parser("; ".join(headers.all("cookie"))).get(COOKIE)


async def _received(method: str, headers: _Headers, receive: Receive) -> Receive:
    """The whole body, before anything works on it: one that is too long or too slow costs nobody anything else."""
    if method in _SAFE:
        return receive
    length = headers.all("content-length")
    if length and (not length[0].isdigit() or int(length[0]) > BODY):
        raise _too_long()
    try:
        async with asyncio.timeout(PATIENCE):
            body = await _body(receive)
    except TimeoutError:
        raise _Refused(408, "slow", f"the body did not come within {PATIENCE:g} s") from None
    sent = False

    async def replay() -> Message:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


async def _body(receive: Receive) -> bytes:
    body = bytearray()
    while True:
        message: Any = await receive()
        if message["type"] != "http.request":
            return bytes(body)
        body += message.get("body", b"")
        if len(body) > BODY:
            raise _too_long()
        if not message.get("more_body", False):
            return bytes(body)


def _too_long() -> _Refused:
    return _Refused(413, "body", f"a body has at most {BODY:,} bytes")


async def _refuse(send: Send, document: dict[str, Any]) -> None:
    body = encoded(document)
    headers = [(b"content-type", MEDIA_TYPE.encode()), (b"content-length", str(len(body)).encode())]
    if document["status"] == 401:
        headers.append((b"www-authenticate", b'Bearer realm="headwater"'))
    await send({"type": "http.response.start", "status": document["status"], "headers": headers})
    await send({"type": "http.response.body", "body": body})
