"""Retries with delays, a condition, growing delays with jitter, and a bound for all tasks of a run together.

What changes: `retry_delay_seconds` is `retry_delay`; `retry_condition_fn(task, run, state)` is `retry_if(error)`;
`retry_jitter_factor` is an argument of `exponential_backoff`. New is `retry_budget`: an outage does not multiply.

Prints:
    got it at try 3
    no retry for ValueError after 1 try
"""

from headwater import exponential_backoff, flow, task

tries = {"flaky": 0, "strict": 0}


@task(retries=3, retry_delay=[0.01, 0.02, 0.05])
def flaky() -> str:
    tries["flaky"] += 1
    if tries["flaky"] < 3:
        raise ConnectionError("not yet")
    return f"got it at try {tries['flaky']}"


def is_worth_it(error: Exception) -> bool:
    return isinstance(error, ConnectionError)


@task(retries=3, retry_delay=exponential_backoff(0.01, jitter=0.5), retry_if=is_worth_it)
def strict() -> None:
    tries["strict"] += 1
    raise ValueError("wrong for good")


@flow(retry_budget=20)
def main() -> None:
    print(flaky())
    try:
        strict()
    except ValueError as error:
        print(f"no retry for {type(error).__name__} after {tries['strict']} try")


if __name__ == "__main__":
    main()
