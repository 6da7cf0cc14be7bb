"""Logging: what is logged and what is printed stays with its run.

What changes: `get_run_logger()` is `get_logger()`, and works outside runs, too; Python's own `logging` is kept as well; prints
are kept always, without `log_prints`. `headwater logs RUN --follow` shows a run's log while it runs.

Prints:
    loading orders
"""

import logging

from headwater import flow, get_logger, task


@task
def load(table: str) -> None:
    print(f"loading {table}")
    get_logger().debug("%s has 3 rows", table)
    logging.getLogger("shop").debug("kept, too")


@flow
def main() -> None:
    load("orders")


if __name__ == "__main__":
    main()
