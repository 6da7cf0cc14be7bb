"""Random programs of nested transactions, against a model: exactly its hooks, in exactly its order, and its states."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from fake_project import FakeProject
from hypothesis import given
from hypothesis import strategies as st
from tried import tried_on

from headwater import TaskOutcome, flow, task, transaction
from headwater.core import runtime
from headwater.core.states import PRECEDENCE


class Notebook(FakeProject):
    """A project that tells in which states its task runs ended, in the order in which they began."""

    def final_states(self) -> list[str]:
        ended: dict[str, list[str]] = {}
        for body in self.all("task.ended"):
            ended.setdefault(body.task_run_id, []).append(body.state)
        # A commit may tell once more how a task run ended, with what it returned.
        for states in ended.values():
            assert tuple(dict.fromkeys(states)) in (("Completed",), ("Failed",), ("Completed", "RolledBack")), states
        return [min(ended[body.task_run_id], key=PRECEDENCE.index) for body in self.all("task.started")]


class Planned(Exception):
    """An error that a program asks for."""


class Hooked(Exception):
    """What a hook raises."""


@dataclass(frozen=True)
class Call:
    """A task is called; its hooks may raise."""

    number: int
    fails: bool
    submitted: bool
    hook_raises: bool


@dataclass(frozen=True)
class Block:
    """A transaction, or with `is_flow` a subflow; what leaves it may be caught, and a rollback asked for before its end."""

    steps: tuple[Any, ...]
    caught: bool
    asked: bool
    is_flow: bool


def numbered(steps: Any, count: Iterator[int]) -> tuple[Any, ...]:
    """The same program, with its calls numbered as they stand."""
    found: list[Any] = []
    for step in steps:
        if isinstance(step, Call):
            found.append(Call(next(count), step.fails, step.submitted, step.hook_raises))
        else:
            found.append(Block(numbered(step.steps, count), step.caught, step.asked, step.is_flow))
    return tuple(found)


calls = st.builds(
    Call, st.just(0), st.sampled_from([False, False, False, True]), st.booleans(), st.sampled_from([False, False, True])
)
blocks = st.recursive(
    st.lists(calls, max_size=3),
    lambda inner: st.lists(
        st.one_of(
            calls,
            st.builds(
                Block,
                inner.map(tuple),
                st.booleans(),
                st.sampled_from([False, False, True]),
                st.sampled_from([False, False, True]),
            ),
        ),
        max_size=4,
    ),
    max_leaves=12,
)


def allowing(step: Call | Block) -> AbstractContextManager[None]:
    """Catches what leaves a step that is to be caught."""
    return suppress(Planned) if isinstance(step, Block) and step.caught else nullcontext()


@dataclass
class Model:
    """What must happen, in the plainest words."""

    told: list[str] = field(default_factory=list)
    states: dict[int, str] = field(default_factory=dict)

    def run(self, steps: tuple[Any, ...], joined: list[Call] | None) -> None:
        """Do the steps; `joined` are the members of the transaction around them, None outside of any."""
        for step in steps:
            if isinstance(step, Call):
                self.call(step, joined)
            elif step.is_flow:
                with allowing(step):
                    self.run(step.steps, joined)
            else:
                with allowing(step):
                    self.block(step, joined)

    def call(self, call: Call, joined: list[Call] | None) -> None:
        self.states[call.number] = "Failed" if call.fails else "Completed"
        if call.fails:
            raise Planned(call.number)
        if joined is None:
            self.told.append(f"commit {call.number}")
        else:
            joined.append(call)

    def block(self, block: Block, joined: list[Call] | None) -> None:
        own: list[Call] = []
        try:
            self.run(block.steps, own)
        except Planned:
            self.roll_back(own)
            raise
        if block.asked:
            self.roll_back(own)
        elif joined is not None:
            joined.extend(own)
        else:
            self.told += [f"commit {call.number}" for call in own]

    def roll_back(self, own: list[Call]) -> None:
        for call in reversed(own):
            self.states[call.number] = "RolledBack"
            self.told.append(f"undo {call.number}")


class World:
    """The same program for the engine."""

    def __init__(self) -> None:
        self.told: list[str] = []

        def hook(word: str) -> Any:
            def tell(outcome: TaskOutcome) -> None:
                call = outcome.arguments["call"]
                self.told.append(f"{word} {call.number}")
                if call.hook_raises:
                    raise Hooked(call.number)

            return tell

        @task(on_commit=hook("commit"), on_rollback=hook("undo"))
        def work(call: Call) -> int:
            if call.fails:
                raise Planned(call.number)
            return call.number

        @task(on_commit=hook("commit"), on_rollback=hook("undo"))
        async def work_async(call: Call) -> int:
            await asyncio.sleep(0)
            return work.fn(call)

        self.work, self.work_async = work, work_async

    def run(self, steps: tuple[Any, ...]) -> None:
        for step in steps:
            with allowing(step):
                if isinstance(step, Call):
                    if step.submitted:
                        self.work.submit(step).result()
                    else:
                        self.work(step)
                elif step.is_flow:
                    flow(name="inner")(self.run)(step.steps)
                else:
                    with transaction() as txn:
                        self.run(step.steps)
                        if step.asked:
                            txn.rollback()

    async def run_async(self, steps: tuple[Any, ...]) -> None:
        for step in steps:
            with allowing(step):
                if isinstance(step, Call):
                    await (self.work_async.submit(step) if step.submitted else self.work_async(step))
                elif step.is_flow:
                    await flow(name="inner")(self.run_async)(step.steps)
                else:
                    async with transaction() as txn:
                        await self.run_async(step.steps)
                        if step.asked:
                            txn.rollback()


@pytest.mark.parametrize("is_async", [False, True])
@tried_on(30)
@given(program=blocks)
def test_exactly_the_models_hooks_in_the_models_order(is_async: bool, program: Any) -> None:
    steps = numbered(program, iter(range(10_000)))
    model, world = Model(), World()
    raised: BaseException | None = None
    try:
        model.run(steps, None)
    except Planned as error:
        raised = error
    with runtime.use(Notebook(Path())) as notebook:
        main = flow(name="main")(world.run_async if is_async else world.run)
        with nullcontext() if raised is None else pytest.raises(Planned) as found:
            asyncio.run(main(steps)) if is_async else main(steps)
    assert raised is None or str(found.value) == str(raised)
    assert world.told == model.told
    # Calls are made one after the other: the n-th task run that began is the n-th call of the model.
    assert notebook.final_states() == list(model.states.values())
