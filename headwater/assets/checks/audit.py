"""The audit: all checks of an asset on one version of its data. What they measure of a table is computed in one pass."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from headwater.assets.checks.base import Check, Found, Unmeasurable, number
from headwater.assets.checks.context import CheckContext
from headwater.assets.events import CheckResult
from headwater.core.tracebacks import text_of
from headwater.errors import CheckFailed, HeadwaterError

_log = logging.getLogger("headwater.checks")


def audit(context: CheckContext, checks: Sequence[Check]) -> tuple[CheckResult, ...]:
    """What each check says of the data, in their order. Raises nothing that a check raises: that is a failure of it."""
    measured = _measured(context, checks) if checks else {}
    return tuple(_result(check, measured[check], context) for check in checks)


def tell(context: CheckContext, results: Iterable[CheckResult]) -> None:
    """Log the failures that keep nothing from being published, each as loud as its severity."""
    for result in results:
        if not result.passed and not result.blocking:
            level = logging.ERROR if result.severity == "error" else logging.WARNING
            _log.log(level, "the check '%s' failed on %s%s", result.name, _subject(context), _message(result))


def refuse(context: CheckContext, results: Iterable[CheckResult]) -> None:
    """Raise CheckFailed when one that blocks has failed, naming it, the asset and its partition."""
    failed = [result for result in results if result.blocking and not result.passed]
    if failed:
        others = f" (and {len(failed) - 1} more: {', '.join(one.name for one in failed[1:])})" if failed[1:] else ""
        error = CheckFailed(
            f"the check '{failed[0].name}' failed on {_subject(context)}{_message(failed[0])}{others}",
            where=context.asset.at,
            hint="the old data stays in place; mend the data or the check and run again",
        )
        error.check, error.asset, error.partition = failed[0].name, context.asset.name, context.key
        raise error


def _subject(context: CheckContext) -> str:
    return context.asset.name + (f"@{context.key}" if context.key else "")


def _message(result: CheckResult) -> str:
    return f": {result.message}" if result.message else ""


def _result(check: Check, found: Found | Exception, context: CheckContext) -> CheckResult:
    metrics: dict[str, float | None] = {}
    try:
        if isinstance(found, Exception):
            raise found
        result = check.judge(found, context)
        metrics = {str(name): number(value) for name, value in result.metrics.items()}
    except (AssertionError, Unmeasurable) as error:
        result = CheckResult(passed=False, message=str(error) or "assertion failed")
    except HeadwaterError as error:
        result = CheckResult(passed=False, message=error.message)
    except Exception as error:  # noqa: BLE001 - user code may raise anything, and none of it may publish bad data
        result = CheckResult(passed=False, message=_raised(error))
    return replace(
        result,
        name=check.name,
        passed=bool(result.passed),
        blocking=check.blocking,
        severity=check.severity,
        description=check.description,
        partition=context.key,
        kind=check.kind,
        columns=check.columns,
        metrics=metrics,
    )


def _raised(error: Exception) -> str:
    said = text_of(error)
    return f"the check raised {type(error).__name__}: {_first(said) if _is_of_polars(error) else said}"


def _is_of_polars(error: Exception) -> bool:
    return type(error).__module__.startswith("polars")


def _first(said: str) -> str:
    """What Polars says, without the plan of the whole query that it goes on with."""
    return said.partition("\n\n")[0]


def _unfit(check: Check, schema: Mapping[str, Any], error: Exception) -> Exception:
    """Why a check can't be asked of columns of these types."""
    if isinstance(error, (Unmeasurable, HeadwaterError)) or not check.columns:
        return error
    types = ", ".join(f"the column {name!r} is of type {schema[name]}" for name in check.columns if name in schema)
    return Unmeasurable(f"{types}: {_first(text_of(error))}")


def _measured(context: CheckContext, checks: Sequence[Check]) -> dict[Check, Found | Exception]:
    """What each check measures, or why that can't be done: one pass over the data for all of them."""
    found: dict[Check, Found | Exception] = dict.fromkeys(checks, _NOTHING)
    asking = [check for check in checks if type(check).measures is not Check.measures]
    if not asking:
        return found
    try:
        frame = context.runtime.convert(context.data(), "lazy")
    except HeadwaterError as error:
        return found | dict.fromkeys(asking, error)
    plans: dict[Check, Mapping[str, Any]] = {}
    schema = frame.collect_schema()
    for check in asking:
        try:
            plans[check] = check.measures(schema)
            # Types that don't fit are found here, without reading any rows.
            frame.select(**plans[check]).collect_schema()
        except Exception as error:  # noqa: BLE001 - what can't be measured is a failure of this check alone
            plans.pop(check, None)
            found[check] = _unfit(check, schema, error)
    return found | _computed(frame, schema, plans)


_NOTHING: Found = {}


def _computed(
    frame: Any, schema: Mapping[str, Any], plans: Mapping[Check, Mapping[str, Any]]
) -> dict[Check, Found | Exception]:
    wanted = {
        f"{place} {name}": expression for place, plan in enumerate(plans.values()) for name, expression in plan.items()
    }
    try:
        row = frame.select(**wanted).collect().row(0, named=True) if wanted else {}
    except Exception as error:  # noqa: BLE001 - some engine errors are only met with rows at hand
        if len(plans) == 1:
            return {check: _unfit(check, schema, error) for check in plans}
        # One of them spoils the pass for all: each by itself, then.
        alone = [_computed(frame, schema, {check: plan}) for check, plan in plans.items()]
        return {check: found for part in alone for check, found in part.items()}
    return {check: {name: row[f"{place} {name}"] for name in plan} for place, (check, plan) in enumerate(plans.items())}
