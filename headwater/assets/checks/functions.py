"""`check`: a function that looks at the data of an asset before it is published."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from headwater.assets import registry
from headwater.assets.asset import Asset
from headwater.assets.checks.base import Check, Found, Severity
from headwater.assets.events import CheckResult
from headwater.assets.forms import form_of
from headwater.errors import DefinitionError
from headwater.records import dataclass

if TYPE_CHECKING:
    from headwater.assets.checks.context import CheckContext
    from headwater.assets.protocols import Form

F = TypeVar("F", bound=Callable[..., Any])

_KNOWN = ("partition", "context")
_FORMS: dict[str, Form] = {"LazyFrame": "lazy", "Table": "arrow", "DuckDBPyRelation": "relation"}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FunctionCheck(Check):
    """A check that is a function of the user's."""

    kind: ClassVar[str] = "function"

    fn: Callable[..., Any]
    form: Form
    wants: tuple[str, ...] = ()
    """Which of the known parameters it has, beside the data."""

    def judge(self, found: Found, context: CheckContext) -> CheckResult:
        """What the function says: True passes, False fails, `(bool, message)` says why, a CheckResult says it all.

        An AssertionError fails with its message, and so does any other error: a check that can't run has not passed.
        """
        given = {"partition": context.partition, "context": context}
        answer = self.fn(context.data_as(self.form), **{name: given[name] for name in self.wants})
        if isinstance(answer, CheckResult):
            return answer
        passed, message = answer if isinstance(answer, tuple) and len(answer) == 2 else (answer, None)
        if passed is not None and not _is_bool(passed):
            message = f"the check returned {type(passed).__name__}, expected True or False"
            return CheckResult(passed=False, message=message)
        return CheckResult(passed=passed is None or bool(passed), message=None if message is None else str(message))


def _is_bool(value: object) -> bool:
    # What pandas and numpy answer; its class has another name since numpy 2.
    kind = type(value)
    return kind is bool or (kind.__module__ == "numpy" and kind.__name__ in ("bool", "bool_"))


def check(
    asset: Asset,
    *,
    blocking: bool = False,
    severity: Severity | None = None,
    name: str | None = None,
    description: str | None = None,
) -> Callable[[F], F]:
    """Declare a function as a check on an asset: it gets what was staged, before it is published.

    It receives the data as a polars.DataFrame, or in the form that its parameter is annotated with (LazyFrame, pandas,
    Arrow, a DuckDB relation); a parameter `partition` receives the partition, `context` all that is known around it
    (`CheckContext`). It answers True, False, `(bool, message)` or a `CheckResult` with figures, and may use `assert`.
    When a `blocking` check fails, the old data stays in place and the materialization ends as refused. `severity` is
    "error" for a check that blocks, else "warn". Raises DefinitionError for a coroutine and unknown parameters.

    >>> from headwater import Asset, check
    >>> orders = Asset("checked_orders", at="memory://checked_orders")
    >>> @check(orders, blocking=True)
    ... def some_orders(df) -> bool:
    ...     return df.height > 0
    """
    if not isinstance(asset, Asset):
        raise DefinitionError(f"@check needs the asset that it is for, got {asset!r}", hint="write @check(orders)")

    def decorate(fn: F) -> F:
        form, wants = _parameters(fn)
        text = description or (inspect.getdoc(fn) or "").partition("\n")[0] or None
        one = FunctionCheck(
            name=name or fn.__name__,
            blocking=blocking,
            severity=severity,
            description=text,
            fn=fn,
            form=form,
            wants=wants,
        )
        registry.current().add_check(asset, one)
        return fn

    return decorate


def _parameters(fn: Callable[..., Any]) -> tuple[Form, tuple[str, ...]]:
    if inspect.iscoroutinefunction(fn) or inspect.isgeneratorfunction(fn) or inspect.isasyncgenfunction(fn):
        raise DefinitionError(
            f"the check {fn.__name__} must be a plain function that answers at once",
            where=fn.__module__,
            hint="write `def` without async and yield; what must be awaited belongs into a task before the asset's",
        )
    parameters = list(inspect.signature(fn).parameters.values())
    if not parameters or parameters[0].name in _KNOWN or parameters[0].kind is inspect.Parameter.KEYWORD_ONLY:
        raise DefinitionError(
            f"the check {fn.__name__} must take the data as its first argument",
            where=fn.__module__,
            hint=f"write def {fn.__name__}(df): …",
        )
    others = [one for one in parameters[1:] if one.default is inspect.Parameter.empty or one.name in _KNOWN]
    unknown = [one.name for one in others if one.name not in _KNOWN]
    if unknown:
        raise DefinitionError(
            f"the check {fn.__name__} has a parameter '{unknown[0]}' that nothing fills",
            where=fn.__module__,
            hint="beside the data, a check may take 'partition' and 'context'",
        )
    return _form(parameters[0].annotation), tuple(one.name for one in others)


def _form(hint: Any) -> Form:
    if not isinstance(hint, str):
        found = form_of(typing.get_origin(hint) or hint)
        return "eager" if found in (None, "asset", "sql", "path") else found
    # A name that only a type checker sees is fine: it says what is wanted all the same.
    package, _, name = hint.rpartition(".")
    if name == "DataFrame" and package in ("pd", "pandas"):
        return "pandas"
    return "any" if name in ("Any", "object") else _FORMS.get(name, "eager")
