"""Every error that Headwater raises on purpose.

    HeadwaterError
    ├── UsageError                 the command or the call is wrong            exit code 2
    │   ├── SettingsError
    │   ├── DefinitionError        an asset, task or flow is defined wrongly
    │   ├── ParameterError         an argument of a flow does not fit its parameter
    │   ├── UnknownNameError       no such asset, flow, run, partition …
    │   └── PartitionError         a partition key or range that does not fit
    ├── RefusedError               a check, a policy or a verdict said no      exit code 3
    │   ├── CheckFailed
    │   ├── RunSkipped
    │   └── InputMissing
    ├── MaterializationError       data could not be staged, published, loaded exit code 1
    │   ├── LocationError
    │   ├── PartitionsFailed
    │   └── ReturnTypeError
    ├── JournalError               the journal or its home is not usable       exit code 1
    │   ├── HomeError
    │   └── FormatError
    ├── ProjectionError            the projection can't be built or read       exit code 1
    ├── ExportError                events can't be delivered to a destination  exit code 1
    ├── ResultError                a result can't be kept or restored          exit code 1
    ├── TimeLimitExceeded          a try of a task or a flow took too long     exit code 1
    ├── LockTimeout                somebody else holds what is needed          exit code 1
    ├── TransactionError           not everything could be published at the commit  exit code 1
    └── WorkerDied                 a worker process died in the middle of it   exit code 1

    Cancelled (BaseException)      the run was asked to stop: user code should let it pass
    RunRefused (BaseException)     a script that is only loaded for its definitions tried to start a run

An error says what is wrong (its message), where (`where`) and what to do (`hint`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

_SHOWN = 80
"""So many characters of an unknown name are shown."""


class HeadwaterError(Exception):
    """Something went wrong.

    >>> print(HeadwaterError("the lake is dry", where="parquet://lake/x", hint="wait for rain"))
    the lake is dry
      where: parquet://lake/x
      hint: wait for rain
    """

    kind = "error"
    exit_code = 1

    def __init__(
        self, message: str | None = None, *, where: str | None = None, hint: str | Callable[[], str] | None = None
    ) -> None:
        super().__init__(message or (type(self).__doc__ or "").splitlines()[0])
        self.message: str = str(self.args[0])
        self.where = where
        self._hint = hint

    @property
    def hint(self) -> str | None:
        """What to do. One that takes long to find is looked for when somebody asks: many errors are caught and never shown."""
        if callable(self._hint):
            self._hint = self._hint()
        return self._hint

    @hint.setter
    def hint(self, hint: str | None) -> None:
        self._hint = hint

    def __reduce__(self) -> tuple[Any, ...]:
        return _revive, (type(self), self.args, {**self.__dict__, "_hint": self.hint})

    def __str__(self) -> str:
        parts = [self.message]
        if self.where:
            parts.append(f"  where: {self.where}")
        if self.hint:
            parts.append(f"  hint: {self.hint}")
        return "\n".join(parts)

    def to_json(self) -> dict[str, Any]:
        """The shape of an error with `--json`: kind, message, and where and hint when they are known."""
        found = {"kind": self.kind, "message": self.message, "where": self.where, "hint": self.hint}
        return {"error": {key: value for key, value in found.items() if value is not None}}


def _revive(cls: type[HeadwaterError], args: tuple[Any, ...], state: dict[str, Any]) -> HeadwaterError:
    # Errors cross process boundaries: unpickling must not depend on the signature of a subclass.
    error = cls.__new__(cls)
    error.args = args
    error.__dict__.update(state)
    return error


class UsageError(HeadwaterError):
    """The call is wrong."""

    kind = "usage"
    exit_code = 2


class SettingsError(UsageError):
    """A setting is wrong."""

    kind = "settings"


class DefinitionError(UsageError):
    """A definition is wrong."""

    kind = "definition"


class ParameterError(UsageError):
    """An argument does not fit its parameter."""

    kind = "parameter"


class UnknownNameError(UsageError):
    """There is nothing of that name."""

    kind = "unknown_name"

    @classmethod
    def of(
        cls, what: str, name: str, known: Iterable[str], *, where: str | None = None, none: str | None = None
    ) -> UnknownNameError:
        """The error for an unknown name, with the nearest known names as the hint; `none` is the hint where there are none.

        >>> print(UnknownNameError.of("asset", "dealys", ["delays", "flights"]))
        there is no asset 'dealys'
          hint: did you mean 'delays'?
        """
        import difflib

        known = sorted(known)
        near = difflib.get_close_matches(name[: 4 * _SHOWN], known, n=3, cutoff=0.5)
        if near:
            hint = "did you mean " + " or ".join(f"'{found}'" for found in near) + "?"
        elif known:
            hint = f"known: {', '.join(known[:10])}" + (f" and {len(known) - 10} more" if len(known) > 10 else "")
        else:
            hint = none or f"no {what} is known yet"
        shown = name if len(name) <= _SHOWN else f"{name[:_SHOWN]}…"
        return cls(f"there is no {what} '{shown}'", where=where, hint=hint)


class PartitionError(UsageError):
    """A partition does not fit the definition."""

    kind = "partition"


class RefusedError(HeadwaterError):
    """The step was refused."""

    kind = "refused"
    exit_code = 3


class CheckFailed(RefusedError):
    """A blocking check failed: the old data stays in place. `check`, `asset` and `partition` say which it was, and on what."""

    kind = "check_failed"
    check: str = ""
    asset: str = ""
    partition: str | None = None


class RunSkipped(RefusedError):
    """As many runs of a flow as may be at once were there already. `of` is the id of the run that was skipped."""

    kind = "skipped"
    of: str = ""


class InputMissing(RefusedError):
    """An input that is needed was never made."""

    kind = "input_missing"


class MaterializationError(HeadwaterError):
    """Data could not be written or read."""

    kind = "materialization"


class PartitionsFailed(MaterializationError):
    """Some partitions of a call for several were not made: `errors` says why, by key. The others are published."""

    kind = "partitions"

    def __init__(
        self,
        message: str | None = None,
        *,
        errors: Mapping[str | None, HeadwaterError] | None = None,
        where: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, where=where, hint=hint)
        self.errors: Mapping[str | None, HeadwaterError] = dict(errors or {})


class LocationError(MaterializationError):
    """A location can't be read or written."""

    kind = "location"


