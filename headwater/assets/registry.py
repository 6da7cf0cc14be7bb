"""What is defined in this process: assets by name, what produces each, and the checks on them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import field
from types import FunctionType
from typing import TYPE_CHECKING, Any

from headwater.errors import DefinitionError
from headwater.records import dataclass

if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec

    from headwater.assets.asset import Asset
    from headwater.assets.checks.base import Check
    from headwater.assets.freshness_changes import FreshnessChange
    from headwater.assets.materialize import Materialization


@dataclass(frozen=True, slots=True, kw_only=True)
class _Module:
    """A module as it was when something was defined in it."""

    name: str
    spec: ModuleSpec | None
    """What it was loaded by: another one each time that it is loaded (`importlib.reload`, autoreload in a notebook)."""

    @classmethod
    def of(cls, name: str) -> _Module:
        return cls(name=name, spec=getattr(sys.modules.get(name), "__spec__", None))

    def replaceable(self, by: _Module) -> bool:
        """Whether a definition gives way to another: in a notebook's cell run again, a script, a module that is loaded again."""
        if "__main__" in (self.name, by.name):
            return True
        if self.name != by.name or self.spec is None or by.spec is None:
            return False
        return self.spec is not by.spec and self.spec.origin == by.spec.origin


@dataclass(slots=True)
class Registry:
    """The definitions of a process. A second definition of a name is an error, unless it replaces one in the same place."""

    assets: dict[str, Asset] = field(default_factory=dict)
    producers: dict[str, Materialization[Any, Any]] = field(default_factory=dict)
    checks: dict[str, dict[str, Check]] = field(default_factory=dict)
    observers: dict[str, Any] = field(default_factory=dict)
    freshness_hooks: dict[str | None, list[Callable[[FreshnessChange], Any]]] = field(default_factory=dict)
    """By the name of the asset that they are for; None is all."""
    _heard: dict[FunctionType, _Module] = field(default_factory=dict)
    """Where each of these hooks is defined."""
    made_elsewhere: set[str] = field(default_factory=set)
    _modules: dict[str, _Module] = field(default_factory=dict)
    """Where each asset is defined."""
    _makers: dict[str, _Module] = field(default_factory=dict)
    """Where the function is defined that makes it."""
    changes: int = 0
    """How often something was added: the same number says that all of it is as it was."""
    _places: dict[str, str] = field(default_factory=dict)
    """Which asset is at a place, by the text of its URI."""

    def add_asset(self, asset: Asset, *, module: str) -> None:
        """Register an asset under its name and its place."""
        known, here = self.assets.get(asset.name), _Module.of(module)
        if known is not None and not self._modules[asset.name].replaceable(here) and known.at != asset.at:
            raise DefinitionError(
                f"there are two assets named '{asset.name}': at {known.at} and at {asset.at}",
                where=f"{self._modules[asset.name].name} and {module}",
                hint="give one of them another name, or import the one that exists",
            )
        other = self._places.get(asset.at, asset.name)
        if other != asset.name:
            raise DefinitionError(
                f"the assets '{other}' and '{asset.name}' are at the same place, {asset.at}",
                where=f"{self._modules[other].name} and {module}",
                hint="one place holds one asset: remove one of the two, or move it",
            )
        if known is not None:
            del self._places[known.at]
        self.changes += 1
        self.assets[asset.name] = asset
        self._places[asset.at] = asset.name
        self._modules[asset.name] = here

    def add_producer(self, asset: Asset, producer: Materialization[Any, Any]) -> None:
        """Register what makes an asset. Raises DefinitionError for a second producer."""
        known, module = self.producers.get(asset.name), _Module.of(producer.fn.__module__)
        anew = known is None or "<locals>" in producer.fn.__qualname__ or self._makers[asset.name].replaceable(module)
        if known is not None and not anew:
            raise DefinitionError(
                f"the asset '{asset.name}' has two producers: {known.fn.__qualname__} and {producer.fn.__qualname__}",
                where=f"{known.fn.__module__} and {module.name}",
                hint="an asset is made by one function; let the other one make an asset of its own",
            )
        self.changes += 1
        self.producers[asset.name], self._makers[asset.name] = producer, module

    def add_check(self, asset: Asset, check: Check) -> None:
        """Register a check that is a function; one of the same name on the same asset is replaced.

        Raises DefinitionError when the asset declares another one of that name.
        """
        if any(one.name == check.name for one in asset.checks):
            hint = 'give one of them another name: name="…"'
            raise DefinitionError(f"the asset '{asset.name}' has two checks named {check.name!r}", hint=hint)
        self.changes += 1
        self.checks.setdefault(asset.name, {})[check.name] = check

    def add_hook(self, name: str | None, fn: Callable[[FreshnessChange], Any]) -> None:
        """Register what hears of the verdicts of an asset, or of all. A function that is defined anew takes its own place."""
        hooks = self.freshness_hooks.setdefault(name, [])
        if isinstance(fn, FunctionType):
            here = _Module.of(fn.__module__)
            hooks[:] = [one for one in hooks if not (one in self._heard and _again(one, self._heard[one], fn, here))]
            self._heard[fn] = here
        hooks.append(fn)

    def take_over(self, asset: Asset, checks: Mapping[str, Check], *, is_made: bool) -> None:
        """Know of an asset that another process has defined; it stands for whatever was known by its name or at its place."""
        self.changes += 1
        self.assets[asset.name] = asset
        self._places[asset.at] = asset.name
        self._modules[asset.name] = _Module.of("__main__")
        if checks:
            self.checks[asset.name] = dict(checks)
        if is_made:
            self.made_elsewhere.add(asset.name)

    def is_made(self, name: str) -> bool:
        """Whether something that is loaded, here or in the process that sent it here, makes an asset."""
        return name in self.producers or name in self.made_elsewhere

    def update(self, other: Registry) -> None:
        """Take over everything that is defined in another registry."""
        self.changes += 1
        self.assets.update(other.assets)
        self.producers.update(other.producers)
        self.checks.update({name: dict(checks) for name, checks in other.checks.items()})
        self.observers.update(other.observers)
        for name, hooks in other.freshness_hooks.items():
            self.freshness_hooks.setdefault(name, []).extend(hooks)
        self._heard.update(other._heard)
        self._modules.update(other._modules)
        self._makers.update(other._makers)
        self._places.update(other._places)

    def checks_of(self, name: str) -> tuple[Check, ...]:
        """The checks on an asset: those that it declares, then functions, in the order in which they were defined."""
        asset, found = self.assets.get(name), self.checks.get(name)
        declared: tuple[Check, ...] = tuple(asset.checks) if asset is not None else ()
        return (*declared, *found.values()) if found else declared


def _again(known: Any, there: _Module, fn: FunctionType, here: _Module) -> bool:
    """Whether a function is another one defined anew: in a notebook's cell that is run again, in a module that is loaded again."""
    name = fn.__qualname__
    if "<locals>" in name or "<lambda>" in name:
        return False  # nobody can tell whether these are the same
    if (known.__module__, known.__qualname__) != (fn.__module__, name) or not there.replaceable(here):
        return False
    # One file may define several of a name (`def _`), one below the other.
    before, now = known.__code__, fn.__code__
    instead = before.co_filename != now.co_filename or before.co_firstlineno == now.co_firstlineno
    return instead or there.spec is not here.spec


_current = Registry()


def current() -> Registry:
    """The registry that definitions go to."""
    return _current


@contextmanager
def scope() -> Iterator[Registry]:
    """A registry of its own for a while: what is defined inside is forgotten after (tests).

    >>> with scope() as definitions:
    ...     definitions.assets
    {}
    """
    global _current
    before, _current = _current, Registry()
    try:
        yield _current
    finally:
        _current = before
