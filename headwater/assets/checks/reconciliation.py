"""`reconciles`: whether a figure of an asset agrees with one of another asset."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Unpack

from headwater.assets import reading
from headwater.assets.asset import Asset, AssetInput
from headwater.assets.checks.base import Check, Found, Options, Unmeasurable, named, number, share, shown, taking
from headwater.assets.checks.metrics import Metric
from headwater.assets.events import CheckResult
from headwater.assets.mappings import mapping_of
from headwater.assets.partitions import UNPARTITIONED
from headwater.errors import DefinitionError
from headwater.records import dataclass

if TYPE_CHECKING:
    import polars as pl

    from headwater.assets.checks.context import CheckContext
    from headwater.assets.reading import BoundInput


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reconciles(Check):
    """Two figures that must agree."""

    kind: ClassVar[str] = "reconciles"

    other: AssetInput
    mine: Metric
    theirs: Metric
    tolerance: float
    absolute: float

    @property
    def columns(self) -> tuple[str, ...]:
        """The column of this asset's figure."""
        return () if self.mine.column is None else (self.mine.column,)

    def measures(self, schema: pl.Schema) -> Mapping[str, pl.Expr]:
        """This asset's figure."""
        found = self.mine.expression(schema)
        return {} if found is None else {"mine": found}

    def judge(self, found: Found, context: CheckContext) -> CheckResult:
        """Passed when the figures differ by no more than they may."""
        name = self.other.asset.name
        mine, theirs = number(found["mine"]), number(self._measured(bound_to(context, self.other), context))
        metrics = {str(self.mine): mine, f"{name}.{self.theirs}": theirs}
        said = f"{self.mine} is {shown(mine)}, {self.theirs} of {name} is {shown(theirs)}"
        if mine is None or theirs is None:
            return CheckResult(passed=mine is theirs, message=said, metrics=metrics)
        apart = abs(mine - theirs)
        metrics["difference"] = apart
        if apart <= max(self.absolute, self.tolerance * max(abs(mine), abs(theirs))):
            return CheckResult(passed=True, metrics=metrics)
        may = " or ".join([shown(self.absolute)] * bool(self.absolute) + [share(self.tolerance)] * bool(self.tolerance))
        message = f"{said}: {shown(apart)} apart" + (f", {may} may be" if may else "")
        return CheckResult(passed=False, message=message, metrics=metrics)

    def _measured(self, bound: BoundInput, context: CheckContext) -> Any:
        target = context.runtime.definitions.target(bound.asset)
        if bound.partitions == ():
            raise Unmeasurable(f"{bound.asset.name} has no partition to compare with")
        frame = context.runtime.materializer(target.asset).load(target, bound.partitions, "lazy")
        expression = self.theirs.expression(frame.collect_schema())
        return frame.select(expression).collect().item()


def bound_to(context: CheckContext, given: AssetInput) -> BoundInput:
    """The partitions of another asset that belong to the one that is checked, with the versions in place.

    Raises InputMissing when they were not made.
    """
    partition = context.partition
    downstream = partition.definition if partition is not None and partition.definition is not None else UNPARTITIONED
    mapping = mapping_of(given.mapping, given.asset.partitions, downstream)
    return reading.bind(context.runtime, given.asset, mapping, partition, via="check")


@taking(Options)
def reconciles(
    other: Asset | AssetInput,
    *,
    on: str | tuple[str, str] = "rows",
    tolerance: float = 0.0,
    absolute: float = 0.0,
    **options: Unpack[Options],
) -> Reconciles:
    """A check that a figure of this asset agrees with one of another asset, as it is in place.

    `on` is a metric as of `anomaly` (rows, sum(amount), …), or two: of this asset and of the other one. They may differ by
    `tolerance` of the greater one, or by `absolute`, whichever is more. Of an asset with partitions, those that belong to
    the partition at hand are compared, as an input would read them; `other.window(-6, 0)` names others.

    >>> from headwater import Asset
    >>> flights = Asset("reconciled_flights", at="parquet://lake/reconciled_flights")
    >>> reconciles(flights, on=("sum(flights)", "rows")).name
    'reconciles(reconciled_flights)'
    """
    given = AssetInput(other) if isinstance(other, Asset) else other
    if not isinstance(given, AssetInput):
        raise DefinitionError(f"reconciles needs another asset, got {other!r}", hint="write reconciles(flights)")
    mine, theirs = (on, on) if isinstance(on, str) else on
    parsed = Metric.parse(mine), Metric.parse(theirs)
    if "bytes" in (parsed[0].of, parsed[1].of):
        raise DefinitionError("bytes of two assets tell nothing of each other", where="reconciles", hint='on="rows"')
    if not tolerance >= 0 or not absolute >= 0:
        raise DefinitionError("tolerance and absolute can't be negative", where="reconciles")
    return Reconciles(
        other=given,
        mine=parsed[0],
        theirs=parsed[1],
        tolerance=tolerance,
        absolute=absolute,
        **named(f"reconciles({given.asset.name})", options),
    )
