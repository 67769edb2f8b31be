"""
Counts of answers and durations, kept in numpy and added to in batches.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.metrics_core import Metric

from iris_api.schemas import Histogram as TableHistogram
from iris_api.schemas import ModelCard, Reference

CALL_EDGES_S = (2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 0.025, 0.1)
# Of the table in each bin, where inputs are not on record.
WITHHELD_SHARE = 0.25
CONFIDENCE_EDGES = (0.2, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]

# One call of the model: rows, probabilities, seconds.
Call = tuple[Matrix, Matrix, float]


class Histogram:
    """
    Counts of values between edges.

    Parameters
    ----------
    edges : sequence of float
        Upper ends of the bins, ascending; a last bin without end follows.
    has_sum : bool
        Whether the sum is told, which before and after a request gives its value.
    """

    def __init__(self, edges: Sequence[float], has_sum: bool = True) -> None:
        self._has_sum = has_sum
        self._edges = np.array(edges, dtype=np.float64)
        self._names = [*(repr(float(edge)) for edge in edges), "+Inf"]
        self._counts = np.zeros(len(edges) + 1, dtype=np.int64)
        self._sum = 0.0

    def add(self, values: Vector, clipped: bool = False) -> None:
        """
        Count values, each in the first bin whose end it does not exceed.

        Parameters
        ----------
        values : array of shape (n,)
            Finite.
        clipped : bool
            Whether the sum takes what lies outside the edges as the nearest of them:
            one absurd value would otherwise swallow the sum of all others.
        """
        places = np.searchsorted(self._edges, values)
        self._counts += np.bincount(places, minlength=len(self._counts))
        if clipped:
            values = values.clip(self._edges[0], self._edges[-1])
        self._sum += float(values.sum())

    def add_to(self, family: HistogramMetricFamily, labels: Sequence[str]) -> None:
        """Add the cumulative counts to what is shown."""
        cumulative = self._counts.cumsum().tolist()
        total = self._sum if self._has_sum else None
        family.add_metric(labels, list(zip(self._names, cumulative)), total)


@dataclass(frozen=True, slots=True)
class Bins:
    """
    The bins of the training table, as Prometheus has them.

    Attributes
    ----------
    ends : list of float
        One more than bins: first the end of what lies below them.
    counts : list of int
        Rows of the table in each bin.
    """

    ends: list[float]
    counts: list[int]


def bins_of(table: TableHistogram, least: float = 0.0) -> Bins:
    """
    Return the bins in which live's values and the table's are counted alike.

    Parameters
    ----------
    table : TableHistogram
        As the manifest has it, from `numpy.histogram`: a bin holds its lower edge and
        not its upper one, the last holds both.
    least : float
        Share of the table that a bin must hold; smaller ones are joined.

    Notes
    -----
    A bucket of Prometheus holds its upper end. So the end of a bin is the largest
    number below its edge: up to there lie exactly the values below the edge.
    """
    edges = np.array(table.edges)
    ends = [*np.nextafter(edges[:-1], -np.inf).tolist(), float(edges[-1])]
    joined = Bins(ends[:1], [])
    held, left = 0, sum(table.counts)
    wanted = least * left
    for end, count in zip(ends[1:], table.counts, strict=True):
        held, left = held + count, left - count
        if end == ends[-1] or (held >= wanted and left >= wanted):
            joined.ends.append(end)
            joined.counts.append(held)
            held = 0
    return joined


class AnswerCounts:
    """
    What was asked of one model, and what it answered.

    Parameters
    ----------
    card : ModelCard
        Names the features, their bins and the classes.
    reference : Reference or None
        How the rows of the training table are answered, where the model says it.
    tells_inputs : bool
        Whether inputs are on record. Where not, counts before and after a request must
        not give its rows: there are no sums of them, and few bins.
    """

    def __init__(
        self,
        card: ModelCard,
        reference: Reference | None = None,
        tells_inputs: bool = True,
    ) -> None:
        self._card = card
        self._reference = reference
        self._features = [f.name for f in card.features]
        least = 0.0 if tells_inputs else WITHHELD_SHARE
        self._bins = [bins_of(f.histogram, least) for f in card.features]
        self._values = [Histogram(bins.ends, tells_inputs) for bins in self._bins]
        self._ranges = [(f.minimum, f.maximum) for f in card.features]
        self._outside = [0] * len(card.features)
        self._labels = np.zeros(len(card.classes), dtype=np.int64)
        self._confidence = Histogram(CONFIDENCE_EDGES, tells_inputs)
        self._seconds = Histogram(CALL_EDGES_S)

    def add(self, calls: Sequence[Call]) -> None:
        """Count calls of the model."""
        rows, shares, seconds = zip(*calls)
        self._seconds.add(np.array(seconds))
        self._add_rows(np.concatenate(rows))
        self._add_shares(np.concatenate(shares))

    def _add_rows(self, matrix: Matrix) -> None:
        # Column by column: numpy counts along the rows many times slower.
        columns = np.ascontiguousarray(matrix.T)
        for place, (lowest, highest) in enumerate(self._ranges):
            column = columns[place]
            outside = (column < lowest) | (column > highest)
            self._outside[place] += int(np.count_nonzero(outside))
            self._values[place].add(column, clipped=True)

    def _add_shares(self, shares: Matrix) -> None:
        winners = shares.argmax(axis=1)
        self._labels += np.bincount(winners, minlength=len(self._labels))
        self._confidence.add(np.ascontiguousarray(shares.T).max(axis=0))

    def collect(self) -> Iterator[Metric]:
        """Give the counts as metrics."""
        yield self._label_family()
        confidence = HistogramMetricFamily(
            "model_confidence_ratio", "Probability of the predicted class."
        )
        self._confidence.add_to(confidence, ())
        yield confidence
        seconds = HistogramMetricFamily(
            "model_prediction_duration_seconds",
            "Time spent on predicting, for all rows that were answered together.",
        )
        self._seconds.add_to(seconds, ())
        yield seconds
        yield from self._feature_families()

    def _label_family(self) -> Metric:
        family = CounterMetricFamily(
            "model_predictions",
            "Rows answered, by predicted class.",
            labels=["model_name", "model_version", "label"],
        )
        for label, count in zip(self._card.classes, self._labels.tolist()):
            family.add_metric([self._card.name, self._card.version, label], count)
        return family

    def _feature_families(self) -> Iterator[Metric]:
        values = HistogramMetricFamily(
            "model_feature_value",
            "Values answered, on the bins of the training table: le is the largest "
            "number below the edge of a bin, but for the last, which holds its edge. "
            "The sum takes what lies outside them as the nearest edge.",
            labels=["feature"],
        )
        outside = CounterMetricFamily(
            "model_out_of_range",
            "Values answered that lie outside the training range.",
            labels=["feature"],
        )
        counted = zip(self._features, self._values, self._outside)
        for name, histogram, count in counted:
            histogram.add_to(values, (name,))
            outside.add_metric((name,), count)
        yield values
        yield outside
        yield from self._reference_families()

    def _reference_families(self) -> Iterator[Metric]:
        """Give the training table in the shape of the live counts beside it."""
        rows = max((sum(f.histogram.counts) for f in self._card.features), default=0)
        yield GaugeMetricFamily(
            "model_reference_rows",
            "Rows of the training table, with which live's are compared.",
            value=rows,
        )
        family = GaugeMetricFamily(
            "model_feature_reference_ratio",
            "Share of the training table's values up to the end of a bin.",
            labels=["feature", "le"],
        )
        for name, bins in zip(self._features, self._bins, strict=True):
            counts = np.array(bins.counts)
            shares = (counts.cumsum() / max(counts.sum(), 1)).tolist()
            for end, share in zip(bins.ends[1:], shares, strict=True):
                family.add_metric([name, repr(end)], share)
        yield family
        yield self._label_reference()
        yield self._confidence_reference()

    def _label_reference(self) -> Metric:
        family = GaugeMetricFamily(
            "model_label_reference_ratio",
            "Share of the training table's rows, by the class they are answered with.",
            labels=["label"],
        )
        labels = self._reference.labels if self._reference else {}
        for label, rows in labels.items():
            family.add_metric([label], rows / max(sum(labels.values()), 1))
        return family

    def _confidence_reference(self) -> Metric:
        family = GaugeMetricFamily(
            "model_confidence_reference_ratio",
            "Share of the training table's rows whose answer is at most so sure.",
            labels=["le"],
        )
        reference, classes = self._reference, len(self._card.classes)
        shares = confidence_shares(reference, classes) if reference else []
        for edge, share in zip(CONFIDENCE_EDGES, shares):
            family.add_metric([repr(edge)], share)
        return family


def confidence_shares(reference: Reference, classes: int) -> list[float]:
    """
    Return the share of the training table's rows up to each of `CONFIDENCE_EDGES`.

    Parameters
    ----------
    reference : Reference
    classes : int
        How many there are: no answer is less sure than one divided by it.

    Returns
    -------
    list of float
        Ascending, each between 0 and 1; empty where the reference has no quantiles,
        since it then does not say where its rows lie.

    Notes
    -----
    Between two quantiles the rows are spread evenly, below the first of them down to
    the least sure answer there can be, above the last up to 1. The quantiles lie
    halfway between hundredths that occur, and the edges on hundredths; so half of the
    rows that round to an edge are up to it, as they are where answers are not rounded.
    An edge is wrong by the rows of its own cell at most.
    """
    if not reference.confidence:
        return []
    at_most = [0, *reference.at_most, reference.rows]
    ends = [1 / classes, *reference.confidence, 1.0]
    shares: list[float] = np.interp(
        CONFIDENCE_EDGES, ends, np.array(at_most) / reference.rows
    ).tolist()
    return shares
