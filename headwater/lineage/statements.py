"""The SQL of this package: named, commented statements in `.sql` files beside the code."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from importlib import resources
from types import MappingProxyType

_NAME = re.compile(r"^-- name: *(\S+) *$", re.MULTILINE)


@functools.cache
def script(file: str) -> str:
    """The text of a whole file.

    >>> "CREATE SCHEMA facts" in script("schema.sql")
    True
    """
    return resources.files("headwater.lineage.sql").joinpath(file).read_text(encoding="utf-8")


@functools.cache
def statements(file: str) -> Mapping[str, str]:
    """The statements of a file by their names, each being what stands under its `-- name: …` line.

    >>> "run.started" in statements("ingest.sql")
    True
    """
    _, *parts = _NAME.split(script(file))
    return MappingProxyType(dict(zip(parts[::2], (part.strip() for part in parts[1::2]), strict=True)))
