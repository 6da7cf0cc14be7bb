"""What a flow says of where its submitted tasks run, and what is open of that while a run lasts."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, TypeAlias

from headwater.core.options import check_number
from headwater.core.runners.threads import ThreadPool
from headwater.errors import DefinitionError, UnknownNameError, UsageError
from headwater.records import dataclass

if TYPE_CHECKING:
    from headwater.core.context import Run
    from headwater.core.runners.remote import Place


class Session(Protocol):
    """A runner while a run uses it: where the jobs of its submitted tasks go."""

    place: Place | None
    """Where the tries of these tasks happen; None: in the thread of the job."""

    def submit(self, job: Callable[[], object]) -> None:
        """Run a job, which does not raise: now, or in another thread."""
        ...

    def close(self, *, join: bool) -> None:
        """The run is over: end what was started, with `join` once all jobs are done."""
        ...


class Runner(Protocol):
    """Where submitted tasks run: what `@flow(runner=…)` takes."""

    def open(self, max_workers: int | None) -> Session:
        """Get ready for a run; `max_workers` is the flow's own, which counts where the runner says nothing itself."""
        ...


RunnerOption: TypeAlias = "str | Runner | None"


@dataclass(frozen=True, slots=True)
class ThreadRunner:
    """Submitted tasks run in threads of this process: the default.

    `max_workers` is how many run at once, by default the number of cores plus 4 and at most 32; a task that waits for another
    one does not count.

    >>> from headwater import flow, task
    >>> from headwater.testing import project
    >>> with project():
    ...     @task
    ...     def double(x):
    ...         return 2 * x
    ...     @flow(runner=ThreadRunner(max_workers=2))
    ...     def main():
    ...         return double.map([1, 2, 3]).result()
    ...     main()
    [2, 4, 6]
    """

    max_workers: int | None = None

    def __post_init__(self) -> None:
        check_number("max_workers", self.max_workers, 1)

    def open(self, max_workers: int | None) -> Session:
        """A pool of threads."""
        return ThreadPool(self.max_workers or max_workers)


@dataclass(frozen=True, slots=True)
class InlineRunner:
    """Submitted tasks run when they are submitted, one after the other, in the thread that submits them: for debugging.

    Async tasks that are submitted in async code run in its event loop, as always.

    >>> from headwater import flow, task
    >>> from headwater.testing import project
    >>> with project():
    ...     @task
    ...     def say(word):
    ...         print(word)
    ...     @flow(runner=InlineRunner())
    ...     def main():
    ...         say.submit("first")
    ...         print("second")
    ...     main()
    first
    second
    """

    def open(self, max_workers: int | None) -> Session:
        """Nothing is to be made ready."""
        from headwater.core.runners.inline import Inline

        return Inline()


def runner_of(value: RunnerOption) -> Runner | None:
    """The runner that an option names. Raises DefinitionError for what is none.

    >>> runner_of("inline")
    InlineRunner()
    """
    if value is None or (not isinstance(value, str) and hasattr(value, "open")):
        return value
    if value == "threads":
        return ThreadRunner()
    if value == "inline":
        return InlineRunner()
    if value == "processes":
        from headwater.core.runners.processes import ProcessRunner

        return ProcessRunner()
    if isinstance(value, str):
        raise UnknownNameError.of("runner", value, ["threads", "processes", "inline"])
    raise DefinitionError(
        f"a runner is a name or an object, got {value!r}",
        hint='write runner="processes", or runner=ProcessRunner(max_workers=4)',
    )


def session_of(run: Run) -> Session:
    """What the submitted tasks of a run go to: its own runner's, or that of the nearest run around it that has one."""
    while run.runner is None and run.parent is not None:
        run = run.parent.run
    with run.root.lock:
        if run.over:
            raise UsageError(
                f"'{run.flow}' has ended: nothing can be submitted in it any more",
                hint="submit while the flow runs; outside of it a call is a run of its own",
            )
        if run.session is None:
            runner = run.runner or ThreadRunner()
            run.session = runner.open(run.root.max_workers)
        return run.session


def close_session(run: Run, *, join: bool) -> None:
    """The run is over: nothing of its runner is left, and nobody opens it again."""
    with run.root.lock:
        run.over = True
        session, run.session = run.session, None
    if session is not None:
        session.close(join=join)
