"""Background tasks: submit, wait for others, take results as they come, go on after a failure.

What changes: nothing in the calls. A failed task that nobody asks for fails the flow; nothing is lost silently.

Prints:
    [0, 2, 4]
    after: done
    the task got a ValueError
    state: Failed
"""

from headwater import allow_failure, as_completed, flow, task, wait


@task
def double(number: int) -> int:
    return 2 * number


@task
def broken() -> int:
    raise ValueError("no")


@task
def look(value: object) -> str:
    return f"the task got a {type(value).__name__}"


@task
def after() -> str:
    return "after: done"


@flow
def main() -> None:
    futures = [double.submit(number) for number in range(3)]
    print(sorted(future.result() for future in as_completed(futures)))
    print(after.submit(wait_for=futures).result())
    failed = broken.submit()
    print(look.submit(allow_failure(failed)).result())
    wait([failed])
    print(f"state: {failed.state.value}")


if __name__ == "__main__":
    main()
