"""Transactions: a group of tasks commits together, or is taken back together.

What changes: a rollback hook gets a `TaskOutcome` (arguments, result, error) instead of the transaction; all hooks run, also
after one that raised; what was taken back has the state RolledBack, not Completed. Assets made inside are published at the
commit.

Prints:
    rolled back: page.txt
    False
    committed: page.txt
    True
"""

from pathlib import Path

from headwater import TaskOutcome, flow, task, transaction


@task
def write(path: str, text: str) -> None:
    Path(path).write_text(text)


@write.on_rollback
def remove(outcome: TaskOutcome) -> None:
    Path(outcome.arguments["path"]).unlink()
    print(f"rolled back: {outcome.arguments['path']}")


@write.on_commit
def tell(outcome: TaskOutcome) -> None:
    print(f"committed: {outcome.arguments['path']}")


@task
def check(path: str) -> None:
    if len(Path(path).read_text().splitlines()) < 2:
        raise ValueError("too short")


@flow
def publish(text: str) -> None:
    with transaction():
        write("page.txt", text)
        check("page.txt")


if __name__ == "__main__":
    try:
        publish("one line")
    except ValueError:
        print(Path("page.txt").exists())
    publish("two\nlines")
    print(Path("page.txt").exists())
