"""Caching: what was computed for the same arguments by the same code is used again, in later runs too.

What changes: `cache_policy=INPUTS + TASK_SOURCE` is `cache=INPUTS + SOURCE`, `cache_expiration` is `cache_for`, `cache_key_fn` may
stand in the place of a policy. Nothing has to be persisted for it; results are encoded by their type, never pickled unless a
task asks for it. `headwater explain RUN/TASK` says why it was a hit or a miss.

Prints:
    fetching monday
    [42, 42]
    fetching monday
    [42]
"""

from headwater import INPUTS, SOURCE, flow, task


@task(cache=INPUTS + SOURCE, cache_for="12h")
def fetch(day: str) -> list[dict[str, int]]:
    print(f"fetching {day}")
    return [{"rides": 40}, {"rides": 2}]


@flow
def nightly(day: str) -> int:
    return sum(row["rides"] for row in fetch(day))


@flow
def refreshed(day: str) -> int:
    return sum(row["rides"] for row in fetch.with_options(refresh=True)(day))


if __name__ == "__main__":
    print([nightly("monday"), nightly("monday")])
    print([refreshed("monday")])
