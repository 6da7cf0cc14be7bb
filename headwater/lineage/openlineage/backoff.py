"""How long a destination that can't take events is left alone: pure."""

from __future__ import annotations

import hashlib

FIRST = 1.0
"""Seconds after the first failure; each further one doubles them."""
LONGEST = 300.0
"""Seconds between two attempts at most, unless the destination itself asks for more."""
LONGEST_ASKED = 3_600.0
"""So many seconds of a Retry-After are believed."""


def pause(failures: int, key: str, asked: float | None = None) -> float:
    """Seconds to wait after so many failures in a row; a quarter more or less, by the key, so that not all come at once.

    >>> [round(pause(count, "marquez")) for count in (1, 2, 3, 30)]
    [1, 2, 4, 342]
    >>> pause(1, "marquez", asked=90)
    90
    """
    digest = hashlib.blake2b(f"{key}:{failures}".encode(), digest_size=4).digest()
    factor = 0.75 + 0.5 * int.from_bytes(digest, "big") / 0xFFFF_FFFF
    own = min(LONGEST, FIRST * 2.0 ** min(max(failures - 1, 0), 30)) * factor
    return own if asked is None else max(own, min(asked, LONGEST_ASKED))
