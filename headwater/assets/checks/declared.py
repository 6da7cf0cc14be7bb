"""The checks that stand with an asset: `Asset(…, checks=[…])`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from headwater.assets.checks.base import Check
from headwater.errors import DefinitionError


def declared(asset: str, given: Iterable[Any]) -> tuple[Check, ...]:
    """The checks of an asset as it declares them, each of a name of its own. Raises DefinitionError for what is none."""
    where = f"checks of the asset '{asset}'"
    if isinstance(given, (str, Check)) or not isinstance(given, Iterable):
        raise DefinitionError(f"{where} can't be {given!r}"[:300], hint='write checks=[not_null("id"), unique("id")]')
    found: dict[str, Check] = {}
    for one in map(_as_check, given):
        if not isinstance(one, Check):
            hint = "give what not_null, unique, … of headwater.checks make; a function is a check by @check(asset)"
            raise DefinitionError(f"{one!r} is no check"[:300], where=where, hint=hint)
        if one.name in found:
            hint = 'give one of them a name of its own: name="…"'
            raise DefinitionError(f"there are two checks named {one.name!r}", where=where, hint=hint)
        found[one.name] = one
    return tuple(found.values())


def _as_check(value: Any) -> Any:
    if isinstance(value, Check):
        return value
    from headwater.assets.checks.pandera_schemas import is_schema, pandera_check

    return pandera_check(value) if is_schema(value) else value
