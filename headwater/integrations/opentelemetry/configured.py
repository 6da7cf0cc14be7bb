"""Whether and how OpenTelemetry is configured: by the variables that its specification names."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from headwater.errors import SettingsError

if TYPE_CHECKING:
    from headwater.integrations.opentelemetry.collector import OtlpCollector

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_PROTOCOL = "http/protobuf"


def is_configured(environ: Mapping[str, str] | None = None) -> bool:
    """Whether traces are to be sent: cheap, and without importing anything.

    >>> is_configured({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"})
    True
    >>> is_configured({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318", "OTEL_SDK_DISABLED": "true"})
    False
    >>> is_configured({})
    False
    """
    environ = os.environ if environ is None else environ
    exporters = environ.get("OTEL_TRACES_EXPORTER", "").strip() or "otlp"
    return (
        any(environ.get(name, "").strip() for name in _ENDPOINTS)
        and environ.get("OTEL_SDK_DISABLED", "").strip().lower() != "true"
        and "otlp" in [one.strip() for one in exporters.split(",")]
    )


def collector() -> OtlpCollector | None:
    """The collector that is configured; None when there is none.

    Raises SettingsError when what it takes is not installed, or can't be what is asked for.
    """
    if not is_configured():
        return None
    protocol = next((os.environ[name].strip() for name in _PROTOCOLS if os.environ.get(name, "").strip()), _PROTOCOL)
    if protocol != _PROTOCOL:
        raise SettingsError(
            f"traces can't be sent by '{protocol}', only by {_PROTOCOL}",
            where="OTEL_EXPORTER_OTLP_PROTOCOL",
            hint=f"set it to {_PROTOCOL}, and the endpoint to the port for that: usually 4318",
        )
    try:
        from headwater.integrations.opentelemetry.collector import OtlpCollector

        return OtlpCollector()
    except ImportError as error:
        raise SettingsError(
            "traces can't be sent: OpenTelemetry's SDK and its exporter over HTTP are not installed",
            where="OTEL_EXPORTER_OTLP_ENDPOINT",
            hint="pip install 'headwater[otel]', or OTEL_SDK_DISABLED=true to switch it off",
        ) from error
    except ValueError as error:
        raise SettingsError(
            f"its variables can't be read: {type(error).__name__}",
            where="the variables OTEL_…",
            hint="they are read as OpenTelemetry's SDK reads them",
        ) from error
