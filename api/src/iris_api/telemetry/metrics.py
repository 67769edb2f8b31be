"""
Count what was answered, and tell Prometheus.

The hot path hands over references and goes on; counting is done with numpy, many
answers at a time. Every label value comes from the model or from a fixed set.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator

import numpy as np
from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector

from iris_api.errors import (
    BodyTooLarge,
    InvalidInputs,
    IrisApiError,
    MalformedJson,
    RecordNotWritten,
    UnsupportedBody,
)
from iris_api.schemas import ModelCard, Reference
from iris_api.telemetry.counts import AnswerCounts, Call, Histogram, Matrix

# What stands for every path, method or field that is not ours.
OTHER = "other"
# What stands for all that a browser loads: pages, scripts, documentation.
PAGES = "pages"

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"

# Few, because each is a line for every route and status: the bound on the whole
# page is 50 kB, and a scrape is read every few seconds.
REQUEST_EDGES_S = (0.0005, 0.001, 0.0025, 0.01, 0.1, 1.0)

# Counted together when this many wait: some hundred microseconds of work.
FOLD_ROWS = 4096
FOLD_CALLS = 1024

_METHODS = frozenset({"GET", "HEAD", "POST"})

_REASON_OF: dict[type[IrisApiError], str] = {
    BodyTooLarge: "too_large",
    MalformedJson: "not_json",
    UnsupportedBody: "unsupported",
}


class Metrics(Collector):
    """
    The counts of one process.

    Not for several threads: everything is called from the event loop.

    Parameters
    ----------
    card : ModelCard
        Names the features, their bins and the classes.
    reference : Reference or None
        How the rows of the training table are answered, where the model says it.
    tells_inputs : bool
        Whether inputs are on record; what is counted of them is less where not.
    """

    def __init__(
        self,
        card: ModelCard,
        reference: Reference | None = None,
        tells_inputs: bool = True,
    ) -> None:
        self._card = card
        self._fields = frozenset(feature.name for feature in card.features)
        self._calls: list[Call] = []
        self._rows = 0
        self._requests: list[tuple[str, str, int, float]] = []
        self._served: dict[tuple[str, str, str], Histogram] = defaultdict(
            lambda: Histogram(REQUEST_EDGES_S)
        )
        self._errors: Counter[tuple[str, str]] = Counter()
        self._unrecorded = 0
        self._is_ready = False
        self._answers = AnswerCounts(card, reference, tells_inputs)
        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    def observe(self, matrix: Matrix, shares: Matrix, seconds: float) -> None:
        """
        Count one call of the model whose answers are on record.

        Parameters
        ----------
        matrix : array of shape (n, features)
            Rows, in the model's order of features; not to be changed afterwards.
        shares : array of shape (n, classes)
            Their probabilities; not to be changed afterwards.
        seconds : float
            How long the call took.
        """
        self._calls.append((matrix, shares, seconds))
        self._rows += len(matrix)
        if self._rows >= FOLD_ROWS or len(self._calls) >= FOLD_CALLS:
            self._fold_calls()

    def observe_request(
        self, method: str, route: str, status: int, seconds: float
    ) -> None:
        """
        Count one answered request.

        Parameters
        ----------
        method : str
            As the client sent it.
        route : str
            Template of the route that answered, or `OTHER`; never the path.
        status : int
            HTTP status.
        seconds : float
            From the request's head to the answer's end.
        """
        self._requests.append((method, route, status, seconds))
        if len(self._requests) >= FOLD_CALLS:
            self._fold_requests()

    def observe_refusal(self, error: IrisApiError) -> None:
        """Count the faults of an input that was refused, or a record that failed."""
        kind = type(error)
        if isinstance(error, InvalidInputs):
            for fault in error.faults:
                field = fault.field if fault.field in self._fields else OTHER
                self._errors[field, fault.reason] += 1
            if error.more:
                self._errors[OTHER, "not_listed"] += error.more
        elif kind in _REASON_OF:
            self._errors[OTHER, _REASON_OF[kind]] += 1
        elif kind is RecordNotWritten:
            self._unrecorded += 1

    def render(self, accept: str, is_ready: bool) -> tuple[bytes, str]:
        """
        Return the page that a Prometheus server reads, and its media type.

        Parameters
        ----------
        accept : str
            The request's Accept header; OpenMetrics when it is named there.
        is_ready : bool
            Whether the process should get requests.
        """
        self._is_ready = is_ready
        if "application/openmetrics-text" in accept:
            page: bytes = openmetrics.generate_latest(  # type: ignore[no-untyped-call]
                self._registry, version="1.0.0"
            )
            return page, OPENMETRICS
        return generate_latest(self._registry), TEXT

    def collect(self) -> Iterator[Metric]:
        """Give all counts, those included that were waiting."""
        self._fold_calls()
        self._fold_requests()
        yield self._served_family()
        yield self._info_family()
        yield GaugeMetricFamily(
            "model_ready",
            "1 while the model answers its golden rows as it should.",
            value=float(self._is_ready),
        )
        yield from self._answers.collect()
        errors = CounterMetricFamily(
            "model_input_errors",
            "Faults found in refused inputs.",
            labels=["field", "reason"],
        )
        for place, count in sorted(self._errors.items()):
            errors.add_metric(place, count)
        yield errors
        yield CounterMetricFamily(
            "model_records_failed",
            "Requests refused because their record could not be written.",
            value=self._unrecorded,
        )

    def _served_family(self) -> Metric:
        family = HistogramMetricFamily(
            "http_server_request_duration_seconds",
            "Time from the head of a request to the end of its answer.",
            labels=["method", "route", "status"],
        )
        for labels, histogram in sorted(self._served.items()):
            histogram.add_to(family, labels)
        return family

    def _info_family(self) -> Metric:
        family = GaugeMetricFamily(
            "model_info",
            "The model that answers.",
            labels=["model_name", "model_version", "engine"],
        )
        family.add_metric([self._card.name, self._card.version, self._card.engine], 1)
        return family

    def _fold_calls(self) -> None:
        if self._calls:
            calls, self._calls, self._rows = self._calls, [], 0
            self._answers.add(calls)

    def _fold_requests(self) -> None:
        requests, self._requests = self._requests, []
        seconds = defaultdict(list)
        for method, route, status, duration in requests:
            seconds[method, route, status].append(duration)
        for request, durations in seconds.items():
            self._served[bound_labels(*request)].add(np.array(durations))


def bound_labels(method: str, route: str, status: int) -> tuple[str, str, str]:
    """
    Return the label values of a request, of which there are few.

    A request that no route took has neither method nor route: clients make up both.
    """
    if route == OTHER or status in (404, 405) or method not in _METHODS:
        return OTHER, OTHER, str(status)
    # HEAD is answered as GET is.
    return "GET" if method == "HEAD" else method, route, str(status)
