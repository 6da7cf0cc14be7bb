"""What a call within a flow notes for later attempts of its run: who it is, and what it returned.

Both stand in the journal with the task run's end (see `resuming`). What is small and plain is kept by itself; what is large
costs time and disk, and is kept for a task that asks for it with `persist_result=True`.
"""

from __future__ import annotations

from binascii import b2a_base64
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from headwater.core import results
from headwater.core.encodings import Encoded, Refused, encode
from headwater.core.events import ReusedCall
from headwater.core.identity import Unidentified, identify, identify_plain, inner_scope
from headwater.core.kept_parameters import kept_parameters
from headwater.core.parameters import is_secret
from headwater.core.results import INLINE, KeptResult
from headwater.errors import ResultError

if TYPE_CHECKING:
    from headwater.core.context import Run, TaskCall
    from headwater.core.flow import Flow
    from headwater.core.resuming import EarlierCall
    from headwater.core.task import Task


_ATOMS = frozenset({type(None), bool, int, float, str, bytes})
"""Types of values that are never the data of an asset."""


class CallRecord:
    """What a call within a resumable run notes for later attempts; stands in the journal with its end."""

    __slots__ = ("code", "earlier", "held", "identity", "result", "sources", "unkept")

    def __init__(self, identity: str | None, unkept: str | None, code: str | None) -> None:
        self.identity, self.unkept, self.code = identity, unkept, code
        self.result: KeptResult | Mapping[str, Any] | None = None
        """A small one as the plain members of a `KeptResult`: they are made for each task, and a class takes thrice the time."""
        self.sources: tuple[dict[str, Any], ...] | None = None
        """The asset versions whose data it is known to be."""
        self.held = False
        """Whether its result counts only when its transaction commits: until then it may be taken back."""
        self.earlier: EarlierCall | None = None
        """The earlier task run whose result it ended with."""

    def members(self) -> dict[str, Any]:
        """What the end of the task run says of it."""
        if self.held:
            return {"identity": self.identity, "unkept": "its transaction did not commit", "code": self.code}
        found: dict[str, Any] = {
            "identity": self.identity,
            "result": self.result,
            "unkept": self.unkept,
            "code": self.code,
        }
        if self.sources is not None:
            found["sources"] = self.sources
        if self.earlier is not None:
            found["reused"] = ReusedCall(attempt=self.earlier.attempt, task_run_id=self.earlier.task_run_id)
        return found


def note_call(task: Task[..., Any], call: TaskCall) -> None:
    """Note who a call is, before its function can change its arguments."""
    context = call.context
    scope, name = context.scope, task.name
    found = identify_plain(scope, name, call.args, call.kwargs)
    if found is None:
        known = getattr(context.run.root.runtime, "known_as", None)
        told = identify(
            scope,
            name,
            call.args,
            call.kwargs,
            known and partial(known, context),
            whole=bool(task.options.persist_result),
        )
        if isinstance(told, Unidentified):
            call.record = CallRecord(None, told.reason, task.compiled)
            context.scope = inner_scope(scope, name, None)
            return
        found = told
    call.record, context.scope = CallRecord(found, None, task.compiled), found


def keep_result(task: Task[..., Any], call: TaskCall, value: Any) -> None:
    """Encode and keep a result, or note why that can't be. Never raises."""
    record = call.record
    if record is None or record.unkept is not None or record.result is not None:
        return
    if task.options.persist_result is False or task.generates:
        record.unkept = _why_not(task)
        return
    if type(value) in _ATOMS:
        found = encode(value, limit=INLINE)
        if not isinstance(found, Refused):
            record.result = _small(found)
            return
    record.result = encoded_result(task, call, value)
    if record.result is not None and task.options.persist_result is None and is_secret("", value, most=INLINE):
        record.result = None
        record.unkept = "it holds something that is secret by its name, and persist_result is not True"
    if record.result is not None:
        # A runtime that knows of no assets has nobody to ask.
        sources_of = getattr(call.context.run.root.runtime, "sources_of", None)
        record.sources = None if sources_of is None else tuple(sources_of(call.context, value)) or None


def encoded_result(
    task: Task[..., Any], call: TaskCall, value: Any, *, name: str | None = None
) -> KeptResult | Mapping[str, Any] | None:
    """A result as it is kept, a small one as plain members; None when that can't be, which its record then says."""
    options, record = task.options, call.record
    assert record is not None
    whole = options.persist_result is True
    found = encode(value, limit=None if whole else INLINE, pickle=options.result == "pickle", hint=task.returns)
    if isinstance(found, Refused):
        record.unkept = found.reason
        return None
    if len(found.data) <= INLINE:
        return _small(found)
    try:
        return results.keep(call.context.run.root.runtime.results, name or f"run-{call.task_run_id}", found)
    except ResultError as error:
        record.unkept = str(error)
        return None


def _small(found: Encoded) -> dict[str, Any]:
    data = found.data
    return {"encoding": found.encoding, "data": b2a_base64(data, newline=False).decode("ascii"), "size": len(data)}


def restore_result(task: Task[..., Any], call: TaskCall, kept: KeptResult) -> Any:
    """The value of a kept result. Raises ResultError."""
    store = call.context.run.root.runtime.results
    return results.restore(store, kept, pickle=task.options.result == "pickle", hint=task.returns)


def _why_not(task: Task[..., Any]) -> str:
    return "its items are handed out as they come" if task.generates else "its task has persist_result=False"


def note_run(
    flow: Flow[..., Any], run: Run, args: tuple[Any, ...], kwargs: Mapping[str, Any], parameters: Mapping[str, Any]
) -> dict[str, Any]:
    """What the start of a flow's run says, beside its parameters, for a resumed attempt to call the flow as it was called.

    Calls within a subflow are told apart by the subflow's own call; it is called again with whatever the flow around it has.
    """
    if run.parent is None:
        return kept_parameters(flow, parameters)
    scope = run.parent.scope
    found = identify_plain(scope, flow.name, args, kwargs) or identify(scope, flow.name, args, kwargs)
    run.scope = inner_scope(scope, flow.name, found)
    return {}
