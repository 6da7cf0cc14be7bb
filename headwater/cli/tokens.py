"""`token`: who may ask the server for what."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal

from headwater import clock
from headwater.assets.durations import parse_duration
from headwater.cli.commands import TOKENS
from headwater.cli.common import open_project, who
from headwater.cli.options import COMMON, Common, Duration
from headwater.cli.output import emit, instant, say
from headwater.cli.tables import table
from headwater.cli.trees import tree

if TYPE_CHECKING:
    from headwater.api.tokens import Token, Tokens


def create(
    *,
    scope: Literal["read", "run", "admin"] = "read",
    name: str | None = None,
    expires: Duration | None = None,
    common: Common = COMMON,
) -> int:
    """Make a token, and print it. It is shown this once: only a hash of it is kept.

    Parameters
    ----------
    scope
        What it allows: to look (read), to start and stop work as well (run), everything (admin).
    name
        Who or what uses it; changes are recorded under this name. You, when it is left out.
    expires
        After how long it ends: 90d, 12h. Never, when it is left out.
    """
    until = None
    if expires is not None:
        until = clock.now_us() + parse_duration(expires, where="--expires") // timedelta(microseconds=1)
    text, made = _tokens(writes=True).create(name or who(), scope, expires=until, by=who())
    emit({"token": text, **_row(made)}, common.json, lambda: text)
    say(f"a token named {made.name} of the scope {scope}: keep it, it is not shown again")
    return 0


def list_(*, common: Common = COMMON) -> int:
    """List the tokens: their names, scopes and times, never what they are."""
    rows = [_row(one) for one in _tokens().all()]
    emit({"tokens": rows}, common.json, lambda: _text(rows) if rows else "no tokens yet: headwater token create")
    return 0


def revoke(token: str, /, *, common: Common = COMMON) -> int:
    """Revoke a token. Whoever uses it, or is logged in with it, is refused from now on.

    Parameters
    ----------
    token
        Its id or its name, as `headwater token list` shows them.
    """
    gone = _tokens(writes=True).revoke(token, by=who())
    emit(_row(gone), common.json, lambda: f"revoked {gone.name} ({gone.id})")
    return 0


def _tokens(*, writes: bool = False) -> Tokens:
    from headwater.api.tokens import Tokens

    project = open_project(None, writes=writes)
    return Tokens(project.home, project.locks, record=lambda found: project.journal.append(found))


def _row(one: Token) -> dict[str, Any]:
    state = "revoked" if one.revoked is not None else "valid" if one.is_valid(clock.now_us()) else "expired"
    expires = None if one.expires is None else clock.rfc3339(one.expires)
    created = clock.rfc3339(one.created)
    return {
        "id": one.id,
        "name": one.name,
        "scope": one.scope,
        "state": state,
        "created": created,
        "expires": expires,
    }


def _text(rows: Sequence[dict[str, Any]]) -> str:
    cells = [
        (row["id"], row["name"], row["scope"], row["state"], instant(row["created"]), instant(row["expires"]))
        for row in rows
    ]
    return table(("id", "name", "scope", "state", "created", "expires"), cells, spare=("created",))


token_app = tree("token", TOKENS)
"""The commands under `token`."""
