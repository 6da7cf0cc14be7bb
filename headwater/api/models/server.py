"""The shapes of answers about the server itself, and of logging in."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import StringConstraints

from headwater.api.models.base import RUN, TIME, Answer, Asked, Page, example
from headwater.api.tokens import Scope


class Limits(Answer):
    """Limits with who holds their slots, and rates with how much of them is used."""

    limits: list[dict[str, Any]]
    rates: list[dict[str, Any]]


class Destination(Answer):
    """How a catalog, or what traces go to, is doing: events or spans delivered, waiting, and refused for good."""

    destination: str
    what: Literal["openlineage", "traces"]
    delivered: int
    pending: int
    dead: int
    at: str | None = None
    error: str | None = None
    next_try: str | None = None


class Destinations(Answer):
    """All that are configured."""

    destinations: list[Destination]


class Health(Answer):
    """Whether the server is well: `failing` names what is not."""

    model_config = example(status="ok", version="0.1.0", failing=[])
    status: Literal["ok", "failing"]
    version: str
    failing: list[str] = []


class Session(Answer):
    """Who is asking, and what it may. `csrf` is what a browser's session sends along with each change.

    `events` is the newest message of the live updates: who then asks, and listens behind that one, misses nothing.
    """

    model_config = example(name="ci", scope="run", csrf=None, events="5f2a77c1-12")
    name: str
    scope: Scope
    csrf: str | None = None
    events: str


class Login(Asked):
    """A token, for a browser session."""

    token: Annotated[str, StringConstraints(max_length=200)]


class AuditRow(Answer):
    """Somebody asked for something, was let in, or was refused.

    `by` is the name of a token, or a user at a machine; `subject` is a request, a run, a backfill or a token, and of a refusal
    the address that it came from, with how many there were.
    """

    model_config = example(id=RUN, at=TIME, by="ci", what="work: backfill", subject=RUN, count=1)
    id: str
    at: str
    by: str | None = None
    what: str
    subject: str
    count: int = 1


class Audit(Page):
    """The newest first."""

    changes: list[AuditRow]
