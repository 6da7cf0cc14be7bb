"""State hooks: functions that are called when a task run or a run comes into a state.

What changes: `on_failure=[f]`, `on_completion=[f]`, … are `hooks={"Failed": [f], "Completed": [f], …}`, for every state that a
run can come into; a hook gets one `StateChange` instead of three objects. What a hook raises is logged and changes nothing.

Prints:
    load: AwaitingRetry after try 1
    load: Completed after try 2
    main: Completed after try 1
"""

from headwater import StateChange, flow, task

tries: list[int] = []


def tell(change: StateChange) -> None:
    print(f"{change.name}: {change.state.value} after try {change.tries}")


@task(retries=1, hooks={"AwaitingRetry": tell, "Completed": tell, "Failed": tell})
def load() -> None:
    tries.append(1)
    if len(tries) == 1:
        raise ConnectionError("not yet")


@flow(hooks={"Completed": tell})
def main() -> None:
    load()


if __name__ == "__main__":
    main()
