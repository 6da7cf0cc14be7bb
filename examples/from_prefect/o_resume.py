"""Resuming a run: what had completed is not done again.

What changes: nothing has to be persisted or keyed for it. On the command line: `headwater runs resume RUN`, `headwater runs
retry RUN --from TASK`.

Prints:
    loading monday
    failed: the mail server is down
    3 rows sent
"""

from headwater import flow, task
from headwater.project import Project

down = [True]


@task
def load(day: str) -> dict[str, int]:
    print(f"loading {day}")
    return {day: 3}


@task
def send(rows: dict[str, int]) -> str:
    if down:
        raise ConnectionError("the mail server is down")
    return f"{sum(rows.values())} rows sent"


@flow
def nightly(day: str) -> str:
    return send(load(day))


if __name__ == "__main__":
    try:
        nightly("monday")
    except ConnectionError as error:
        print(f"failed: {error}")
    down.clear()
    newest = Project.open().reader.runs(flow="nightly")["runs"][0]
    print(nightly.resume(newest["id"]))
