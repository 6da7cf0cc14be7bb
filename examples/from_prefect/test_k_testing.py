"""Testing: run with pytest. The fixture `headwater` comes with the package.

What changes: `prefect_test_harness` and its database are not needed. Each test has a project of its own, in memory; the clock
stands still, so a retry's delay takes no time; `.fn` is the bare function, as before.
"""

from headwater import flow, task
from headwater.testing.sandbox import Sandbox

tries: list[int] = []


@task(retries=2, retry_delay=3600)
def flaky() -> str:
    tries.append(1)
    if len(tries) < 3:
        raise ConnectionError("not yet")
    return "done"


@flow
def main() -> str:
    return flaky()


def test_the_flow(headwater: Sandbox) -> None:
    assert main() == "done"
    (run,) = headwater.project.reader.runs()["runs"]
    assert (run["state"], run["tasks"]) == ("Completed", {"Completed": 1})


def test_the_bare_function() -> None:
    tries.extend([1, 1])
    assert flaky.fn() == "done"
