"""Flows and tasks: decorate two functions, call one of them.

What changes: the import; nothing is started first, and no server runs meanwhile. `headwater runs` shows what ran.

Prints:
    hello Marvin
    hello Trillian
"""

from headwater import flow, task


@task
def greet(name: str) -> str:
    return f"hello {name}"


@flow
def hello(names: list[str]) -> list[str]:
    return [greet(name) for name in names]


if __name__ == "__main__":
    print(*hello(["Marvin", "Trillian"]), sep="\n")
