"""Figures for Prometheus: runs, tasks, how long they took, how late each asset is, what catalogs have not got yet."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from headwater import clock
from headwater.api.problems import ApiError
from headwater.lineage.reader import BUCKETS

if TYPE_CHECKING:
    from prometheus_client.core import Metric

    from headwater.api.service import Service


def exposition(service: Service) -> tuple[bytes, str]:
    """The text that Prometheus reads, and its media type. Raises ApiError when its client is not installed."""
    try:
        from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
    except ImportError as error:
        hint = "pip install 'headwater[server]'"
        raise ApiError(501, "missing", "prometheus-client is not installed", hint=hint) from error
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(service))
    return generate_latest(registry), CONTENT_TYPE_LATEST


class _Collector:
    def __init__(self, service: Service) -> None:
        self._service = service

    def describe(self) -> list[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        figures = self._service.figures()
        yield from _runs(figures)
        yield from _tasks(figures)
        yield from self._assets()
        yield from self._catalogs()

    def _assets(self) -> Iterator[Metric]:
        from prometheus_client.core import GaugeMetricFamily as Gauge

        now = clock.now_us()
        lag = Gauge(
            "headwater_asset_lag_seconds", "How far the clock that is judged lies behind now.", labels=["asset"]
        )
        late = Gauge(
            "headwater_asset_late", "1 while an asset is late, else 0; of assets with a policy.", labels=["asset"]
        )
        verdicts = self._service.board.verdicts()
        # Nobody is to be woken for an asset that was retired.
        for name in self._service.board.names("*"):
            standing = verdicts.get(name)
            if standing is None or standing.verdict == "none":
                continue
            late.add_metric([name], float(standing.verdict == "late"))
            if standing.at is not None:
                lag.add_metric([name], max(0.0, (now - standing.at) / 1e6))
        yield lag
        yield late

    def _catalogs(self) -> Iterator[Metric]:
        from prometheus_client.core import GaugeMetricFamily as Gauge

        rows = self._service.destinations()
        for what, named in (("openlineage", "Events"), ("traces", "Spans")):
            pending = Gauge(f"headwater_{what}_pending", f"{named} that wait to be delivered.", labels=["destination"])
            dead = Gauge(f"headwater_{what}_dead", f"{named} that were refused for good.", labels=["destination"])
            for one in (row for row in rows if row["what"] == what):
                pending.add_metric([one["destination"]], one["pending"])
                dead.add_metric([one["destination"]], one["dead"])
            yield pending
            yield dead
        listeners = Gauge("headwater_server_listeners", "Who listens to live updates.")
        listeners.add_metric([], self._service.hub.listeners)
        yield listeners


def _runs(figures: dict[str, Any]) -> Iterator[Metric]:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

    ended = CounterMetricFamily("headwater_runs", "Runs that ended, by their state.", labels=["flow", "state"])
    took = HistogramMetricFamily("headwater_run_duration_seconds", "How long runs took.", labels=["flow"])
    by_flow: dict[str, tuple[list[int], float]] = {}
    for row in figures["runs"]:
        ended.add_metric([row["flow"], row["state"]], row["count"])
        counts, seconds = by_flow.get(row["flow"], ([0] * (len(BUCKETS) + 1), 0.0))
        counts = [sum(pair) for pair in zip(counts, [*row["buckets"], row["count"]], strict=True)]
        by_flow[row["flow"]] = (counts, seconds + row["seconds"])
    bounds = [*map(str, BUCKETS), "+Inf"]
    for flow, (counts, seconds) in by_flow.items():
        took.add_metric([flow], buckets=list(zip(bounds, counts, strict=True)), sum_value=seconds)
    running = GaugeMetricFamily("headwater_runs_running", "Runs that have not ended.", labels=["flow"])
    for row in figures["running"]:
        running.add_metric([row["flow"]], row["count"])
    yield ended
    yield took
    yield running


def _tasks(figures: dict[str, Any]) -> Iterator[Metric]:
    from prometheus_client.core import CounterMetricFamily as Counter

    ended = Counter("headwater_task_runs", "Task runs that ended, by their state.", labels=["state"])
    seconds = Counter("headwater_task_run_seconds", "Seconds that task runs took, by their state.", labels=["state"])
    for row in figures["tasks"]:
        ended.add_metric([row["state"]], row["count"])
        seconds.add_metric([row["state"]], row["seconds"])
    yield ended
    yield seconds
