"""A live that shows metrics of its model, as the API does."""

import itertools
import json

from router_fakes import ANSWER, METRICS, FakeServer, answer_bytes

VALUES = ("model_feature_value_bucket", "model_feature_reference_ratio")
CONFIDENCE = ("model_confidence_ratio_bucket", "model_confidence_reference_ratio")
LABELS = ("model_predictions_total", "model_label_reference_ratio")

# Of a table of 150 rows.
EDGES = (1.0, 2.0, 3.0, 4.0, 5.0)
TABLE = (8, 32, 60, 40, 10)
# As many in each cell as the table says, and none above the last edge.
ALIKE = (80, 320, 600, 400, 100, 0)
MOVED = (0, 80, 320, 600, 400, 100)
HOSTILE = "</p><img src=x onerror=alert(1)>\"'&{{ 7*7 }}"


def quoted(text):
    """Return a label value as Prometheus writes it."""
    return json.dumps(text, ensure_ascii=False)


def axis_lines(families, labels, edges, live, table):
    """Yield cumulative counts; live has one cell more, above the last edge."""
    counts = list(itertools.accumulate(live))
    for edge, n in zip((*edges, "+Inf"), counts, strict=True):
        yield f'{families[0]}{{{labels}le="{edge}"}} {n}'
    for edge, n in zip(edges, itertools.accumulate(table), strict=True):
        yield f'{families[1]}{{{labels}le="{edge}"}} {n / sum(table)}'


def exposition(features=(), labels=None, confidence=None, rows=150, started=1.5):
    """
    Return what a model's API would show.

    `features` maps names to edges, live's counts and the table's, which are what
    `confidence` is; `labels` maps them to counts of live and of the table.
    """
    lines = [
        "# HELP process_start_time_seconds Start time of the process.",
        f"process_start_time_seconds {started}",
        f"model_reference_rows {rows}",
    ]
    for name in features:
        lines += axis_lines(VALUES, f"feature={quoted(name)},", *features[name])
    for name, (live, table) in (labels or {}).items():
        label = f"label={quoted(name)}"
        lines.append(f'{LABELS[0]}{{model_name="m",{label}}} {live}')
        lines.append(f"{LABELS[1]}{{{label}}} {table / rows}")
    if confidence:
        lines += axis_lines(CONFIDENCE, "", *confidence)
    return "\n".join([*lines, ""]).encode()


class CountingLive(FakeServer):
    """Counts each request as so many rows in the cells of some features and labels."""

    def __init__(self, features, labels, confidence):
        super().__init__(self.answer_and_count, shows=(METRICS,))
        self.requests = 0
        self._parts = (features, labels, confidence)

    async def answer_and_count(self, arrived, writer):
        if arrived.target == METRICS:
            writer.write(answer_bytes(self._metrics(), kind="text/plain"))
        else:
            self.requests += 1
            writer.write(answer_bytes(ANSWER))
        return True

    def _metrics(self):
        features, labels, confidence = self._parts
        times = self.requests

        def counted(edges, live, table):
            return edges, [times * n for n in live], table

        return exposition(
            {name: counted(*one) for name, one in features.items()},
            {name: (times * live, table) for name, (live, table) in labels.items()},
            counted(*confidence),
        )


def times(counts, factor):
    """Return counts, each as many times."""
    return tuple(factor * n for n in counts)
