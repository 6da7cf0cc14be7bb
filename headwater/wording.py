"""How things are put into words, wherever that has to be the same."""


def counted(number: int, name: str) -> str:
    """How many things of one name there are.

    >>> counted(1, "row"), counted(1_260, "row")
    ('1 row', '1,260 rows')
    """
    return f"{number:,} {name}" + ("" if number == 1 else "s")
