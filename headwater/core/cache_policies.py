"""What a cached result depends on: policies, combined with + and -."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias

from headwater.errors import DefinitionError
from headwater.records import dataclass

if TYPE_CHECKING:
    from headwater.core.context import RunContext

KeyFunction: TypeAlias = "Callable[[RunContext, dict[str, Any]], Any]"
"""Given the run's context and the arguments by name, what the result depends on; None: this call is not cached."""

_ORDER = ("inputs", "source", "parameters", "run")


@dataclass(frozen=True, slots=True)
class CachePolicy:
    """What must be the same for a kept result to be used: made of `INPUTS`, `SOURCE`, `PARAMETERS`, `RUN` and functions.

    >>> INPUTS + SOURCE - "verbose"
    INPUTS + SOURCE - 'verbose'
    >>> INPUTS + SOURCE - SOURCE == INPUTS, bool(NO_CACHE), INPUTS + NO_CACHE == INPUTS
    (True, False, True)
    """

    parts: frozenset[str] = frozenset()
    without: frozenset[str] = frozenset()
    """Names of arguments that don't count."""
    functions: tuple[KeyFunction, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.parts or self.functions)

    def __add__(self, other: object) -> CachePolicy:
        more = policy_of(other)
        if more is None:
            return self
        functions = self.functions + tuple(one for one in more.functions if one not in self.functions)
        return CachePolicy(self.parts | more.parts, self.without | more.without, functions)

    __radd__ = __add__

    def __sub__(self, other: object) -> CachePolicy:
        if isinstance(other, str):
            return replace(self, without=self.without | {other})
        if not isinstance(other, CachePolicy):
            raise DefinitionError(
                f"from a cache policy a policy or the name of an argument is taken away, not {other!r}",
                hint='write INPUTS + SOURCE - "verbose"',
            )
        functions = tuple(one for one in self.functions if one not in other.functions)
        return CachePolicy(self.parts - other.parts, self.without - other.without, functions)

    def __repr__(self) -> str:
        words = [one.upper() for one in _ORDER if one in self.parts]
        words += [str(getattr(one, "__qualname__", one)) for one in self.functions]
        return " - ".join([" + ".join(words) or "NO_CACHE", *(repr(one) for one in sorted(self.without))])


def policy_of(given: object) -> CachePolicy | None:
    """The policy that the option `cache` names. Raises DefinitionError for what is none.

    >>> policy_of(True), policy_of(None)
    (INPUTS + SOURCE, None)
    """
    if given is None or isinstance(given, CachePolicy):
        return given
    if isinstance(given, bool):
        return DEFAULT if given else NO_CACHE
    if callable(given):
        return CachePolicy(functions=(given,))
    raise DefinitionError(
        f"cache is a policy or a function, got {given!r}",
        hint="write cache=True, cache=INPUTS + SOURCE, or a function of the run's context and the arguments",
    )


INPUTS = CachePolicy(frozenset({"inputs"}))
"""The arguments of the call, by their content."""
SOURCE = CachePolicy(frozenset({"source"}))
"""The code of the function."""
PARAMETERS = CachePolicy(frozenset({"parameters"}))
"""The parameters of the flow that it is called in."""
RUN = CachePolicy(frozenset({"run"}))
"""The outermost run: a result is used again within the run that kept it, its later attempts included."""
NO_CACHE = CachePolicy()
"""Nothing is cached."""
DEFAULT = INPUTS + SOURCE
"""What `cache=True` means."""


def cache_options(cache: CachePolicy | None, given: dict[str, Any]) -> dict[str, Any]:
    """Options with those for caching as they are kept; who says how long, or once, means the default policy.

    Raises DefinitionError for a wrong value.

    >>> cache_options(None, {"cache_for": "2h"})["cache"]
    INPUTS + SOURCE
    """
    from headwater.core.durations import parse_duration

    found = dict(given)
    if "cache" in found:
        found["cache"] = policy_of(found["cache"])
    if found.get("cache_for") is not None:
        found["cache_for"] = parse_duration(found["cache_for"], where="cache_for")
    for name, allowed in (("refresh", (True, False, None)), ("once", (True, False))):
        if name in found and not any(found[name] is one for one in allowed):
            raise DefinitionError(f"{name} is True or False, got {found[name]!r}")
    if found.get("cache", cache) is None and (found.get("cache_for") is not None or found.get("once")):
        found["cache"] = DEFAULT
    return found