class ReturnTypeError(MaterializationError):
    """A function returned what its asset can't store, or a coroutine that nobody has awaited."""

    kind = "return_type"


class JournalError(HeadwaterError):
    """The journal can't be used."""

    kind = "journal"


class HomeError(JournalError):
    """The home can't be used."""

    kind = "home"


class FormatError(JournalError):
    """The home was written by a version of Headwater that this one does not know."""

    kind = "format"


class ProjectionError(HeadwaterError):
    """The projection can't be built or read."""

    kind = "projection"


class ExportError(HeadwaterError):
    """Events can't be delivered to a destination."""

    kind = "export"


class ResultError(HeadwaterError):
    """A result can't be kept or restored."""

    kind = "result"


class TimeLimitExceeded(HeadwaterError, TimeoutError):
    """A task or a flow took longer than its timeout. `of` is the id of the task run, or of the run, that it stopped."""

    kind = "timeout"
    of: str = ""


class LockTimeout(HeadwaterError):
    """Somebody else holds the lock."""

    kind = "lock_timeout"


class WorkerDied(HeadwaterError):
    """The worker process of a task died. `of` is the id of the task run that it was at."""

    kind = "worker_died"
    of: str = ""


class TransactionError(HeadwaterError):
    """A transaction could not be committed: some of what it made may be published, and stays; the rest is not."""

    kind = "transaction"


class Cancelled(BaseException):
    """The run was asked to stop; not an Exception, so that `except Exception` lets it pass.

    >>> issubclass(Cancelled, Exception)
    False
    """


class RunRefused(BaseException):
    """A run was about to start while code is only loaded for its definitions.

    >>> issubclass(RunRefused, Exception)
    False
    """
