"""`inputs_fresh`: whether what an asset was made of is fresh enough, as of now."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Unpack, get_args

from headwater.assets import freshness
from headwater.assets.checks.base import Check, Found, Options, named, taking
from headwater.assets.events import CheckResult
from headwater.errors import DefinitionError
from headwater.records import dataclass

if TYPE_CHECKING:
    from headwater.assets.checks.context import CheckContext

_SHOWN = 5


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class InputsFresh(Check):
    """The freshness verdicts of the inputs."""

    kind: ClassVar[str] = "inputs_fresh"

    fail_on: tuple[str, ...]

    def judge(self, found: Found, context: CheckContext) -> CheckResult:
        """Passed when no input that was read has a verdict that counts as a failure."""
        names = dict.fromkeys(one.asset for one in context.inputs if one.asset != context.asset.name)
        if not names:
            return CheckResult(passed=True, message="it was made of no asset")
        verdicts = freshness.board(context.facts(), context.now)
        judged = {name: verdicts[name] for name in names if name in verdicts}
        bad = [one for one in judged.values() if one.verdict in self.fail_on]
        metrics: dict[str, float | None] = {"inputs": len(names), "failing": len(bad)}
        metrics |= {f"lag({name})": one.lag for name, one in judged.items() if one.lag is not None}
        if not bad:
            return CheckResult(passed=True, metrics=metrics)
        listed = "; ".join(f"{one.name} is {one.verdict}: {one.text}" for one in bad[:_SHOWN])
        more = f"; and {len(bad) - _SHOWN} more" if len(bad) > _SHOWN else ""
        return CheckResult(passed=False, message=listed + more, metrics=metrics)


@taking(Options)
def inputs_fresh(*, fail_on: tuple[str, ...] | str = ("late", "unknown"), **options: Unpack[Options]) -> InputsFresh:
    """A check that the assets which the data was made of are fresh by their policies, as of now.

    It fails when the verdict of one of them is in `fail_on`: late, unknown, warn. An input without a policy passes.

    >>> inputs_fresh(fail_on="late").fail_on
    ('late',)
    """
    wanted = (fail_on,) if isinstance(fail_on, str) else tuple(fail_on)
    known = [one for one in get_args(freshness.Verdict) if one != "fresh"]
    for one in wanted:
        if one not in known:
            raise DefinitionError(
                f"{one!r} is no verdict to fail on", where="inputs_fresh", hint=f"known: {', '.join(known)}"
            )
    return InputsFresh(fail_on=wanted, **named("inputs_fresh", options))
