"""What tasks and flows have in common: a user's function, its options and its signature."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping
from functools import partial, update_wrapper
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any, ClassVar, Generic, ParamSpec, TypeVar

from headwater.core import runtime
from headwater.core.identity import code_of
from headwater.core.options import OptionValues, TaskOptions
from headwater.errors import DefinitionError

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Self, Unpack

    from headwater.types import SourceCode

P = ParamSpec("P")
R = TypeVar("R")


class Definition(Generic[P, R]):
    """A function and how it runs. Raises DefinitionError for what can't be one."""

    noun: ClassVar[str] = "task"
    options_type: ClassVar[type[TaskOptions]] = TaskOptions
    may_generate: ClassVar[bool] = True
    """Whether the function may be a generator."""

    def __init__(self, fn: Callable[P, R], options: TaskOptions | None = None) -> None:
        _check(fn, self.noun, self.may_generate)
        self.fn: Callable[P, R] = fn
        """The bare function."""
        self.options = options or self.options_type()
        self.instance: Any = None
        """The object that a method was taken from: its calls get it as their first argument."""
        self._of_fn: dict[str, Any] = {}
        """What was worked out from the function: shared with every copy that has the same one."""
        _wrap(self, fn)
        self._prepare()

    def _prepare(self) -> None:
        # What every call needs is worked out here, once.
        self.name: str = self.options.name or str(getattr(self.fn, "__name__", type(self.fn).__name__))
        self.generates: bool = _generates(self.fn)
        self.is_async: bool = _is_coroutine(self.fn) or (
            self.generates and inspect.isasyncgenfunction(_called(self.fn))
        )
        self.is_limited: bool = bool(self.options.limits or self.options.rate or self.options.tags)
        if self.options.hooks and not self.is_async:
            _check_hooks(self.fn, self.options.hooks)
        _check_deciding(self.options)
        if self.options.cache is not None:
            self._check_cache()

    def _check_cache(self) -> None:
        """Raise DefinitionError when what it gives can't be cached."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"

    def replace(self, **changes: Any) -> Self:
        """The same definition with some attributes changed; whatever a subclass keeps goes with it."""
        same = object.__new__(type(self))
        same.__dict__.update(self.__dict__)
        same.__dict__.update(changes)
        if "fn" in changes:
            same._of_fn = {}
        same._prepare()
        return same

    def with_options(self, **options: Unpack[OptionValues]) -> Self:
        """The same definition with some options changed; this one stays as it is.

        Raises DefinitionError for a wrong value, UnknownNameError for a wrong name.
        """
        return self.replace(options=self.options.changed(options))

    @property
    def signature(self) -> inspect.Signature:
        """The function's signature."""
        found: inspect.Signature | None = self._of_fn.get("signature")
        if found is None:
            found = self._of_fn["signature"] = inspect.signature(self.fn)
        return found

    @property
    def parameters(self) -> Mapping[str, inspect.Parameter]:
        """The function's parameters by name."""
        return self.signature.parameters

    @property
    def hints(self) -> Mapping[str, Any]:
        """The annotations of the function's parameters, those that can be resolved."""
        found: Mapping[str, Any] | None = self._of_fn.get("hints")
        if found is None:
            from headwater.core.validation import hints_of

            found = self._of_fn["hints"] = hints_of(self.fn)
        return found

    @property
    def returns(self) -> Any:
        """The annotation of what the function returns, None when there is none that can be resolved."""
        if "returns" not in self._of_fn:
            from headwater.core.validation import return_hint_of

            self._of_fn["returns"] = return_hint_of(self.fn)
        return self._of_fn["returns"]

    @property
    def compiled(self) -> str | None:
        """A fingerprint of what the function is compiled to."""
        if "compiled" not in self._of_fn:
            self._of_fn["compiled"] = code_of(self.fn)
        found: str | None = self._of_fn["compiled"]
        return found

    @property
    def source(self) -> SourceCode:
        """Where the function stands, relative to the project's root, and the hash of its source."""
        return self.source_in(runtime.current().root)

    def source_in(self, root: Path) -> SourceCode:
        """Where the function stands relative to this folder, and the hash of its source."""
        known: tuple[Path, SourceCode] | None = self._of_fn.get("source")
        if known is None or known[0] != root:
            from headwater.core.source import source_of

            known = self._of_fn["source"] = root, source_of(self.fn, root)
        return known[1]

    def bind(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments of a call by parameter, without those that are not passed. Raises TypeError when they don't fit."""
        return dict(self.bound(self.signature.bind_partial, args, kwargs).arguments) if args or kwargs else {}

    def bound(
        self, bind: Callable[..., inspect.BoundArguments], args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> inspect.BoundArguments:
        """What a signature says to the arguments of a call. Raises TypeError, which names the function, as Python's own does."""
        try:
            return bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{self.name}() {error}") from None

    def unbind(self, arguments: Mapping[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Positional and keyword arguments again, of what `bind` gave."""
        bound = inspect.BoundArguments(self.signature, dict(arguments))
        return bound.args, bound.kwargs

    def _named(self, called: Any) -> Any:
        """The coroutine of a call under the function's name: Python tells by it which one nobody awaited, and asyncio what runs."""
        called.__name__ = called.__qualname__ = self.name
        return called

    def _own(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        return args if self.instance is None else (self.instance, *args)


def _wrap(definition: Any, fn: Any) -> None:
    """What `functools.update_wrapper` does; a plain function without attributes needs no search for what it has."""
    if type(fn) is not FunctionType or fn.__dict__:
        update_wrapper(definition, fn)
        return
    definition.__module__ = fn.__module__
    definition.__name__ = fn.__name__
    definition.__qualname__ = fn.__qualname__
    definition.__doc__ = fn.__doc__
    if sys.version_info >= (3, 12):
        definition.__type_params__ = fn.__type_params__
    if sys.version_info >= (3, 14):
        definition.__annotate__ = fn.__annotate__
    else:
        definition.__annotations__ = fn.__annotations__
    definition.__wrapped__ = fn


def _is_coroutine(fn: Any) -> bool:
    # A plain function says it by a flag: `inspect` looks through what it could be wrapped in, thrice the time.
    if type(fn) is FunctionType and not hasattr(fn, _MARKED):
        return bool(fn.__code__.co_flags & inspect.CO_COROUTINE)
    return inspect.iscoroutinefunction(fn) or inspect.iscoroutinefunction(_called(fn))


def _called(fn: Any) -> Any:
    """The function that is called with something: what a partial is of, and the `__call__` of any other object."""
    while isinstance(fn, partial):
        fn = fn.func
    call = type(fn).__call__
    return call if isinstance(call, FunctionType) else fn


def _check_deciding(options: TaskOptions) -> None:
    for name in ("retry_if", "retry_delay", "run_key"):
        function = getattr(options, name, None)
        if callable(function) and _is_coroutine(function):
            # What it gives would count as True, or as a key of its own each time.
            raise DefinitionError(
                f"{name} is async, and its answer is needed at once: '{getattr(function, '__qualname__', function)}'",
                where=place_of(function),
                hint="write it with def: nobody would await it",
            )


def _check_hooks(fn: Any, hooks: Mapping[Any, tuple[Any, ...]]) -> None:
    for hook in (hook for several in hooks.values() for hook in several):
        if _is_coroutine(hook):
            raise DefinitionError(
                f"the hook '{getattr(hook, '__qualname__', hook)}' is async, and '{getattr(fn, '__qualname__', fn)}' is not",
                where=place_of(hook),
                hint="write the hook with def: nobody would await it",
            )


_MARKED = "_is_coroutine_marker"
"""Where `inspect.markcoroutinefunction` (Python 3.12) puts its mark."""


def _check(fn: Any, noun: str, may_generate: bool) -> None:
    if type(fn) is not FunctionType:
        _check_kind(fn, noun)
    code = _code(fn)
    if getattr(fn, "__name__", "") == "<lambda>":
        raise DefinitionError(
            f"a lambda can't be a {noun}: it has no name", where=place_of(fn), hint="write it with def"
        )
    if not may_generate and _generates(fn):
        name = getattr(fn, "__name__", type(fn).__name__)
        raise DefinitionError(
            f"the generator function '{name}' can't be a {noun}", where=place_of(fn), hint="return a list"
        )
    names = () if code is None else code.co_varnames
    if code is not None and "wait_for" in names and "wait_for" in names[: code.co_argcount + code.co_kwonlyargcount]:
        raise DefinitionError(
            f"'{fn.__name__}' has a parameter named wait_for, which every {noun} has already",
            where=place_of(fn),
            hint="give the parameter another name",
        )


def _check_kind(fn: Any, noun: str) -> None:
    if isinstance(fn, (staticmethod, classmethod)):
        kind = type(fn).__name__
        raise DefinitionError(
            f"@{noun} stands above @{kind}", hint=f"write @{kind} first, and @{noun} right above the function"
        )
    if not callable(fn) or isinstance(fn, type):
        raise DefinitionError(
            f"a {noun} is made of a function, got {fn!r}", hint=f"write @{noun} or @{noun}(retries=2)"
        )


def _code(fn: Any) -> CodeType | None:
    return getattr(inspect.unwrap(fn) if hasattr(fn, "__wrapped__") else fn, "__code__", None)


def place_of(fn: Any) -> str | None:
    """The file and the line of a function, None for what has no code."""
    code = _code(fn)
    return None if code is None else f"{code.co_filename}:{code.co_firstlineno}"


def _generates(fn: Any) -> bool:
    if type(fn) is FunctionType:
        return bool(fn.__code__.co_flags & (inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR))
    called = _called(fn)
    return inspect.isgeneratorfunction(called) or inspect.isasyncgenfunction(called)
