"""Random programs of flows and tasks: what they do, and what a model says that must come of them.

A program is a tree of values that can be pickled, so that every runner can be given the same one. How often a node was tried
is counted in files, which all processes share.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from headwater import TaskFuture, flow, task, unmapped
from headwater.errors import Cancelled

CAUGHT = 1000
"""What a child that failed, and whose error its parent caught, counts."""


class Boom(Exception):
    """What a node raises on purpose."""


@dataclass(frozen=True)
class Child:
    """A node as its parent calls it: `how` is call, submit or map (then it is run twice)."""

    node: Node
    how: str
    catches: bool


@dataclass(frozen=True)
class Node:
    """A task or a flow: it runs its children, and then raises in so many of its first tries."""

    name: str
    kind: str
    value: int
    retries: int
    fails: int
    children: tuple[Child, ...] = ()
    stops: bool = False
    """Whether it asks the whole run to stop."""


def body(node: Node, folder: Path, key: str) -> int:
    """What a node does; `key` tells its runs apart."""
    tries = _tries(folder, key)
    total, errors = node.value, []
    waiting: list[tuple[Child, list[TaskFuture[int]]]] = []
    for at, child in enumerate(node.children):
        name = f"{key}.{tries}.{at}"
        definition: Any = (run_task if child.node.kind == "task" else run_flow).with_options(
            name=child.node.name, retries=child.node.retries, retry_delay=0
        )
        if child.how == "map":
            futures = definition.map([f"{name}a", f"{name}b"], unmapped(child.node), unmapped(folder))
            waiting.append((child, list(futures)))
        elif child.how == "submit":
            waiting.append((child, [definition.submit(name, child.node, folder)]))
        else:
            total += _outcome(child, errors, partial(definition, name, child.node, folder))
    for child, several in waiting:
        for future in several:
            total += _outcome(child, errors, future.result)
    if node.stops:
        raise Cancelled("the program says stop")
    if errors:
        raise errors[0]
    if tries <= node.fails:
        raise Boom(node.name)
    return total


def _outcome(child: Child, errors: list[Boom], run: Any) -> int:
    try:
        found: int = run()
    except Boom as error:
        if not child.catches:
            errors.append(error)
        return CAUGHT
    return found


def _tries(folder: Path, key: str) -> int:
    path = folder / key
    with path.open("ab") as file:
        file.write(b".")
    return path.stat().st_size


@task
def run_task(key: str, node: Node, folder: Path) -> int:
    """A node that is a task."""
    return body(node, folder, key)


@flow
def run_flow(key: str, node: Node, folder: Path) -> int:
    """A node that is a flow."""
    return body(node, folder, key)


@dataclass
class Expected:
    """What comes of a node: its value, or None when it fails, and how its task runs and its flow runs end, by name."""

    value: int | None
    tasks: Counter[tuple[str, str, int]]
    runs: Counter[tuple[str, str]]


def expected(node: Node) -> Expected:
    """What must come of a node that nobody stops."""
    tasks: Counter[tuple[str, str, int]] = Counter()
    runs: Counter[tuple[str, str]] = Counter()
    for tries in range(1, node.retries + 2):
        total, failed = node.value, False
        for child in node.children:
            for _ in range(2 if child.how == "map" else 1):
                found = expected(child.node)
                tasks += found.tasks
                runs += found.runs
                failed = failed or (found.value is None and not child.catches)
                total += CAUGHT if found.value is None else found.value
        failed = failed or tries <= node.fails
        state = "Failed" if failed else "Completed"
        if node.kind == "flow":
            runs[node.name, state] += 1
        elif not failed or tries > node.retries:
            tasks[node.name, state, tries] += 1
        if not failed:
            return Expected(total, tasks, runs)
    return Expected(None, tasks, runs)


def weight(node: Node) -> int:
    """How many runs of nodes come of it, at most."""
    return (node.retries + 1) * (
        1 + sum((2 if child.how == "map" else 1) * weight(child.node) for child in node.children)
    )


def _named(node: Node, name: str) -> Node:
    """The same tree with a name of its own for each node."""
    children = tuple(replace(child, node=_named(child.node, f"{name}_{at}")) for at, child in enumerate(node.children))
    return replace(node, name=name, children=children)


_ways = st.sampled_from(["call", "submit", "map"])


def _nodes(children: st.SearchStrategy[tuple[Child, ...]]) -> st.SearchStrategy[Node]:
    return st.builds(
        Node,
        name=st.just(""),
        kind=st.sampled_from(["task", "task", "flow"]),
        value=st.integers(0, 9),
        retries=st.integers(0, 2),
        fails=st.sampled_from([0, 0, 0, 1, 2, 9]),
        children=children,
    )


def _children(nodes: st.SearchStrategy[Node], least: int = 0) -> st.SearchStrategy[tuple[Child, ...]]:
    child = st.builds(Child, node=nodes, how=_ways, catches=st.booleans()).map(
        # A flow has no future: it is called.
        lambda one: replace(one, how="call") if one.node.kind == "flow" else one
    )
    return st.lists(child, min_size=least, max_size=3).map(tuple)


def programs(most: int = 40) -> st.SearchStrategy[Node]:
    """Flows of at most so many runs of nodes."""
    leaves = _nodes(st.just(()))
    trees = st.recursive(leaves, lambda nodes: _nodes(_children(nodes)), max_leaves=8)
    top = st.builds(
        Node,
        name=st.just(""),
        kind=st.just("flow"),
        value=st.integers(0, 9),
        retries=st.integers(0, 1),
        fails=st.sampled_from([0, 0, 1]),
        children=_children(trees, 1),
    )
    return top.map(lambda node: _named(node, "n")).filter(lambda node: weight(node) <= most)


def stopped(node: Node, place: int) -> Node:
    """The same program, in which the node at a place (counted through the tree) asks the run to stop."""
    names = list(_names(node))
    return _with_stop(node, names[place % len(names)])


def _names(node: Node) -> list[str]:
    return [node.name, *(name for child in node.children for name in _names(child.node))]


def _with_stop(node: Node, name: str) -> Node:
    children = tuple(replace(child, node=_with_stop(child.node, name)) for child in node.children)
    return replace(node, children=children, stops=node.name == name)


def runs_twice(folder: Path) -> list[str]:
    """The keys under which a node was begun more often than it has tries."""
    return [path.name for path in folder.iterdir() if path.stat().st_size > 3]
