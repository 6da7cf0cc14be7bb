"""Random programs of values and assets, and what must be recorded of each asset: no edge missing, none invented.

A program is a list of steps over a growing pool of values. The interpreter carries beside each value what stands behind
it, worked out from the program alone; the recorded edges are compared with that. Each step makes a value, moves it,
changes it, frees it, or hands some to a materialization in one of the ways that there are to call one. Every runner can be
given the same program: what must be remembered from one try to the next stands in files.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import polars as pl

from headwater import Asset, TaskFuture, derived_from, flow, materialize, task, wait
from headwater.project import Project

NOTHING: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Truth:
    """What stands behind a value: assets that must be found, assets that may be, frames whose origin nobody can know."""

    kind: str
    must: frozenset[str] = NOTHING
    may: frozenset[str] = NOTHING
    unknown: bool = False
    changed: bool = False
    """Whether it is an eager frame that the program changed."""
    sure: bool = True
    """Whether it is certain that the origin is known or unknown: a changed frame may still be the very same memory."""

    def also(self, *others: Truth) -> Truth:
        return replace(
            self,
            must=self.must.union(*(one.must for one in others)),
            may=self.may.union(*(one.may for one in others)),
            unknown=self.unknown or any(one.unknown for one in others),
            sure=self.sure and all(one.sure for one in others),
        )


@dataclass
class Box:
    """A user's own class with something inside."""

    inside: Any


@dataclass
class Held:
    """A value in the pool, or the future of one."""

    value: Any
    truth: Truth
    makes: str | None = None
    """The materialization whose future this is."""


@dataclass
class World:
    """The pool, and what must be recorded of each asset."""

    asynchronous: bool
    prefix: str
    """What the names of its assets begin with: all programs run in one project."""
    folder: Path
    """Where tries are noted."""
    runner: Any = "threads"
    pool: list[Held] = field(default_factory=list)
    expected: dict[str, Truth] = field(default_factory=dict)

    def name(self) -> str:
        return f"{self.prefix}_{len(self.expected)}"

    @property
    def elsewhere(self) -> bool:
        """Whether tasks run where this process's memory is not: an asset kept there can't be made inside of one."""
        return not isinstance(self.runner, str)

    def tried(self) -> Path:
        return self.folder / f"{self.prefix}-{next(_TRIED)}"

    def may_also_be(self, name: str) -> None:
        for held in self.pool:
            held.truth = replace(held.truth, may=held.truth.may | {name})
        for target, truth in self.expected.items():
            self.expected[target] = replace(truth, may=truth.may | {name})

    def pick(self, number: int) -> Held:
        return self.pool[number % len(self.pool)]


_TRIED = itertools.count()


class Turns:
    """Values in turn, for ever: as `itertools.cycle`, which can't be sent to another process from Python 3.14 on."""

    def __init__(self, *values: Any) -> None:
        self._values, self._given = values, 0

    def __next__(self) -> Any:
        self._given += 1
        return self._values[self._given % len(self._values)]


SCALARS = Turns(None, True, 7, 2.5, "short", "")
FRESH: dict[str, Callable[[], Any]] = {
    "rows": lambda: [{"k": 1, "v": 1.5}, {"k": 2, "v": 2.5}],
    "columns": lambda: {"k": [1, 2], "v": [1.5, 2.5]},
    "eager": lambda: pl.DataFrame({"k": [1, 2, 3], "v": [1.5, 2.5, 3.5]}),
    "lazy": lambda: pl.DataFrame({"k": [1, 2, 3], "v": [1.5, 2.5, 3.5]}).lazy(),
    "tuple": lambda: (1, "two", 3.0),
    "object": lambda: Box(1),
    "scalar": lambda: next(SCALARS),
}
STORABLE = ("rows", "columns", "eager", "lazy")
FRAMES = ("eager", "lazy")

