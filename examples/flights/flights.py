"""A year of flights out of New York City: sources, daily partitions, a warehouse table, a scorecard, a risk model.

headwater backfill '+route_risk or +carrier_scorecard' -f flights.py --from 2013-01-01 --to 2013-12-31
headwater status -f flights.py
"""

from __future__ import annotations

from typing import Annotated

import polars as pl

from headwater import Asset, DailyPartitions, Freshness, Partition, check, flow, materialize, observe, sql, task
from headwater.checks import in_range, not_null, reconciles

days = DailyPartitions("2013-01-01", "2014-01-01", timezone="America/New_York")
utc = pl.Datetime("us", "UTC")
local_day = pl.col("time_hour").dt.convert_time_zone(days.timezone).dt.date()

# --- sources: five files that somebody else writes ---------------------------------------------------------------------
flights_csv = Asset(
    "flights_csv",
    at="csv://data/flights.csv",
    time_column="time_hour",
    owners=["team:ingest"],
    # A tail number leads to the owner of an aircraft: `headwater tags` shows every column that it reaches.
    column_tags={"tailnum": ["pii"]},
    options={"null_values": "NA", "schema_overrides": {"time_hour": utc}},
)
weather_csv = Asset(
    "weather_csv",
    at="csv://data/weather.csv",
    time_column="time_hour",
    owners=["team:ingest"],
    options={"null_values": "NA", "schema_overrides": {"time_hour": utc, "visib": pl.Float64, "precip": pl.Float64}},
)
airlines = Asset("airlines", at="csv://data/airlines.csv", static=True)
planes = Asset("planes", at="csv://data/planes.csv", static=True, options={"null_values": "NA"})
airports = Asset("airports", at="csv://data/airports.csv", static=True, options={"null_values": "NA"})
sources = [flights_csv, weather_csv, airlines, planes, airports]

# --- what is made of them ----------------------------------------------------------------------------------------------
flights = Asset(
    "flights",
    at="parquet://lake/flights",
    partitions=days,
    time_column="time_hour",
    freshness=Freshness(max_lag="26h"),
    owners=["team:ops"],
    tags={"tier": "gold"},
    checks=[not_null("carrier", "origin", "dest", blocking=True), in_range("dep_delay", -60, 2000)],
)
weather = Asset(
    "weather",
    at="parquet://lake/weather",
    partitions=days,
    time_column="time_hour",
    freshness=Freshness(max_lag="12h"),
    owners=["team:ops"],
)
daily_delays = Asset(
    "daily_delays",
    at="duckdb://warehouse.duckdb/main.daily_delays",
    partitions=days,
    partition_column="date",
    freshness=Freshness(max_lag="26h", warn="25h"),
    owners=["team:analytics"],
    tags={"tier": "gold"},
    checks=[reconciles(flights, on=("sum(flights)", "rows"), blocking=True)],
)
carrier_scorecard = Asset(
    "carrier_scorecard",
    at="duckdb://warehouse.duckdb/main.carrier_scorecard",
    freshness=Freshness(max_lag="26h"),
    owners=["team:analytics"],
)
route_risk = Asset(
    "route_risk",
    at="parquet://lake/route_risk",
    partitions=days,
    freshness=Freshness(max_lag="12h"),
    owners=["team:risk"],
)
fleet_notes = Asset(
    "fleet_notes",
    at="parquet://lake/fleet_notes",
    freshness=Freshness(max_lag="7d", clock="data_through"),
    owners=["team:risk"],
)


@materialize(flights)
def ingest_flights(raw: Annotated[pl.LazyFrame, flights_csv], partition: Partition) -> pl.LazyFrame:
    """The flights that were scheduled on a local day."""
    return raw.filter(local_day == partition.date)


@materialize(weather)
def ingest_weather(raw: Annotated[pl.LazyFrame, weather_csv], partition: Partition) -> pl.LazyFrame:
    """The hourly weather of a local day at the three airports."""
    return raw.filter(local_day == partition.date)


@materialize(daily_delays)
def summarise(
    flown: Annotated[pl.LazyFrame, flights], names: Annotated[pl.LazyFrame, airlines], partition: Partition
) -> pl.LazyFrame:
    """How late each airline was on a day."""
    return (
        flown.join(names, on="carrier")
        .group_by("carrier", "name")
        .agg(
            flights=pl.len(),
            cancelled=pl.col("dep_time").is_null().sum(),
            dep_delay=pl.col("dep_delay").mean(),
            arr_delay=pl.col("arr_delay").mean(),
        )
        .with_columns(date=pl.lit(partition.date))
    )


@check(daily_delays, blocking=True)
def every_airline_once(df: pl.DataFrame) -> bool:
    """No airline is counted twice, and a day without any flight is a fault."""
    return df.height > 0 and df["carrier"].is_unique().all()


@materialize(carrier_scorecard, inputs={"delays": daily_delays.all()})
def score(delays: Asset):
    """The year of each airline, computed inside the warehouse."""
    return sql(
        """
        select carrier, name,
               sum(flights) as flights,
               round(sum(cancelled) / sum(flights), 9) as cancelled_share,
               round(sum(dep_delay * flights) / sum(flights), 9) as avg_delay
        from {delays}
        group by carrier, name
        order by avg_delay desc
        """,
        delays=delays,
    )


@materialize(route_risk)
def rate_routes(
    flown: Annotated[pl.LazyFrame, flights.window(-6, 0)],
    sky: Annotated[pl.LazyFrame, weather.window(-6, 0)],
    partition: Partition,
) -> pl.LazyFrame:
    """How risky each route was in the last seven days: late departures, weighted by the weather they had."""
    late = (pl.col("dep_delay") > 30).cast(pl.Int64)
    rough = pl.col("wind_speed").fill_null(0) / 40 + pl.col("precip").fill_null(0)
    # In whole thousandths: sums of whole numbers come out the same in whichever order threads add them up.
    weight = ((1 + rough) * 1_000).round().cast(pl.Int64)
    return (
        flown.join(sky, on=["origin", "time_hour"], how="left")
        .group_by("origin", "dest")
        .agg(flights=pl.len(), late_share=late.mean(), risk=(late * weight).mean() / 1_000)
        .with_columns(date=pl.lit(partition.date))
    )


@materialize(fleet_notes)
def write_fleet_notes(notes: pl.DataFrame) -> pl.DataFrame:
    """Notes on the fleet, from a frame that other code computed."""
    return notes


@task
def oldest_planes(planes_file: str) -> pl.DataFrame:
    """Plain Python between two assets: Headwater sees the frame, and says that it can't know where it came from."""
    frame = pl.read_csv(planes_file, null_values="NA")
    return frame.group_by("manufacturer").agg(pl.col("year").min().alias("oldest")).sort("oldest")


@flow
def observe_sources() -> None:
    """Look at the five files: which version, how many rows, how far do they reach."""
    for source in sources:
        observe(source)


@flow
def take_notes(planes_file: str = "data/planes.csv") -> None:
    """Write the fleet's notes."""
    write_fleet_notes(oldest_planes(planes_file))


if __name__ == "__main__":
    observe_sources()
    take_notes()
