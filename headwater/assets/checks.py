"""Checks: functions that look at the staged data of an asset before it is published."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from headwater.assets import registry
from headwater.assets.asset import Asset
from headwater.assets.events import CheckResult
from headwater.errors import DefinitionError

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Check:
    """A check: its function, whether a failure keeps the data from being published, and whether it wants a lazy frame."""

    name: str
    fn: Callable[..., Any]
    blocking: bool
    lazy: bool

    def run(self, frame: Any) -> CheckResult:
        """The result of the check on staged data (a polars.LazyFrame, or a value that is no frame).

        True passes, False fails, `(bool, message)` says why; an AssertionError fails with its message, and so does any
        other error: a check that can't run has not passed.
        """
        try:
            answer = self.fn(frame if self.lazy or not hasattr(frame, "collect") else frame.collect())
        except AssertionError as error:
            return self._result(False, str(error) or "assertion failed")
        except Exception as error:  # noqa: BLE001 - user code may raise anything, and none of it may publish bad data
            return self._result(False, f"the check raised {type(error).__name__}: {error}")
        passed, message = answer if isinstance(answer, tuple) else (answer, None)
        if passed is not None and not isinstance(passed, bool) and type(passed).__name__ != "bool_":
            return self._result(False, f"the check returned {type(passed).__name__}, expected True or False")
        return self._result(passed is None or bool(passed), message)

    def _result(self, passed: bool, message: str | None) -> CheckResult:
        return CheckResult(name=self.name, passed=passed, blocking=self.blocking, message=message)


def check(asset: Asset, *, blocking: bool = False, name: str | None = None) -> Callable[[F], F]:
    """Declare a function as a check on an asset: it gets what was staged, before it is published.

    It receives a polars.DataFrame, or a LazyFrame when its parameter is annotated so, and answers True, False, or
    `(bool, message)`; it may also use `assert`. When a `blocking` check fails, the old data stays in place and the
    materialization ends as refused.

    >>> from headwater import Asset, check
    >>> orders = Asset("checked_orders", at="memory://checked_orders")
    >>> @check(orders, blocking=True)
    ... def some_orders(df) -> bool:
    ...     return df.height > 0
    """
    if not isinstance(asset, Asset):
        raise DefinitionError(f"@check needs the asset that it is for, got {asset!r}", hint="write @check(orders)")

    def decorate(fn: F) -> F:
        registry.current().add_check(asset, Check(name or fn.__name__, fn, blocking, _wants_lazy(fn)))
        return fn

    return decorate


def _wants_lazy(fn: Callable[..., Any]) -> bool:
    parameters = list(inspect.signature(fn).parameters.values())
    if len(parameters) != 1:
        raise DefinitionError(f"the check {fn.__name__} must take one argument, the staged data", where=fn.__module__)
    hint = parameters[0].annotation
    text = hint if isinstance(hint, str) else getattr(typing.get_origin(hint) or hint, "__name__", "")
    return text.rsplit(".", 1)[-1] == "LazyFrame"
