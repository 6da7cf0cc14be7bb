"""Browser sessions: a cookie that stands for a token, signed with a key of the home, so that they outlive the server's process."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import secrets
from pathlib import Path

from headwater import clock
from headwater.api.tokens import Token, Tokens, write_private
from headwater.core.journal.home import Home
from headwater.errors import HomeError
from headwater.records import dataclass

COOKIE = "headwater_session"
CSRF = "x-csrf-token"
SECONDS = 12 * 3_600
"""How long a session lasts."""
_BYTES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class BrowserSession:
    """A session: the cookie, and the text that every change must send along in a header, which no foreign page knows."""

    cookie: str
    csrf: str

    @property
    def token_id(self) -> str:
        """The id of the token that it was begun with."""
        return self.cookie.split(".")[0]

    @property
    def expires(self) -> int:
        """When it is over, in microseconds since the epoch."""
        return int(self.cookie.split(".")[1])


class Browsers:
    """Begins sessions, and knows them again. A session ends with its time, its token, the key of the home, or when it is ended."""

    def __init__(self, home: Home, tokens: Tokens) -> None:
        self._tokens = tokens
        self._key = _key(home.path / "server.key")

    def begin(self, token: Token) -> BrowserSession:
        """A session that allows what a token allows."""
        text = f"{token.id}.{clock.now_us() + SECONDS * 1_000_000}"
        return self._session(f"{text}.{self._mac('session', text)}")

    def of(self, cookie: str) -> tuple[Token, BrowserSession] | None:
        """The token that a cookie stands for, and its session; None when it is not ours, or over."""
        text, _, mac = cookie.rpartition(".")
        if not hmac.compare_digest(self._mac("session", text).encode(), mac.encode()):
            return None
        session = self._session(cookie)
        if clock.now_us() >= session.expires or self._tokens.has_ended(cookie):
            return None
        token = self._tokens.by_id(session.token_id)
        return None if token is None else (token, session)

    def end(self, session: BrowserSession) -> None:
        """End a session, wherever its cookie has been copied to."""
        self._tokens.end_session(session.cookie, session.expires)

    def _session(self, cookie: str) -> BrowserSession:
        return BrowserSession(cookie=cookie, csrf=self._mac("csrf", cookie))

    def _mac(self, what: str, text: str) -> str:
        return hmac.new(self._key, f"{what}:{text}".encode(), hashlib.sha256).hexdigest()


def _key(path: Path) -> bytes:
    """The key of a home, made if there is none. It appears whole: a key that is cut off would be one that others can guess."""
    if not path.exists():
        draft = path.with_suffix(f".{secrets.token_hex(8)}.draft")
        write_private(draft, secrets.token_bytes(_BYTES))
        try:
            with contextlib.suppress(FileExistsError):
                path.hardlink_to(draft)
        finally:
            draft.unlink()
    key = path.read_bytes()
    if len(key) != _BYTES:
        raise HomeError(
            "the key of browser sessions is damaged", where=str(path), hint="remove it: all log in again then"
        )
    return key
