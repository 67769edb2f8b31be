"""
What the dashboards show: each panel's title, queries, unit and limit.

`build.py` makes of it what Grafana reads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

PREDICT = 'route=~"/v1/predict|/v2/models/.+/infer"'
LIVE = 'role="live"'


@dataclass(frozen=True)
class Query:
    """An expression, and what its lines are called, by their labels."""

    expression: str
    legend: str


@dataclass(frozen=True)
class Panel:
    """
    One graph, or one number.

    ``unit`` is Grafana's name of it; ``limit`` is where an alert begins; ``width`` is
    in twenty-fourths of the page; ``states`` shows labels in place of values.
    """

    title: str
    queries: Sequence[Query]
    unit: str = "short"
    limit: float | None = None
    width: int = 8
    is_number: bool = False
    states: bool = False


def quantiles(metric: str, labels: str, *shares: float) -> list[Query]:
    """Return the quantiles of a histogram over the last five minutes."""
    rates = f"sum by (le) (rate({metric}_bucket{{{labels}}}[5m]))"
    return [
        Query(f"histogram_quantile({share}, {rates})", f"{share:.0%}")
        for share in shares
    ]


SERVICE = [
    Panel(
        "Alerts that fire",
        [Query('count(ALERTS{alertstate="firing"}) or vector(0)', "alerts")],
        width=4,
        is_number=True,
    ),
    Panel(
        "Requests a second",
        [Query(f"role:predict_requests:rate5m{{{LIVE}}}", "live")],
        "reqps",
        width=5,
        is_number=True,
    ),
    Panel(
        "Answers of 5xx, one hour",
        [Query(f"role:predict_errors:ratio1h{{{LIVE}}}", "live")],
        "percentunit",
        0.0144,
        5,
        is_number=True,
    ),
    Panel(
        "Answers over 100 ms",
        [Query(f"role:predict_slow:ratio5m{{{LIVE}}}", "live")],
        "percentunit",
        0.05,
        5,
        is_number=True,
    ),
    Panel(
        "Versions that answer",
        [
            Query(
                "count by (role, model_version) (model_info)",
                "{{role}} {{model_version}}",
            )
        ],
        width=5,
        is_number=True,
        states=True,
    ),
    Panel(
        "Requests a second",
        [Query("role:predict_requests:rate5m", "{{role}}")],
        "reqps",
    ),
    Panel(
        "Live's answers by status",
        [
            Query(
                "sum by (status) (rate(http_server_request_duration_seconds_count"
                f"{{{LIVE}, {PREDICT}}}[5m]))",
                "{{status}}",
            )
        ],
        "reqps",
    ),
    Panel(
        "Live: share of 5xx",
        [
            Query(f"role:predict_errors:ratio{window}{{{LIVE}}}", window)
            for window in ("5m", "1h", "6h")
        ],
        "percentunit",
        0.0144,
    ),
    Panel(
        "Live: time to the answer",
        quantiles(
            "http_server_request_duration_seconds", f"{LIVE}, {PREDICT}", 0.5, 0.99
        ),
        "s",
        0.1,
    ),
    Panel(
        "Live: time in the model",
        quantiles("model_prediction_duration_seconds", LIVE, 0.5, 0.99),
        "s",
    ),
    Panel(
        "Faults in inputs, by reason",
        [Query("sum by (reason) (rate(model_input_errors_total[5m]))", "{{reason}}")],
    ),
    Panel(
        "Share of a core",
        [Query('rate(process_cpu_seconds_total{job="api"}[5m])', "{{role}}")],
        "percentunit",
        0.85,
    ),
    Panel(
        "Memory",
        [Query('process_resident_memory_bytes{job="api"}', "{{role}}")],
        "bytes",
    ),
    Panel(
        "Share of descriptors open",
        [Query('process_open_fds{job="api"} / process_max_fds{job="api"}', "{{role}}")],
        "percentunit",
        0.8,
    ),
]

MODEL = [
    Panel(
        "Rows a second, by class",
        [
            Query(
                "sum by (label) " f"(rate(model_predictions_total{{{LIVE}}}[5m]))",
                "{{label}}",
            )
        ],
    ),
    Panel(
        "Class mix of the last hour",
        [Query(f"role_label:predictions:ratio1h{{{LIVE}}}", "{{label}}")],
        "percentunit",
    ),
    Panel(
        "Confidence: a tenth is below, half is below",
        quantiles("model_confidence_ratio", LIVE, 0.1, 0.5),
        "percentunit",
    ),
    Panel(
        "Distance from the training table, six hours",
        [Query(f"role_feature:feature_distance:ks6h{{{LIVE}}}", "{{feature}}")],
        "percentunit",
        0.25,
        12,
    ),
    Panel(
        "Values out of range, one hour",
        [Query(f"role_feature:out_of_range:ratio1h{{{LIVE}}}", "{{feature}}")],
        "percentunit",
        0.1,
        12,
    ),
    Panel(
        "Median of each feature",
        [
            Query(
                "histogram_quantile(0.5, sum by (feature, le) "
                f"(rate(model_feature_value_bucket{{{LIVE}}}[5m])))",
                "{{feature}}",
            )
        ],
        width=12,
    ),
    Panel(
        "Rows behind the distances",
        [Query("min by (role) (role_feature:feature_rows:increase6h)", "{{role}}")],
        width=12,
    ),
]

COMPARED = "match|within_tolerance|proba_shift|label_flip"
SHADOW = [
    Panel(
        "Verdict",
        [Query('shadow_verdict{gate="overall"} == 1', "{{state}}")],
        width=6,
        is_number=True,
        states=True,
    ),
    Panel(
        "Gates by state",
        [Query('count by (state) (shadow_verdict{gate!="overall"} == 1)', "{{state}}")],
        width=6,
        is_number=True,
    ),
    Panel(
        "Lost, of what was due",
        [Query("job:shadow_loss:ratio15m", "lost")],
        "percentunit",
        0.01,
        6,
        is_number=True,
    ),
    Panel(
        "Router connected",
        [Query("shadow_router_connected", "router")],
        width=6,
        is_number=True,
    ),
    Panel(
        "What became of requests, a second",
        [Query("sum by (fate) (rate(shadow_requests_total[5m])) > 0", "{{fate}}")],
        "reqps",
        width=12,
    ),
    Panel(
        "Label flips, of what was compared",
        [
            Query(
                'sum(rate(shadow_requests_total{fate="label_flip"}[5m])) / '
                f'sum(rate(shadow_requests_total{{fate=~"{COMPARED}"}}[5m]))',
                "flips",
            )
        ],
        "percentunit",
        width=12,
    ),
    Panel(
        "Half of the answers within",
        [
            Query(
                "histogram_quantile(0.5, sum by (role, le) "
                "(rate(shadow_duration_seconds_bucket[5m])))",
                "{{role}}",
            )
        ],
        "s",
    ),
    Panel(
        "99 % of the answers within",
        [
            Query(
                "histogram_quantile(0.99, sum by (role, le) "
                "(rate(shadow_duration_seconds_bucket[5m])))",
                "{{role}}",
            )
        ],
        "s",
    ),
    Panel(
        "Copies in the queue",
        [Query("shadow_queue_items", "copies")],
    ),
    Panel(
        "Bytes in the queue",
        [Query("shadow_queue_bytes", "bytes")],
        "bytes",
    ),
    Panel(
        "Share of requests copied",
        [
            Query("shadow_sample_rate", "to be copied"),
            Query("shadow_shed_share", "left out to protect live"),
        ],
        "percentunit",
    ),
    Panel(
        "Switches: 1 is on",
        [
            Query("shadow_killed", "kill switch"),
            Query("shadow_breaker_open", "breaker"),
            Query("shadow_closed", "run closed"),
        ],
    ),
]

DASHBOARDS = {"service": SERVICE, "model": MODEL, "shadow": SHADOW}
