"""The summary as Prometheus metrics."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from shadow_router.findings.summary import Summary
from shadow_router.run.switches import SwitchState
from shadow_router.store import LatencySums
from shadow_router.verdict.latency import EDGES_MS


class _Families(Collector):
    """One summary, handed over in the shapes that the library exports."""

    def __init__(self, summary: Summary) -> None:
        self._summary = summary

    def collect(self) -> Iterator[Metric]:
        accounts = self._summary.accounts
        requests = CounterMetricFamily(
            "shadow_requests", "Requests by what became of them.", labels=["fate"]
        )
        for fate, n in accounts.fates.items():
            requests.add_metric([fate.value], n)
        yield requests
        yield CounterMetricFamily(
            "shadow_requests_received", "Requests received.", value=accounts.received
        )
        yield GaugeMetricFamily(
            "shadow_queue_items", "Copies in the queue.", value=accounts.queue_items
        )
        yield GaugeMetricFamily(
            "shadow_queue_bytes", "Bytes in the queue.", value=accounts.queue_bytes
        )
        yield self._durations()
        yield self._verdict()

    def _durations(self) -> Metric:
        family = HistogramMetricFamily(
            "shadow_duration_seconds",
            "Time from request to whole answer, by the router's own clock.",
            labels=["role"],
        )
        for sums in self._summary.latencies:
            if sums.clock == "caller":
                buckets = _cumulative(sums)
                family.add_metric([sums.role], buckets, sums.sum_ms / 1e3)
        return family

    def _verdict(self) -> Metric:
        family = GaugeMetricFamily(
            "shadow_verdict", "1 for the state of each gate.", labels=["gate", "state"]
        )
        verdict = self._summary.verdict
        family.add_metric(["overall", verdict.state.value], 1)
        for gate in verdict.gates:
            family.add_metric([gate.name, gate.state.value], 1)
        return family


class _State(Collector):
    """The gauges of what can be changed, or changes itself, while copies go."""

    def __init__(
        self, state: SwitchState, is_open: bool, shed: float, has_router: bool
    ) -> None:
        self._gauges = (
            ("router_connected", "1 while a router process serves.", has_router),
            ("sample_rate", "Share of requests to copy.", state.sample_rate),
            ("killed", "1 while the kill switch is on.", state.is_killed),
            ("closed", "1 once the run is closed.", state.is_closed),
            ("breaker_open", "1 while the shadow gets only probes.", is_open),
            ("shed_share", "Share of copies left out to protect live.", shed),
        )

    def collect(self) -> Iterator[Metric]:
        for name, text, value in self._gauges:
            yield GaugeMetricFamily(f"shadow_{name}", text, value=float(value))


def _cumulative(sums: LatencySums) -> list[tuple[str, float]]:
    # Every fourth edge: 17 series a role are enough for a graph.
    total = 0
    buckets: list[tuple[str, float]] = []
    for index, edge in enumerate(EDGES_MS):
        total += sums.counts.get(index, 0)
        if index % 4 == 3:
            buckets.append((f"{edge / 1e3:g}", total))
    return [*buckets, ("+Inf", sum(sums.counts.values()))]


def render_metrics(summary: Summary) -> bytes:
    """Return the text a Prometheus server scrapes."""
    return _render(_Families(summary))


def render_state(
    state: SwitchState, is_open: bool, shed: float, has_router: bool
) -> bytes:
    """Return the lines on switches, breaker, shedding and the router process."""
    return _render(_State(state, is_open, shed, has_router))


def _render(families: Collector) -> bytes:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(families)
    return generate_latest(registry)
