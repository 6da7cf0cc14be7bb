"""The layers above core that have something to say of what goes to another process: each registers a module by its name."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, cast

if TYPE_CHECKING:
    from headwater.core.context import RunContext
    from headwater.core.definition import Definition
    from headwater.core.journal.events import Body, Event
    from headwater.core.task import Task

Reducer = Callable[[Any], "tuple[Any, ...]"]


class Layer(Protocol):
    """What a layer above core has to say of what travels: a module that registers itself by its name."""

    REDUCERS: Mapping[type, Reducer]
    """How values of these very types are pickled."""

    def leaving(self, context: RunContext, values: Any, *, back: bool) -> Any:
        """What is known of values that leave, to go with them; what it names of them arrives as the very same objects."""
        ...

    def arrived(self, context: RunContext, note: Any, *, back: bool) -> None:
        """What `leaving` said on the other side."""
        ...

    def definitions(self, found: Sequence[Definition[..., Any]]) -> Any:
        """What belongs to these tasks and flows, which leave."""
        ...

    def defined(self, note: Any) -> None:
        """What `definitions` said on the other side."""
        ...

    def stays(self, task: Task[..., Any]) -> bool:
        """Whether a task can run in this process only."""
        ...

    def news(self, bodies: tuple[Body, ...]) -> tuple[Body, ...]:
        """The events of a worker without those that this process has written already."""
        ...

    def settle(self, events: Sequence[Event]) -> Iterable[Body]:
        """The outcomes of what a worker had begun when it died."""
        ...


_names: list[str] = []


def register(module: str) -> None:
    """Name the module that speaks for a layer; it is imported when something travels."""
    if module not in _names:
        _names.append(module)


def known() -> dict[str, Layer]:
    """The layers that have registered, by the names of their modules."""
    return {name: layer(name) for name in _names}


def layer(name: str) -> Layer:
    """The layer of a module's name."""
    return cast("Layer", importlib.import_module(name))
