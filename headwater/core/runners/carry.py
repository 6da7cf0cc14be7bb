"""What goes to another process and back: values and definitions as bytes, and what the layers above know of them.

Only our own processes read these bytes. A definition goes by its name where the other side can import it, else by value.
"""

from __future__ import annotations

import importlib
import io
import pickle
import sys
from collections.abc import Mapping
from functools import cache
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

from headwater.core import runtime
from headwater.core.definition import Definition
from headwater.core.runners import failures, layers
from headwater.core.tracebacks import summary
from headwater.errors import HeadwaterError, UsageError

if TYPE_CHECKING:
    from headwater.core.context import RunContext
    from headwater.core.task import Task


class Parcel(NamedTuple):
    """Values on their way, with what is known of them, and what belongs to the definitions among them."""

    values: bytes
    definitions: bytes


def pack(context: RunContext, values: Any, *, back: bool = False) -> Parcel:
    """Values as bytes. Raises whatever pickling them raises."""
    known = layers.known()
    notes = {name: one.leaving(context, values, back=back) for name, one in known.items()}
    data, found = dumps((values, notes))
    return Parcel(data, dumps({name: one.definitions(found) for name, one in known.items()})[0] if found else b"")


def unpack(context: RunContext, parcel: Parcel, *, back: bool = False) -> Any:
    """The values again, known as what they were. Raises whatever unpickling them raises."""
    values, notes = pickle.loads(parcel.values)  # noqa: S301 - from our own process
    if parcel.definitions:
        for name, note in pickle.loads(parcel.definitions).items():  # noqa: S301 - from our own process
            layers.layer(name).defined(note)
    for name, note in notes.items():
        layers.layer(name).arrived(context, note, back=back)
    return values


def dumps(value: Any, *, bare_errors: bool = False) -> tuple[bytes, list[Definition[..., Any]]]:
    """A value as bytes, and the tasks and flows that it drags along; errors without their lines when they are `bare`."""
    stream = io.BytesIO()
    pickler = _pickler_class()(stream, bare_errors)
    pickler.dump(value)
    return stream.getvalue(), pickler.found


def failure_of(error: BaseException) -> failures.Failure:
    """An error to be sent."""
    return failures.failure_of(error, lambda value: dumps(value, bare_errors=True)[0])


def refused(task: Task[..., Any], arguments: Mapping[str, Any], error: BaseException) -> UsageError:
    """The error that names which argument of a call can't be sent, or says that the task itself can't."""
    for name, value in arguments.items():
        try:
            dumps(value)
        except Exception as found:  # noqa: BLE001 - a value's own pickling may raise anything
            return UsageError(
                f"the argument '{name}' of '{task.name}' can't be sent to another process: {_said(found)}",
                hint="pass what can be pickled, such as a path or a key, and open the rest in the task; or run it in threads",
            )
    return UsageError(
        f"the task '{task.name}' can't be sent to another process: {_said(error)}",
        hint="its function uses something that can't be pickled: make that in the function; or run it in threads",
    )


def _said(error: BaseException) -> str:
    return error.message if isinstance(error, HeadwaterError) else summary(error)


@cache
def _pickler_class() -> Any:
    import cloudpickle  # type: ignore[import-untyped]  # not before something is to travel

    class Pickler(cloudpickle.Pickler):  # type: ignore[misc]
        """cloudpickle's, for which definitions are more than their functions."""

        def __init__(self, stream: io.BytesIO, bare_errors: bool) -> None:
            super().__init__(stream, protocol=5)
            self._bare_errors = bare_errors
            self.found: list[Definition[..., Any]] = []
            self._reducers = {kind: reduce for one in layers.known().values() for kind, reduce in one.REDUCERS.items()}

        def reducer_override(self, value: Any) -> Any:
            """How one value is pickled."""
            if isinstance(value, Definition):
                self.found.append(value)
                return _reduced(value)
            if isinstance(value, BaseException) and not self._bare_errors:
                return failures.error_of, (failure_of(value),)
            reduce = self._reducers.get(type(value))
            if reduce is not None:
                return reduce(value)
            if type(value) is FunctionType or isinstance(value, type):
                module = sys.modules.get(value.__module__ or "")
                if module is not None and not is_importable(module.__name__):
                    cloudpickle.register_pickle_by_value(module)
            return super().reducer_override(value)

    return Pickler


def is_importable(name: str) -> bool:
    """Whether another process that has the same import path gets this module by its name."""
    module = sys.modules.get(name)
    return module is not None and name != "__main__" and _is_found(name, module)


@cache
def _is_found(name: str, module: ModuleType) -> bool:
    file = getattr(module, "__file__", None)
    if file is None:
        return module.__spec__ is not None
    parent = name.rpartition(".")[0]
    if parent and not is_importable(parent):
        return False
    if module.__spec__ is None:
        return False  # a script that was loaded for its definitions alone: importing it would run it
    path = getattr(sys.modules[parent], "__path__", ()) if parent else None
    finders = (getattr(finder, "find_spec", None) for finder in sys.meta_path)
    found = (find(name, path) for find in finders if find is not None)
    return any(spec is not None and spec.origin == file for spec in found)


_WORKED_OUT = frozenset({"_of_fn", "__wrapped__"})
_PREPARED = frozenset({"name", "is_async", "generates"})


def _reduced(definition: Definition[..., Any]) -> tuple[Any, ...]:
    # The state comes after the object, so that a task whose function calls the task itself can be pickled.
    state = {name: value for name, value in vars(definition).items() if name not in _WORKED_OUT}
    module, name = getattr(definition.fn, "__module__", ""), getattr(definition.fn, "__qualname__", "<locals>")
    named = _named(module, name) if "<locals>" not in name and is_importable(module) else None
    if named is not None and named.fn is definition.fn and type(named) is type(definition):
        known = vars(named)
        changes = {key: value for key, value in state.items() if value is not known.get(key, _reduced)}
        changes = {key: value for key, value in changes.items() if key not in _PREPARED}
        if not changes:
            return _named, (module, name)
        return _copy, (module, name), changes, None, None, _change
    return _empty, (type(definition),), (state, definition.source), None, None, _fill


def _named(module: str, name: str) -> Any:
    value: Any = importlib.import_module(module)
    for part in name.split("."):
        value = getattr(value, part, None)
    return value if isinstance(value, Definition) else None


def _copy(module: str, name: str) -> Any:
    return _named(module, name).replace()


def _change(definition: Any, changes: dict[str, Any]) -> None:
    vars(definition).update(changes)
    definition._prepare()


def _empty(kind: type[Definition[..., Any]]) -> Any:
    return object.__new__(kind)


def _fill(definition: Any, state: tuple[dict[str, Any], Any]) -> None:
    members, source = state
    # The source as it was found where the function was defined: here its text need not be at hand.
    own = {"_of_fn": {"source": (runtime.current().root, source)}, "__wrapped__": members["fn"]}
    vars(definition).update(members, **own)
