"""Tokens: who may ask the server for what. Only a hash of each is kept, in a file of the home that its owner alone can read.

Beside them stand the browser sessions that were ended before their time, so that every server of the home knows of them.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import asdict, field, replace
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from headwater import clock
from headwater.core.journal.carrier import LockTable
from headwater.core.journal.home import Home, sync_folder
from headwater.core.request_events import AccessRecorded
from headwater.errors import HomeError, UnknownNameError, UsageError
from headwater.records import dataclass

Scope: TypeAlias = Literal["read", "run", "admin"]
"""What a token allows: to look; to start and to stop work as well; everything."""
SCOPES: tuple[Scope, ...] = get_args(Scope)
"""Each allows what those before it allow."""

_TOKEN = re.compile(r"hw_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")
_LOCK = "tokens"


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """What is known of a token: never the token itself. Times are microseconds since the epoch."""

    id: str
    name: str
    scope: Scope
    hash: str
    created: int
    expires: int | None = None
    revoked: int | None = None

    def allows(self, scope: Scope) -> bool:
        """Whether it is enough for something that asks for a scope."""
        return SCOPES.index(self.scope) >= SCOPES.index(scope)

    def is_valid(self, now: int) -> bool:
        """Whether it is neither revoked nor expired."""
        return self.revoked is None and (self.expires is None or now < self.expires)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    """What the file holds. `ended` are hashes of sessions, each with when it would have been over by itself."""

    tokens: tuple[Token, ...] = ()
    ended: Mapping[str, int] = field(default_factory=dict)


class Tokens:
    """The tokens of a home. Changes of the file are seen at once, whichever process makes them.

    `record` gets what is to be journaled of each change.
    """

    def __init__(
        self, home: Home, locks: LockTable, *, record: Callable[[AccessRecorded], object] = lambda found: None
    ) -> None:
        self._record = record
        self._home = home
        self._path = home.path / "tokens.json"
        self._locks = locks
        self._known: tuple[object, _Kept] = (None, _Kept())

    def create(
        self, name: str, scope: Scope, *, expires: int | None = None, by: str | None = None
    ) -> tuple[str, Token]:
        """A new token, and what is kept of it: the token itself can't be asked for again. Raises UsageError."""
        if not name.strip() or len(name) > 100 or not name.isprintable():
            raise UsageError(
                "a token has a name of 1 to 100 printable characters", hint="name what uses it: --name grafana"
            )
        if expires is not None and not clock.is_time(expires):
            raise UsageError("a token ends before the year 10000", hint="leave --expires out: then it does not end")
        self._home.check_writable()
        # Not an id of ours: it is looked up by whoever comes, and must tell nothing, such as when it was made.
        token_id, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
        made = Token(id=token_id, name=name, scope=scope, hash=_hash(secret), created=clock.now_us(), expires=expires)
        with self._locks.hold(_LOCK):
            known = self._kept()
            # Recorded first: there is never a token that nobody knows of.
            self._record(AccessRecorded(what="token.created", subject=token_id, by=by))
            self._write(replace(known, tokens=(*known.tokens, made)))
        return f"hw_{token_id}_{secret}", made

    def all(self) -> tuple[Token, ...]:
        """All tokens, in the order in which they were made. Raises HomeError when the file can't be read."""
        return self._kept().tokens

    def revoke(self, token: str, *, by: str | None = None) -> Token:
        """Revoke a token, by its id or its name; whoever uses it is refused from now on. Raises UnknownNameError."""
        with self._locks.hold(_LOCK):
            found = [one for one in self.all() if token in (one.id, one.name) and one.revoked is None]
            if not found:
                known = [one.name for one in self.all() if one.revoked is None]
                raise UnknownNameError.of("token", token, known)
            if len(found) > 1:
                raise UsageError(f"several tokens are named '{token}'", hint="give the id: headwater token list")
            gone = replace(found[0], revoked=clock.now_us())
            kept = self._kept()
            self._write(replace(kept, tokens=tuple(gone if one.id == gone.id else one for one in kept.tokens)))
            self._record(AccessRecorded(what="token.revoked", subject=gone.id, by=by))
        return gone

    def of(self, text: str) -> Token | None:
        """The valid token that a text is; None when it is none."""
        parts = _TOKEN.fullmatch(text)
        found = self.by_id(parts[1]) if parts else None
        # Compared even when there is nothing to compare with: how long it takes shall not tell whether there is.
        same = hmac.compare_digest(_hash(parts[2] if parts else ""), found.hash if found else "")
        return found if same else None

    def by_id(self, token_id: str) -> Token | None:
        """The valid token of an id."""
        now = clock.now_us()
        return next((one for one in self.all() if one.id == token_id and one.is_valid(now)), None)

    def end_session(self, session: str, until: int) -> None:
        """Let nobody in any more with this session, which would be over by itself at a moment (microseconds)."""
        self._home.check_writable()
        with self._locks.hold(_LOCK):
            known = self._kept()
            self._write(replace(known, ended={**known.ended, _hash(session): until}))

    def has_ended(self, session: str) -> bool:
        """Whether this session was ended before its time."""
        return _hash(session) in self._kept().ended

    def _kept(self) -> _Kept:
        try:
            state = self._path.stat()
        except FileNotFoundError:
            return _Kept()
        except OSError as error:
            raise _unreadable(self._path, error) from error
        seen = (state.st_ino, state.st_mtime_ns, state.st_size)
        if self._known[0] != seen:
            try:
                found = json.loads(self._path.read_bytes())
                tokens = tuple(Token(**row) for row in found["tokens"])
                self._known = (seen, _Kept(tokens=tokens, ended=dict(found.get("ended", {}))))
            except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
                raise _unreadable(self._path, error) from error
        return self._known[1]

    def _write(self, kept: _Kept) -> None:
        draft, now = self._path.with_suffix(f".{os.getpid()}.draft"), clock.now_us()
        ended = {session: until for session, until in kept.ended.items() if now < until}
        value = {"tokens": [asdict(one) for one in kept.tokens], "ended": ended}
        # Whoever holds the lock is alone: what lies there was left by one that failed, or died under the same number.
        draft.unlink(missing_ok=True)
        write_private(draft, json.dumps(value, indent=1).encode())
        draft.replace(self._path)
        sync_folder(self._path.parent)


def write_private(path: Path, data: bytes) -> None:
    """Write a new file that its owner alone can read, durably. Raises FileExistsError."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _hash(secret: str) -> str:
    # Its 256 bits are random: nobody can try them all, however fast the hash.
    return hashlib.sha256(secret.encode()).hexdigest()


def _unreadable(path: Path, error: Exception) -> HomeError:
    return HomeError(
        f"the tokens can't be read: {type(error).__name__}",
        where=str(path),
        hint="remove the file and create new tokens: headwater token create",
    )
