"""A transport of openlineage-python as a destination: HTTP, Kafka, file and whatever else it has, as it was configured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

import orjson

from headwater import ids
from headwater.lineage.openlineage.answers import causes, excerpt, failure, judge
from headwater.lineage.openlineage.destination import Receipt, Refusal, Trouble, one_by_one
from headwater.lineage.openlineage.plainhttp import http_id
from headwater.lineage.openlineage.timely import make_timely

if TYPE_CHECKING:
    from openlineage.client import OpenLineageClient
    from openlineage.client.event_v2 import RunEvent
    from openlineage.client.transport import Transport
    from openlineage.client.transport.http import HttpTransport
    from requests import Response

_NO_RETRIES = {"total": 0, "status_forcelist": [], "raise_on_status": False, "allowed_methods": None}
"""The client would try six times while everything waits, and not remember it: the outbox's own backoff is durable."""


class TransportDestination:
    """Hands each event to a client that has this one transport, so filters, tags and facets that it is told to add hold."""

    def __init__(self, client: OpenLineageClient) -> None:
        from openlineage.client.transport.http import HttpTransport
        from requests.adapters import HTTPAdapter

        self._client = client
        self._transport = client.transport
        self._http = self._transport if isinstance(self._transport, HttpTransport) else None
        if self._http is not None:
            self._http.config.retry = dict(_NO_RETRIES)
            # A redirected POST becomes a GET: the event would be lost, with an answer that sounds well.
            self._http.session.max_redirects = 0
            for adapter in self._http.session.adapters.values():
                if isinstance(adapter, HTTPAdapter):
                    make_timely(adapter)

    @property
    def id(self) -> str:
        """What tells it from other destinations: safe as the name of a file."""
        if self._http is not None:
            return http_id(_address(self._http))
        return f"transport-{ids.derived_id('openlineage-transport', str(self))}"

    def __str__(self) -> str:
        if self._http is not None:
            return excerpt(_address(self._http))
        parts = (self._transport.kind or type(self._transport).__name__, self._transport.name, _place(self._transport))
        return " ".join(excerpt(str(part)) for part in parts if part)

    def open(self, mark: int | None) -> int:
        """A transport opens what it needs when it gets its first event."""
        return 0

    def close(self) -> None:
        """Let go of connections; the next event opens them again."""
        if self._http is not None:
            self._http.session.close()

    def deliver(self, events: Sequence[bytes], seconds: float | None = None) -> Receipt:
        """Emit events one after the other, as many as the time allows. What a transport took without a word counts."""
        return one_by_one(events, seconds, self._emit)

    def _emit(self, event: bytes) -> Refusal | Trouble | None:
        try:
            official = official_event(orjson.loads(event))
        except Exception as error:  # noqa: BLE001 - one event that the client can't hold must not hold up the others
            return Refusal(reason=f"openlineage-python can't hold it: {type(error).__name__}: {excerpt(str(error))}")
        try:
            self._client.emit(official)
        except Exception as error:  # noqa: BLE001 - each transport has errors of its own
            return self._judged(error)
        return None

    def _judged(self, error: Exception) -> Refusal | Trouble | None:
        import requests
        from urllib3.exceptions import ReadTimeoutError

        if isinstance(error, requests.HTTPError) and error.response is not None:
            answer: Response = error.response
            return judge(answer.status_code, answer.text, answer.headers.get("Retry-After"), _secrets(answer))
        if isinstance(error, requests.TooManyRedirects) and error.response is not None:
            return judge(error.response.status_code)
        if self._http and any(isinstance(cause, requests.Timeout | ReadTimeoutError) for cause in causes(error)):
            return Trouble(reason=f"no answer within {self._http.timeout:.3g} s")
        if isinstance(error, requests.RequestException):
            return Trouble(reason=f"it can't be reached: {failure(error)}")
        return Trouble(reason=f"{type(error).__name__}: {excerpt(str(error))}")


def official_event(event: dict[str, Any]) -> RunEvent:
    """An event of ours, of plain values, as the client's class; facets stay plain where the client doesn't look into them."""
    from openlineage.client.event_v2 import InputDataset, Job, OutputDataset, Run, RunEvent, RunState

    run, job = event["run"], event["job"]
    return RunEvent(
        eventTime=event["eventTime"],
        producer=event["producer"],
        eventType=RunState(event["eventType"]),
        run=Run(runId=run["runId"], facets={name: _facet(name, facet) for name, facet in run["facets"].items()}),
        job=Job(
            namespace=job["namespace"],
            name=job["name"],
            facets={name: _facet(name, facet) for name, facet in job["facets"].items()},
        ),
        inputs=[InputDataset(**dataset) for dataset in event["inputs"]],
        outputs=[OutputDataset(**dataset) for dataset in event["outputs"]],
    )


def _facet(name: str, facet: dict[str, Any]) -> Any:
    # Kafka's message keys are made of the parent facet, and the client adds to the tags.
    from openlineage.client.facet_v2 import parent_run, tags_job

    if name == "parent":
        root = facet.get("root")
        return parent_run.ParentRunFacet(
            run=parent_run.Run(**facet["run"]),
            job=parent_run.Job(**facet["job"]),
            root=root and parent_run.Root(run=parent_run.RootRun(**root["run"]), job=parent_run.RootJob(**root["job"])),
            producer=facet["_producer"],
        )
    if name == "tags":
        fields = [tags_job.TagsJobFacetFields(**tag) for tag in facet["tags"]]
        return tags_job.TagsJobFacet(tags=fields, producer=facet["_producer"])
    return facet


def _address(transport: HttpTransport) -> str:
    return urljoin(transport.url, transport.endpoint)


def _place(transport: Transport) -> str:
    """What tells two transports of one kind apart, where their configuration says it in one of the usual words."""
    config = getattr(transport, "config", None) or getattr(transport, "kafka_config", None)
    found = (getattr(config, word, None) for word in ("topic", "log_file_path", "url", "domain_id", "project_id"))
    return next((place for place in found if isinstance(place, str)), "")


def _secrets(answer: Response) -> tuple[str, ...]:
    # What a collector says about a key that it refuses may well quote it.
    sent = str(answer.request.headers.get("Authorization", ""))
    return (sent.rpartition(" ")[2],) if sent else ()
