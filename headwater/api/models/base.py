"""What all shapes share, and problems."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, StringConstraints

Verdict = Literal["fresh", "warn", "late", "unknown", "none"]
Text = Annotated[str, StringConstraints(min_length=1, max_length=1_000)]
"""A name, a selection, a partition: nothing that a person writes is longer."""

TIME = "2026-01-05T06:10:00.000000Z"
"""A time, for examples."""
RUN = "019b8a2e-52c5-7f3a-8d0e-5a52e3f1c001"
"""An id, for examples."""


class Answer(BaseModel):
    """What is answered: members that are not named here may stand in it, too."""

    model_config = ConfigDict(extra="allow")


class Asked(BaseModel):
    """What is asked: a member that is not known is refused."""

    model_config = ConfigDict(extra="forbid")


def example(**members: Any) -> ConfigDict:
    """What shapes say with an example of theirs; members that they do not name may stand in them."""
    return ConfigDict(extra="allow", json_schema_extra={"examples": [members]})


class Problem(Answer):
    """An error (RFC 9457)."""

    model_config = example(
        type="urn:headwater:error:unknown_name",
        title="Not Found",
        status=404,
        detail="there is no asset 'dealys'",
        hint="did you mean 'delays'?",
    )
    type: str
    title: str
    status: int
    detail: str
    hint: str | None = None


class Page(Answer):
    """A page: `next` is the cursor of the page that follows; null on the last one."""

    next: str | None = None
