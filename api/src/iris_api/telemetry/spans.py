"""
One span a request for an OpenTelemetry collector, where ``OTEL_*`` ask for it.

The only module that touches OpenTelemetry, and only once it is asked for.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from starlette.types import Scope

from iris_api import __version__
from iris_api.errors import SettingsInvalid
from iris_api.schemas import ModelCard
from iris_api.telemetry.metrics import OTHER
from iris_api.telemetry.tracing import OWN, find_traceparent

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span

_EXPORTER = "OTEL_TRACES_EXPORTER"
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")


class Spans:
    """
    Begin a span for each request; a thread of the library sends them in batches.

    Parameters
    ----------
    provider : TracerProvider
        Of the library, with the exporter.
    """

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("iris_api", __version__)

    def begin(self, scope: Scope) -> ServerSpan:
        """Begin the span of a request, and let its record know."""
        from opentelemetry.trace import SpanKind

        parent = _parent(find_traceparent(scope["headers"]))
        span = self._tracer.start_span("HTTP", parent, kind=SpanKind.SERVER)
        context = span.get_span_context()
        scope["state"][OWN] = (
            f"00-{context.trace_id:032x}-{context.span_id:016x}-"
            f"{context.trace_flags:02x}"
        )
        return ServerSpan(span)

    def close(self) -> None:
        """Send what waits, as long as the collector takes it."""
        self._provider.shutdown()


class ServerSpan:
    """The span of one request."""

    def __init__(self, span: Span) -> None:
        self._span = span

    def end(self, method: str, route: str, status: int) -> None:
        """
        End it.

        Parameters
        ----------
        method : str
            As the client sent it.
        route : str
            Template of the route that answered; never the path.
        status : int
            HTTP status; 0 when the client did not wait for an answer.
        """
        from opentelemetry.trace import StatusCode

        # Named after what is ours: a client's own words would be names without end.
        self._span.update_name("HTTP" if route == OTHER else f"{method} {route}")
        self._span.set_attribute("http.route", route)
        if route != OTHER:
            self._span.set_attribute("http.request.method", method)
        if status:
            self._span.set_attribute("http.response.status_code", status)
        if not status or status >= 500:
            self._span.set_status(StatusCode.ERROR)
        self._span.end()


def open_spans(card: ModelCard) -> Spans | None:
    """
    Return where spans go, or None unless ``OTEL_*`` ask for their export.

    Parameters
    ----------
    card : ModelCard
        Names the model in every span.

    Raises
    ------
    SettingsInvalid
        If one of the variables cannot be used, or the library is not installed.
    """
    asked = _read_asked()
    if asked is None:
        return None
    _check_protocol()
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import (
            OTLPSpanExporter,
        )
        from opentelemetry.sdk.resources import OTELResourceDetector, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ModuleNotFoundError:
        reason = "exporting traces needs more: install the extra `otel` of iris_api"
        raise SettingsInvalid(f"{asked}: {reason}") from None
    ours = {
        "service.name": "iris_api",
        "service.version": __version__,
        "model.name": card.name,
        "model.version": card.version,
    }
    try:
        resource = Resource.create(ours).merge(OTELResourceDetector().detect())
        provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    except ValueError as error:
        raise SettingsInvalid(f"OTEL_*: {' '.join(str(error).split())}") from None
    return Spans(provider)


def _read_asked() -> str | None:
    """Return the variable that asks for an export, if one does."""
    if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return None
    endpoint = next((name for name in _ENDPOINTS if os.environ.get(name)), None)
    exporter = os.environ.get(_EXPORTER, "").strip().lower()
    if exporter not in ("", "none", "otlp"):
        raise SettingsInvalid(f"{_EXPORTER}: write otlp or none")
    if exporter == "none" or not (exporter or endpoint):
        return None
    if endpoint and not os.environ[endpoint].startswith(("http://", "https://")):
        raise SettingsInvalid(f"{endpoint}: must begin with http:// or https://")
    return endpoint or _EXPORTER


def _check_protocol() -> None:
    for name in _PROTOCOLS:
        if os.environ.get(name, "").strip() not in ("", "http/protobuf"):
            raise SettingsInvalid(f"{name}: only http/protobuf is spoken here")


def _parent(traceparent: str | None) -> Context | None:
    from opentelemetry.context import Context
    from opentelemetry.trace import (
        NonRecordingSpan,
        SpanContext,
        TraceFlags,
        set_span_in_context,
    )

    if traceparent is None:
        return Context()
    _, trace, span, flags = (int(part, 16) for part in traceparent.split("-"))
    client = SpanContext(trace, span, is_remote=True, trace_flags=TraceFlags(flags))
    return set_span_in_context(NonRecordingSpan(client), Context())
