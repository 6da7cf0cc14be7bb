"""`anomaly`: a figure that is far from what it was in earlier versions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from statistics import fmean, median, quantiles
from typing import TYPE_CHECKING, ClassVar, Literal, Unpack

from headwater.assets.checks.base import Check, Found, Options, named, number, shown, taking
from headwater.assets.checks.metrics import Metric
from headwater.assets.events import CheckResult
from headwater.errors import DefinitionError, PartitionError
from headwater.records import dataclass

if TYPE_CHECKING:
    import polars as pl

    from headwater.assets.checks.context import CheckContext
    from headwater.assets.checks.history import PastVersion

Method = Literal["mad", "iqr"]

_MAD, _MEAN_DEVIATION = 1.4826, 1.2533
"""What makes a standard deviation of the median (the mean) absolute deviation of normally distributed values."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Anomaly(Check):
    """A figure held against those of earlier versions."""

    kind: ClassVar[str] = "anomaly"

    metric: Metric
    method: Method
    threshold: float
    slack: float
    at_least: int
    window: int
    same_weekday: bool

    @property
    def columns(self) -> tuple[str, ...]:
        """The column of the metric."""
        return () if self.metric.column is None else (self.metric.column,)

    def measures(self, schema: pl.Schema) -> Mapping[str, pl.Expr]:
        """The metric."""
        found = self.metric.expression(schema)
        return {} if found is None else {"value": found}

    def judge(self, found: Found, context: CheckContext) -> CheckResult:
        """Passed when the figure is inside of the expected range, or there is too little to compare it with."""
        value = number(found.get("value", context.bytes))
        metrics = {str(self.metric): value}
        past = self._past(context)
        if len(past) < self.at_least:
            message = f"not enough history: {len(past)} of {self.at_least} earlier values of {self.metric}"
            return CheckResult(passed=True, message=message, metrics=metrics)
        low, high = bounds(past, method=self.method, threshold=self.threshold, slack=self.slack)
        metrics |= {"expected_min": low, "expected_max": high, "observations": len(past)}
        if value is None:
            return CheckResult(passed=False, message=f"{self.metric} is no number", metrics=metrics)
        if low <= value <= high:
            return CheckResult(passed=True, metrics=metrics)
        message = f"{self.metric} is {shown(value)}, expected {shown(low)} to {shown(high)} after {len(past)} values"
        return CheckResult(passed=False, message=message, metrics=metrics)

    def _past(self, context: CheckContext) -> list[float]:
        days = [one for one in context.history() if not self.same_weekday or _same_day(one, context)]
        values = [self._value(one) for one in days]
        return [value for value in values if value is not None][: self.window]

    def _value(self, one: PastVersion) -> float | None:
        if self.metric.of == "rows":
            return one.rows
        return one.bytes if self.metric.of == "bytes" else one.metrics.get(str(self.metric))


def bounds(past: Sequence[float], *, method: Method, threshold: float, slack: float) -> tuple[float, float]:
    """Between which values a figure is as expected after these.

    >>> bounds([10, 11, 12, 13, 14], method="mad", threshold=3.0, slack=0.0)
    (7.5522, 16.4478)
    >>> bounds([10, 10, 10, 10, 10], method="mad", threshold=3.0, slack=0.1)
    (9.0, 11.0)
    """
    middle = median(past)
    if method == "iqr":
        first, _, third = quantiles(past, n=4, method="inclusive")
        low, high = first - threshold * (third - first), third + threshold * (third - first)
    else:
        spread = _MAD * median([abs(value - middle) for value in past])
        if spread == 0:
            # More than half of the values are the same one: the mean still sees the others.
            spread = _MEAN_DEVIATION * fmean([abs(value - middle) for value in past])
        low, high = middle - threshold * spread, middle + threshold * spread
    always = slack * abs(middle)
    return min(low, middle - always), max(high, middle + always)


def _same_day(one: PastVersion, context: CheckContext) -> bool:
    now = context.partition
    if now is None or now.start is None or now.definition is None:
        return _weekday(one.at) == _weekday(context.now)
    try:
        start = now.definition.partition(one.partition).start
    except PartitionError:  # a key of before, when the asset was divided in another way: no such day
        return False
    return start is not None and start.weekday() == now.start.weekday()


def _weekday(us: int) -> int:
    return (_EPOCH + timedelta(microseconds=us)).weekday()


@taking(Options)
def anomaly(
    metric: str = "rows",
    *,
    method: Method = "mad",
    threshold: float | None = None,
    slack: float = 0.05,
    at_least: int = 8,
    window: int = 30,
    same_weekday: bool = False,
    **options: Unpack[Options],
) -> Anomaly:
    """A check that a figure is not far from what it was in earlier versions of the asset.

    `metric` is rows, bytes, or of a column: nulls(c), null_share(c), distinct(c), sum(c), mean(c), min(c), max(c). It is
    held against the `window` values before it: those of earlier partitions, or of earlier versions where there are no
    partitions; with `same_weekday` only against those of the same day of the week. With fewer than `at_least` of them
    it passes, and says so. Expected is, with method "mad", the median ± `threshold` (5) robust standard deviations (the
    median absolute deviation times 1.4826); with "iqr", from the lower quartile to the upper one, and `threshold` (3)
    times their distance beyond. Changes of less than `slack` of the median are never anomalies.

    >>> anomaly("mean(dep_delay)", same_weekday=True).name
    'anomaly(mean(dep_delay))'
    """
    parsed = Metric.parse(metric)
    if method not in ("mad", "iqr"):
        raise DefinitionError(f"method can't be {method!r}", where="anomaly", hint='give "mad" or "iqr"')
    limit = {"mad": 5.0, "iqr": 3.0}[method] if threshold is None else threshold
    if not limit > 0 or not slack >= 0:
        raise DefinitionError("threshold must be positive, and slack not negative", where="anomaly")
    if at_least < 2 or window < at_least:
        hint = "at_least=8, window=30: at least so many values, at most so many"
        raise DefinitionError(f"at_least={at_least} and window={window} don't fit", where="anomaly", hint=hint)
    return Anomaly(
        metric=parsed,
        method=method,
        threshold=limit,
        slack=slack,
        at_least=at_least,
        window=window,
        same_weekday=same_weekday,
        **named(f"anomaly({parsed})", options),
    )
