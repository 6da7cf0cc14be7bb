"""How many cases a property is tried on: some in each run of the tests, other ones each time, and many in the full form."""

from __future__ import annotations

import os
from typing import Any

from hypothesis import settings

STRESS = os.environ.get("HEADWATER_STRESS") == "1"
FULL = 20


def tried_on(count: int, *, full: int | None = None, **more: Any) -> settings:
    """Try a property on so many cases; in the full form on `full`, 20 times as many unless it says so.

    >>> tried_on(30).max_examples in (30, 600)
    True
    """
    return settings(max_examples=(full or FULL * count) if STRESS else count, deadline=None, **more)
