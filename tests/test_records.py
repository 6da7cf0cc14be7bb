"""Frozen dataclasses that are completed when they are first used: in nothing else do they differ from Python's own."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
import subprocess
import sys
import threading
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import field
from itertools import product
from types import SimpleNamespace
from typing import Any, ClassVar, Generic, TypeVar

import pytest

from headwater.records import dataclass

T = TypeVar("T")

OPTIONS = [
    {"frozen": True, "slots": slots, "kw_only": kw_only, "eq": own, "repr": own}
    for slots, kw_only, own in product((False, True), repeat=3)
]


def defined(decorator: Callable[..., Any], options: dict[str, Any]) -> SimpleNamespace:
    """Classes of many kinds, made by this decorator."""

    @decorator(**options)
    class Empty:
        """Nothing."""

    @decorator(**options)
    class Plain:
        """A doc."""

        kind: ClassVar[str] = "plain"
        first: int
        second: str = "two"
        many: list[int] = field(default_factory=list)
        quiet: int = field(default=0, repr=False, compare=False)

        @property
        def twice(self) -> int:
            return self.first * 2

    @decorator(**options)
    class Derived(Plain):
        second: str = "other"
        third: float = 3.0

        def __post_init__(self) -> None:
            object.__setattr__(self, "third", self.third + 1)

    @decorator(**options)
    class OfItsOwn:
        first: int

        def __repr__(self) -> str:
            return "own"

        def __eq__(self, other: object) -> bool:
            return True

        def __hash__(self) -> int:
            return 7

    @decorator(**options)
    class EqualByItself:
        first: int

        def __eq__(self, other: object) -> bool:
            return isinstance(other, EqualByItself)

    class Shape(ABC):
        __slots__ = ()

        @abstractmethod
        def area(self) -> float: ...

    @decorator(**options)
    class Square(Shape, Generic[T]):
        side: float
        of: T | None = None

        def area(self) -> float:
            return self.side**2

    @decorator(**{**options, "init": False})
    class Made:
        first: int

        def __init__(self, *firsts: int) -> None:
            object.__setattr__(self, "first", sum(firsts))

    return SimpleNamespace(**{name: one for name, one in locals().items() if isinstance(one, type) and name != "Shape"})


def said(question: Callable[[SimpleNamespace], Any], of: SimpleNamespace) -> Any:
    """What is answered, as something that can be compared."""
    try:
        found = question(of)
    except (TypeError, AttributeError) as error:
        return type(error).__name__, str(error)
    return repr(found).partition(" object at ")[0]


QUESTIONS: list[Callable[[SimpleNamespace], Any]] = [
    lambda of: of.Empty() == of.Empty(),
    lambda of: of.Plain(first=1),
    lambda of: of.Plain(1),
    lambda of: of.Plain(first=1, second="x", many=[2], quiet=3).many,
    lambda of: of.Plain(),
    lambda of: of.Plain(first=1, none=2),
    lambda of: of.Plain(first=1) == of.Plain(first=1, quiet=9),
    lambda of: of.Plain(first=1) == of.Plain(first=2),
    lambda of: of.Plain(first=1) == of.Derived(first=1),
    lambda of: of.Plain(first=1) == 1,
    lambda of: len({of.Square(side=2.0), of.Square(side=2.0)}),
    lambda of: len({of.Plain(first=1), of.Plain(first=1)}),
    lambda of: of.Plain(first=1).twice,
    lambda of: of.Plain.kind,
    lambda of: of.Plain.__doc__,
    lambda of: setattr(of.Plain(first=1), "first", 2),
    lambda of: delattr(of.Plain(first=1), "first"),
    lambda of: of.Derived(first=1).third,
    lambda of: of.Derived(first=1),
    lambda of: of.Derived(first=1, third=5.0).second,
    lambda of: [(one.name, one.kw_only, one.type) for one in dataclasses.fields(of.Derived)],
    lambda of: dataclasses.replace(of.Plain(first=1), second="y").second,
    lambda of: dataclasses.asdict(of.Derived(first=1)),
    lambda of: dataclasses.is_dataclass(of.Plain),
    lambda of: of.Plain.__match_args__,
    lambda of: of.Derived.__match_args__,
    lambda of: inspect.signature(of.Plain),
    lambda of: inspect.signature(of.Derived),
    lambda of: of.Plain.__dataclass_params__.frozen,
    lambda of: (of.OfItsOwn(first=1), hash(of.OfItsOwn(first=1)), of.OfItsOwn(first=1) == 3),
    lambda of: of.EqualByItself(first=1) == of.EqualByItself(first=2),
    lambda of: len({of.EqualByItself(first=1), of.EqualByItself(first=1)}),
    lambda of: of.Square(side=2.0).area(),
    lambda of: of.Square(2.0, 3),
    lambda of: copy.copy(of.Derived(first=1)).third,
    lambda of: copy.deepcopy(of.Plain(first=1, many=[5])).many,
    lambda of: of.Made(1, 2, 3).first,
    lambda of: of.Made(1, 2) == of.Made(3),
    lambda of: of.Made(3),
    lambda of: getattr(of.Plain, "second", "no default"),
    lambda of: getattr(of.Plain, "__slots__", "no slots"),
    lambda of: getattr(of.Derived, "__slots__", "no slots"),
    lambda of: of.Plain.__qualname__,
    lambda of: of.Plain.__name__,
    lambda of: object.__new__(of.Plain).__eq__(3),
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_they_are_what_dataclasses_are(options: dict[str, Any]) -> None:
    for question in QUESTIONS:
        # Of new classes each: what was asked before would have completed them.
        ours, pythons = defined(dataclass, options), defined(dataclasses.dataclass, options)
        assert said(question, ours) == said(question, pythons), inspect.getsource(question)


def test_nothing_is_generated_until_something_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    def generated(**options: Any) -> Any:
        raise AssertionError("generated")

    with monkeypatch.context() as patch:
        patch.setattr(dataclasses, "dataclass", generated)

        @dataclass(frozen=True, slots=True, kw_only=True)
        class Plain:
            first: int

        with pytest.raises(AssertionError, match="generated"):
            Plain(first=1)
    assert Plain(first=1).first == 1
    before = Plain.__init__
    assert Plain(first=2) != Plain(first=1)
    assert Plain.__init__ is before, "it is completed once"


def test_a_weak_reference_is_possible_where_it_is_asked_for() -> None:
    @dataclass(frozen=True, slots=True, weakref_slot=True, eq=False)
    class Plain:
        first: int

    one = Plain(1)
    assert weakref.ref(one)() is one


def test_a_generic_one_is_made_by_its_parameters_too() -> None:
    # Python's own refuse that when they have slots, until 3.13.
    assert defined(dataclass, {"frozen": True, "slots": True}).Square[int](side=1.0, of=3).of == 3


def made_by_threads() -> list[str]:
    @dataclass(frozen=True, slots=True)
    class Plain:
        first: int
        many: tuple[int, ...] = ()

    gate, found = threading.Barrier(4), []

    def make() -> None:
        gate.wait()
        found.append(repr(Plain(1)) if len({Plain(1), Plain(1, ())}) == 1 else "not equal")

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [text.rpartition(".")[2] for text in found]


def test_threads_may_make_the_first_ones_at_once() -> None:
    for _ in range(100):
        assert made_by_threads() == ["Plain(first=1, many=())"] * 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What is kept by one process and read by another one, which has made none of them."""

    first: int
    second: str = "two"


def test_what_one_process_keeps_another_one_reads() -> None:
    script = "import pickle, sys; print(pickle.loads(sys.stdin.buffer.read()))"
    data = pickle.dumps(Kept(first=1))
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:0] = {sys.path!r}; {script}"],
        input=data,
        capture_output=True,
        check=True,
    )
    assert done.stdout.decode().strip() == "Kept(first=1, second='two')"
    made = object.__new__(type(Kept(first=1)))
    made.__setstate__([5, "x"])  # type: ignore[attr-defined]
    assert pickle.dumps(made) == pickle.dumps(Kept(first=5, second="x"))
