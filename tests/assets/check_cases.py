"""What the tests of checks share: checks asked about a frame, with no project around it."""

from __future__ import annotations

from typing import Any

import polars as pl
from hypothesis import strategies as st

from headwater import Asset, Partition
from headwater.assets import registry
from headwater.assets.checks.audit import audit
from headwater.assets.checks.context import CheckContext
from headwater.assets.events import AssetRef
from headwater.checks import Check, CheckResult, PastVersion
from headwater.materializers.convert import convert
from headwater.materializers.duckdb import failing

DAY = 86_400_000_000
NAN = float("nan")


class Alone:
    """As much of a project as checks ask for: versions of the past can be given."""

    def __init__(self, past: tuple[PastVersion, ...] = ()) -> None:
        self.past = past
        self.catalog = self.definitions = self

    def ref(self, asset: Asset) -> Any:
        return AssetRef(name=asset.name, uri=asset.at, kind="memory", namespace="memory", dataset=asset.name)

    def history(self, asset: Any, *, before: int | None = None, limit: int = 100) -> tuple[PastVersion, ...]:
        return self.past[:limit]

    def convert(self, value: Any, form: Any) -> Any:
        return convert(value, form)

    def failing(self, query: Any, columns: Any, limit: int) -> Any:
        return failing(query, columns, limit)


def ask(
    frame: Any, *checks: Check, past: tuple[PastVersion, ...] = (), partition: Partition | None = None, **known: Any
) -> tuple[CheckResult, ...]:
    """What checks say of a frame."""
    with registry.scope():
        asset = Asset("asked", at="memory://asked")
    data = frame.lazy() if isinstance(frame, pl.DataFrame) else frame
    context = CheckContext(
        asset=asset,
        partition=partition,
        now=0,
        version="new",
        runtime=Alone(past),  # type: ignore[arg-type]
        data=lambda: data,
        relation=lambda: convert(data, "sql"),
        **known,
    )
    return audit(context, checks)


def one(frame: Any, check: Check, **known: Any) -> CheckResult:
    """What one check says of a frame."""
    [found] = ask(frame, check, **known)
    return found


def past(*rows: int | None) -> tuple[PastVersion, ...]:
    """Versions of the past without partitions, the newest first, a day apart."""
    return tuple(
        PastVersion(None, f"v{place}", -place * DAY, count, None, (), {}) for place, count in enumerate(rows, start=1)
    )


NUMBERS = st.sampled_from([None, 0.0, -0.0, 1.0, 1.5, -2.0, NAN, float("inf"), 1e300])
WORDS = st.sampled_from([None, "", "a", "b", "B", "ä"])
INTEGERS = st.sampled_from([None, -1, 0, 1, 2, 2**60])


@st.composite
def frames(draw: st.DrawFn) -> pl.DataFrame:
    """A small table with nulls, NaN, repeated rows, or none at all."""
    size = draw(st.integers(0, 7))

    def column(values: st.SearchStrategy[Any]) -> list[Any]:
        return draw(st.lists(values, min_size=size, max_size=size))

    return pl.DataFrame(
        {"x": column(NUMBERS), "s": column(WORDS), "i": column(INTEGERS)},
        schema={"x": pl.Float64, "s": pl.String, "i": pl.Int64},
    )
