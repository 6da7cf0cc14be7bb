"""How things are put into words, wherever that has to be the same."""

from __future__ import annotations

import errno
from collections.abc import Collection
from itertools import islice


def counted(number: int, name: str) -> str:
    """How many things of one name there are.

    >>> counted(1, "row"), counted(1_260, "row")
    ('1 row', '1,260 rows')
    """
    return f"{number:,} {name}" + ("" if number == 1 else "s")


def listed(names: Collection[str], most: int = 10) -> str:
    """The first of these names, and how many more there are.

    >>> listed(["delays", "flights"]), listed(["a", "b", "c", "d"], most=2)
    ('delays, flights', 'a, b and 2 more')
    """
    rest = len(names) - most
    return ", ".join(islice(names, most)) + (f" and {rest:,} more" if rest > 0 else "")


def command(verb: str, *arguments: str, partition: str | None = None) -> str:
    """A command of ours as it can be pasted into a shell, whatever the names and keys in it are.

    >>> command("explain", "delays"), command("partitions add", "customers", "zeta")
    ('headwater explain delays', 'headwater partitions add customers zeta')
    >>> print(command("materialize", "late flights", partition="-5"))
    headwater materialize 'late flights' --partition=-5
    >>> command("partitions add", "customers", "-5")
    'headwater partitions add -- customers -5'
    """
    import shlex

    option = [] if partition is None else [partition_option(partition)]
    given = [shlex.quote(one) for one in arguments]
    # What follows -- is no option.
    hyphen = any(one.startswith("-") for one in arguments)
    return " ".join(["headwater", verb, *([*option, "--", *given] if hyphen else [*given, *option])])


def partition_option(partition: str) -> str:
    """The option that names partitions, as it can be pasted into a shell."""
    import shlex

    return f"--partition{'=' if partition.startswith('-') else ' '}{shlex.quote(partition)}"


_LIMITS = {
    errno.EMFILE: "this process has too many files open: raise the limit (ulimit -n), or close some; then go on",
    errno.ENFILE: "this machine has too many files open: end what holds them; then go on",
}


def remedy(error: OSError, otherwise: str) -> str:
    """What to do about what the system refused: what a limit asks for, whatever the place; else what holds for the place.

    >>> remedy(OSError(errno.EACCES, "Permission denied"), "mend the permissions")
    'mend the permissions'
    """
    return _LIMITS.get(error.errno or 0, otherwise)
