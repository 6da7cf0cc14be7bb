"""A collector that takes spans by OTLP over HTTP, as a destination: OpenTelemetry's own exporter does the sending."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import urljoin

import orjson
import requests
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, Status, StatusCode, TraceFlags

from headwater import clock, ids
from headwater.lineage.openlineage.answers import excerpt, failure, judge
from headwater.lineage.openlineage.destination import Receipt, Refusal, Trouble, one_by_one

_AT_ONCE = 500
"""Spans in one request."""
_BEFORE = 3_600 * 1_000_000
"""Microseconds. What ended longer before the first look than this is not sent: a journal may be years long."""
_NAME = "headwater"
_HINT = "check OTEL_EXPORTER_OTLP_ENDPOINT and OTEL_EXPORTER_OTLP_HEADERS"
# Looked up, for what stands below the package's own surface doesn't import that.
_SCOPE = InstrumentationScope(_NAME, str(getattr(sys.modules[_NAME], "__version__", "unknown")))
# It would tell on its own, at each try, what is told once from here.
logging.getLogger(OTLPSpanExporter.__module__).addFilter(lambda record: False)


class OtlpCollector:
    """Where traces go, as the variables `OTEL_…` say. Its mark is the moment from which on it gets spans."""

    def __init__(self) -> None:
        own = os.environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "").strip()
        base = os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT", "").strip()
        self.address = own or urljoin(f"{base}/" if not base.endswith("/") else base, "v1/traces")
        self._session = _Session()
        self._exporter = OTLPSpanExporter(endpoint=self.address, session=self._session)
        found = Resource.create()
        named = str(found.attributes.get(SERVICE_NAME, "")).partition(":")[0] not in ("", "unknown_service")
        self._resource = found if named else found.merge(Resource({SERVICE_NAME: _NAME}))
        self._since = 0

    @property
    def id(self) -> str:
        """What tells it from other destinations: safe as the name of a file."""
        return f"otlp-{ids.derived_id('otlp-http', excerpt(self.address))}"

    def __str__(self) -> str:
        return excerpt(self.address)

    def open(self, mark: int | None) -> int:
        """Be ready to go on; the first time from what ended in the last hour."""
        self._since = clock.now_us() - _BEFORE if mark is None else mark
        return self._since

    def close(self) -> None:
        """Let go of connections; the next spans open them again."""
        self._session.close()

    def deliver(self, events: Sequence[bytes], seconds: float | None = None) -> Receipt:
        """Send spans, as many as go into one request. Where one of them is refused, they go one by one."""
        taken = events[:_AT_ONCE]
        answer = self._send(taken)
        if isinstance(answer, Refusal) and len(taken) > 1:
            return replace(one_by_one(taken, seconds, lambda event: self._send([event])), mark=self._since)
        return Receipt(
            taken=0 if answer else len(taken),
            mark=self._since,
            refusal=answer if isinstance(answer, Refusal) else None,
            trouble=answer if isinstance(answer, Trouble) else None,
        )

    def _send(self, events: Sequence[bytes]) -> Refusal | Trouble | None:
        spans = [span for span in map(orjson.loads, events) if span["end"] >= self._since]
        if not spans:
            return None
        self._session.answer = Trouble(reason="nothing could be sent")
        self._exporter.export([_readable(span, self._resource) for span in spans])
        return self._session.answer


class _NotTaken(Exception):
    """Ends an export at once: whether and when it is tried again is the outbox's affair, which remembers it."""


class _Session(requests.Session):
    """Keeps what the collector answered, which the exporter tells nobody."""

    def __init__(self) -> None:
        super().__init__()
        self.answer: Refusal | Trouble | None = None

    def send(self, request: requests.PreparedRequest, **how: Any) -> requests.Response:
        """Send, and judge the answer."""
        try:
            response = super().send(request, **how)
            self.answer = judge(
                response.status_code, response.text[:1_000], response.headers.get("Retry-After"), _secrets(request)
            )
        except requests.Timeout:
            self.answer = Trouble(reason="no answer in time")
        except requests.RequestException as error:
            self.answer = Trouble(reason=f"it can't be reached: {failure(error)}")
        if self.answer is None:
            return response
        if isinstance(self.answer, Trouble) and self.answer.hint is not None:
            self.answer = replace(self.answer, hint=_HINT)
        raise _NotTaken


def _secrets(request: requests.PreparedRequest) -> list[str]:
    # What a collector says about a key that it refuses may well quote it, and any header may be one.
    sent = [value if isinstance(value, str) else value.decode("latin-1") for value in request.headers.values()]
    return [part for value in sent for part in (value, value.rpartition(" ")[2])]


def _readable(span: dict[str, Any], resource: Resource) -> ReadableSpan:
    exception = span["exception"]
    return ReadableSpan(
        span["name"],
        context=_context(span["trace"], span["span"]),
        parent=None if span["parent"] is None else _context(span["trace"], span["parent"]),
        resource=resource,
        attributes=span["attributes"],
        events=[Event("exception", exception, timestamp=span["end"] * 1_000)] if exception else (),
        status=Status(StatusCode.UNSET) if span["error"] is None else Status(StatusCode.ERROR, span["error"]),
        start_time=span["start"] * 1_000,
        end_time=span["end"] * 1_000,
        instrumentation_scope=_SCOPE,
    )


def _context(trace: str, span: str) -> SpanContext:
    return SpanContext(int(trace, 16), int(span, 16), is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED))