CHANGES_OF_LAZY: list[Callable[[pl.LazyFrame], pl.LazyFrame]] = [
    lambda frame: frame.filter(pl.col("k") > 0),
    lambda frame: frame.with_columns(v=pl.col("v") * 2),
    lambda frame: frame.group_by("k").agg(pl.col("v").sum()),
    lambda frame: frame.sort("v").head(2).with_row_index("i").drop("i"),
    lambda frame: frame.join(frame.select("k"), on="k", how="semi"),
    lambda frame: frame.unique().rename({"v": "w"}).rename({"w": "v"}),
]
CHANGES_OF_EAGER: list[Callable[[pl.DataFrame], pl.DataFrame]] = [
    lambda frame: frame.with_columns(v=pl.col("v") * 2),
    lambda frame: frame.head(1),
    lambda frame: frame.lazy().filter(pl.col("k") > 1).collect(),
    lambda frame: frame.select("k", "v"),
]
WRAPS: list[Callable[[Any], Any]] = [
    lambda value: [value],
    lambda value: (1, value),
    lambda value: {"k": value, "other": None},
    lambda value: [[{"deep": (value, [])}]],
]


@task
def carry(value: Any) -> Any:
    return value


@task(retries=1)
def carry_at_last(value: Any, tried: Path) -> Any:
    fail_once(tried)
    return value


def fail_once(tried: Path) -> None:
    """Raise the first time."""
    if not tried.exists():
        tried.touch()
        raise OSError("not yet")


@task
async def carry_async(value: Any) -> Any:
    await asyncio.sleep(0)
    return value


@flow
def carry_in_a_subflow(value: Any) -> Any:
    return carry.submit(carry(value)).result()


async def resolved(world: World, held: Held) -> Any:
    """The value itself, waiting for it where it is a future."""
    if isinstance(held.value, TaskFuture):
        held.value = await held.value if world.asynchronous else held.value.result()
    return held.value


async def make(world: World, how: int, one: int, two: int) -> None:
    """A value that no asset stands behind."""
    kind = list(FRESH)[how % len(FRESH)]
    world.pool.append(Held(FRESH[kind](), Truth(kind, unknown=kind in FRAMES)))


async def wrap(world: World, how: int, one: int, two: int) -> None:
    """A container of the program's own."""
    held = world.pick(one)
    inner: Any = held.value
    if how % 5 == 4:
        inner, around = await resolved(world, held), Box
    else:
        around = WRAPS[how % 5]
    kind = "object" if around is Box else "container"
    world.pool.append(Held(around(inner), replace(held.truth, kind=kind)))


async def both(world: World, how: int, one: int, two: int) -> None:
    """Two values in one container."""
    first, second = world.pick(one), world.pick(two)
    world.pool.append(
        Held([first.value, {"x": second.value}], replace(first.truth, kind="container").also(second.truth))
    )


async def pass_on(world: World, how: int, one: int, two: int) -> None:
    """Through a task, by identity."""
    held = world.pick(one)
    ways: list[Callable[[Any], Any]] = [
        carry,
        carry.submit,
        lambda value: carry_at_last(value, world.tried()),
        lambda value: carry.map([value])[0],
        carry_async.submit,
        carry_in_a_subflow,
        lambda value: carry.submit(carry.submit(value)),
    ]
    world.pool.append(Held(ways[how % len(ways)](held.value), held.truth))


async def change(world: World, how: int, one: int, two: int) -> None:
    """A lazy frame keeps what stands behind it; an eager one that was changed is of unknown origin."""
    held = world.pick(one)
    value = await resolved(world, held)
    if held.truth.kind == "lazy":
        world.pool.append(Held(CHANGES_OF_LAZY[how % len(CHANGES_OF_LAZY)](value), held.truth))
    elif held.truth.kind == "eager" and how % 2:
        sure = held.truth.sure and not held.truth.changed
        world.pool.append(Held(value.lazy(), replace(held.truth, kind="lazy", sure=sure)))
    elif held.truth.kind == "eager":
        changed = CHANGES_OF_EAGER[how // 2 % len(CHANGES_OF_EAGER)](value)
        world.pool.append(Held(changed, replace(held.truth, must=NOTHING, unknown=True, changed=True)))


async def join(world: World, how: int, one: int, two: int) -> None:
    """One lazy frame of two."""
    first, second = world.pick(one), world.pick(two)
    if {first.truth.kind, second.truth.kind} == {"lazy"}:
        left, right = await resolved(world, first), await resolved(world, second)
        made = pl.concat([left, right]) if how % 2 else left.join(right, on="k")
        if not how % 2:
            made = made.select("k", "v")
        world.pool.append(Held(made, first.truth.also(second.truth)))


async def say(world: World, how: int, one: int, two: int) -> None:
    """`derived_from`: of two values; numbers and the like are never followed."""
    first, second = world.pick(one), world.pick(two)
    kind = ["eager", "rows", "scalar", "object"][how % 4]
    made = derived_from(FRESH[kind](), await resolved(world, first), await resolved(world, second))
    stated = Truth(kind, unknown=kind == "eager" and not (first.truth.must | second.truth.must))
    if kind != "scalar":
        stated = replace(stated, must=first.truth.must | second.truth.must, may=first.truth.may | second.truth.may)
        if stated.may - stated.must:
            # It may have been derived from something that an asset still stands behind, or from nothing that is known.
            stated = replace(stated, sure=False)
    world.pool.append(Held(made, stated))


async def free(world: World, how: int, one: int, two: int) -> None:
    """Values go, and others come where they were."""
    if len(world.pool) > 1:
        kind = world.pool.pop(one % len(world.pool)).truth.kind
        gc.collect()
        again = FRESH.get(kind, FRESH["object"])
        made = [again() for _ in range(5)]
        world.pool.append(Held(made[two % 5], Truth(kind if kind in FRESH else "object", unknown=kind in FRAMES)))


def fresh_body(kind: str) -> Callable[..., Any]:
    def body(*args: Any) -> Any:
        return FRESH[kind]()

    return body


def passing_body(*args: Any) -> Any:
    return args[0]


def lazy_body(*args: Any) -> Any:
    return args[0].with_columns(v=pl.col("v") + 1)


def collecting_body(*args: Any) -> Any:
    return args[0].collect().to_dicts()


def shaky(body: Callable[..., Any], tried: Path) -> Callable[..., Any]:
    def again(*args: Any) -> Any:
        fail_once(tried)
        return body(*args)

    return again


def in_async(body: Callable[..., Any]) -> Callable[..., Any]:
    async def again(*args: Any) -> Any:
        await asyncio.sleep(0)
        return body(*args)

    return again


def nesting(inner: Any, how: int) -> Callable[..., Any]:
    """A body that has another asset made while it runs, in one of four ways."""

    @flow
    def below() -> Any:
        return inner()

    def body(*args: Any) -> Any:
        ways = [inner, lambda: inner.submit().result(), below, lambda: carry(inner())]
        ways[how % 4]()
        return FRESH["rows"]()

    return body


def choose_body(world: World, how: int, args: list[Held]) -> tuple[Callable[..., Any], str, str, Truth]:
    """The function of a materialization: itself, the kind of its result, where that fits, and what it adds."""
    first = args[0].truth if args else None
    more = Truth("more")
    if how % 6 == 1 and first is not None:
        place = "parquet" if first.kind in STORABLE else "memory"
        return passing_body, first.kind, place, more
    if how % 6 == 2 and first is not None and first.kind == "lazy":
        return lazy_body, "lazy", "parquet", more
    if how % 6 == 3 and first is not None and first.kind == "lazy":
        return collecting_body, "rows", "memory", more
    if how % 6 == 4:
        name = world.name()
        inner = materialize(Asset(name, at=f"parquet://lake/{name}" if world.elsewhere else f"memory://{name}"))(
            fresh_body("rows")
        )
        world.expected[name] = Truth("rows")
        return nesting(inner, how // 6), "rows", "memory", Truth("more", frozenset({name}), frozenset({name}))
    kind = list(FRESH)[how // 6 % len(FRESH)]
    return fresh_body(kind), kind, "parquet" if kind in STORABLE else "memory", more


async def materialise(world: World, how: int, one: int, two: int) -> None:
    """An asset made of some of the pool, in one of the ways of calling it."""
    args = [world.pick(one), world.pick(two)][: how % 3]
    waited = [world.pick(two + 1)] if how % 7 == 0 and isinstance(world.pick(two + 1).value, TaskFuture) else []
    body, kind, place, more = choose_body(world, how // 3, args)
    way = one % 8
    name = world.name()
    if way == 3 and world.elsewhere and place == "memory":
        way = 0
    on_disk = place == "parquet" and (two % 3 == 0 or (way == 3 and world.elsewhere))
    location = f"parquet://lake/{name}" if on_disk else f"memory://{name}"
    options: dict[str, Any] = {"retries": 1} if way == 4 else {}
    function = shaky(body, world.tried()) if way == 4 else in_async(body) if way == 5 else body
    made = materialize(Asset(name, at=location), **options)(function)
    values = [held.value for held in args]
    result, is_future = await call(world, way, made, values, [held.value for held in waited])
    found = more.also(*(held.truth for held in args))
    for held in waited:
        certain = frozenset({held.makes}) if held.makes else NOTHING
        found = replace(found, must=found.must | certain, may=found.may | certain | held.truth.may)
    # What a body returns as it got it is the new asset's; what lies inside it is still its own too.
    inside = args[0].truth.may if body is passing_body and kind in ("container", "object") else NOTHING
    if kind == "lazy" and body not in (passing_body, lazy_body):
        found = replace(found, unknown=True)
    world.expected[name] = found
    if body is passing_body and kind == "object":
        # No copy tells the two apart: wherever that object is, it may now be this asset's as well.
        world.may_also_be(name)
    own = NOTHING if kind == "scalar" else frozenset({name})
    unknown = body is passing_body and kind in ("container", "object") and args[0].truth.unknown
    result_truth = Truth(kind, own, own | inside, unknown, sure=not inside or args[0].truth.sure)
    world.pool.append(Held(result, result_truth, makes=name if is_future else None))


async def call(world: World, way: int, made: Any, values: list[Any], waited: list[Any]) -> tuple[Any, bool]:
    options: dict[str, Any] = {"wait_for": [waited]} if waited else {}
    if way == 5:
        if world.asynchronous and len(values) % 2:
            return await made(*[await settled(value) for value in values], **options), False
        return made.submit(*values, **options), True
    if way in (1, 4) or waited:
        return made.submit(*values, **options), True
    if way == 2:

        @flow
        def below(*inner: Any) -> Any:
            return made(*inner)

        return below(*values), False
    if way == 3:

        @task
        def around(*inner: Any) -> Any:
            return made(*inner)

        return around.submit(*values), False
    if way == 6 and values:
        return made.map(*[[value] for value in values])[0], True
    return made(*values), False


async def settled(value: Any) -> Any:
    return await value if isinstance(value, TaskFuture) else value


STEPS: list[Callable[[World, int, int, int], Coroutine[Any, Any, None]]] = [
    make, wrap, both, pass_on, pass_on, change, change, join, say, free, *[materialise] * 6,
]  # fmt: skip


async def interpret(world: World, program: list[tuple[int, int, int, int]]) -> None:
    world.pool.append(Held(FRESH["eager"](), Truth("eager", unknown=True)))
    for step, how, one, two in program:
        if world.asynchronous:
            # A direct call blocks the loop that the futures of async tasks live in: they end first.
            for held in world.pool:
                await resolved(world, held) if isinstance(held.value, TaskFuture) and held.value.loop else None
        await STEPS[step % len(STEPS)](world, how, one, two)
    for held in world.pool:
        await resolved(world, held)
    if not world.asynchronous:
        wait([held.value for held in world.pool if isinstance(held.value, TaskFuture)])


def run(world: World, program: list[tuple[int, int, int, int]]) -> None:
    if world.asynchronous:

        @flow(runner=world.runner)
        async def main() -> None:
            await interpret(world, program)

        asyncio.run(main())
    else:

        @flow(runner=world.runner)
        def main_sync() -> None:
            try:
                interpret(world, program).send(None)
            except StopIteration:
                return
            raise AssertionError("nothing in a synchronous program waits for a loop")

        main_sync()


def recorded(shop: Project, prefix: str) -> tuple[dict[str, set[str]], set[str]]:
    """What was recorded: the sources of each asset, and the assets with something of unknown origin."""
    edges: dict[str, set[str]] = {}
    with shop.projection.session() as session:
        observed = "select distinct source, target from edges where origin = 'observed' and target like ? || '\\_%' escape '\\'"
        for source, target in session.rows(observed, [prefix]):
            edges.setdefault(str(target), set()).add(str(source))
        strange = "select asset from facts.outcomes where state = 'published' and len(unknown_inputs) > 0"
        unknown = {str(name) for (name,) in session.rows(strange)}
    return edges, unknown


def differences(shop: Project, world: World) -> list[str]:
    """Where what was recorded is not the truth."""
    edges, unknown = recorded(shop, world.prefix)
    problems = []
    for name, truth in world.expected.items():
        found = edges.pop(name, set())
        problems += [f"{name}: {one} is missing" for one in truth.must - found]
        problems += [f"{name}: {one} is invented" for one in found - truth.may]
        if truth.sure and (name in unknown) != truth.unknown:
            problems.append(f"{name}: unknown should be {truth.unknown}")
    return [*problems, *(f"{name} was never made" for name in edges)]
