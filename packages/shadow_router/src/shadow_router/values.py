"""
The values that travel between modules; no behaviour beyond naming them.

What a comparison makes by the dozen is a named tuple: a frozen dataclass takes more
than twice as long to make.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from shadow_router.request.statuses import Standing, standing_of
from shadow_router.request.targets import path_of


class Fate(StrEnum):
    """What became of one request; every request gets exactly one."""

    MATCH = "match"
    WITHIN_TOLERANCE = "within_tolerance"
    PROBA_SHIFT = "proba_shift"
    LABEL_FLIP = "label_flip"
    CONTRACT_BREAK = "contract_break"
    CLIENT_ERROR_MATCH = "client_error_match"
    CLIENT_ERROR_DIFFERS = "client_error_differs"
    SHADOW_ERROR = "shadow_error"
    SHADOW_TIMEOUT = "shadow_timeout"
    SHADOW_REFUSED = "shadow_refused"
    DROPPED_QUEUE = "dropped_queue"
    DROPPED_BYTES = "dropped_bytes"
    DROPPED_SHED = "dropped_shed"
    DROPPED_BREAKER = "dropped_breaker"
    DROPPED_SHUTDOWN = "dropped_shutdown"
    DROPPED_WRITER = "dropped_writer"
    DROPPED_CRASH = "dropped_crash"
    SKIPPED_UNSAMPLED = "skipped_unsampled"
    SKIPPED_METHOD = "skipped_method"
    SKIPPED_TOO_LARGE = "skipped_too_large"
    SKIPPED_LIVE_FAILED = "skipped_live_failed"
    SKIPPED_REFUSED = "skipped_refused"
    INTERNAL_ERROR = "internal_error"

    # An enumeration hashes by Python code; fates are counted all the time.
    __hash__ = str.__hash__


class Lane(StrEnum):
    """What tests the measurement itself."""

    LIVE_AGAINST_LIVE = "live_against_live"
    MUTANTS = "mutants"


#: Flips count as confident when live's best class led by this much.
CONFIDENT_MARGIN = 0.5
#: Both versions answered and their labels could be put side by side.
COMPARED = (
    Fate.MATCH,
    Fate.WITHIN_TOLERANCE,
    Fate.PROBA_SHIFT,
    Fate.LABEL_FLIP,
)
#: Live answered and the shadow did not.
FAILED = (Fate.SHADOW_ERROR, Fate.SHADOW_TIMEOUT, Fate.SHADOW_REFUSED)
#: Live found fault with the request. Whatever the shadow made of it is no evidence:
#: anybody can send such requests, as many as they like.
CLIENT_ERRORS = (Fate.CLIENT_ERROR_MATCH, Fate.CLIENT_ERROR_DIFFERS)
#: Fates that leave a row in the table of comparisons.
WITH_ROW = (
    COMPARED + FAILED + CLIENT_ERRORS + (Fate.CONTRACT_BREAK, Fate.INTERNAL_ERROR)
)
#: Fates for which the three bodies are kept, so that a person can look.
DISCREPANCIES = (
    Fate.LABEL_FLIP,
    Fate.CONTRACT_BREAK,
    Fate.SHADOW_ERROR,
    Fate.PROBA_SHIFT,
    Fate.CLIENT_ERROR_DIFFERS,
)
SKIPPED = tuple(fate for fate in Fate if fate.startswith("skipped_"))
#: Never due for comparison as evidence, so that they cannot be lost either.
NOT_DUE = SKIPPED + CLIENT_ERRORS
#: Requests that should have been compared and left no evidence.
LOST = tuple(fate for fate in Fate if fate.startswith("dropped_")) + (
    Fate.INTERNAL_ERROR,
)


#: Header of a body whose JSON is followed by binary tensors: the length of the JSON.
JSON_BYTES = "inference-header-content-length"


class Exchange(NamedTuple):
    """One request with live's answer, as the router hands it to the collector."""

    request_id: str
    at_ns: int
    method: str
    target: bytes
    headers: tuple[tuple[bytes, bytes], ...]
    request_body: bytes
    live_status: int
    live_headers: dict[str, str]
    live_ms: float
    live_body: bytes
    #: Whose it is; the collector keeps a keyed hash of it and nothing else.
    client: str = ""

    @property
    def path(self) -> bytes:
        """Return the path of the target, however the target was written."""
        return path_of(self.target)

    @property
    def may_be_evidence(self) -> bool:
        """Return whether live answered; else it refused, or found fault."""
        status = self.live_status
        return status == 200 or standing_of(status) is Standing.ANSWERED


class Observation(NamedTuple):
    """
    One version's answer to one request.

    `latency_ms` is by the caller's clock, `predict_ms` by the server's own.
    """

    status: int
    content_type: str
    content_encoding: str
    body: bytes
    latency_ms: float
    predict_ms: float | None = None
    #: Length of the JSON at the start of the body, where binary tensors follow it.
    json_bytes: int | None = None


class RowDifference(NamedTuple):
    """
    What both versions said of one row.

    `total_variation` and `margin` (of live's best class over its next) are None when
    the answers hold no probabilities. A row is shifted when some number of it lies
    beyond its tolerance.
    """

    live: str
    shadow: str
    total_variation: float | None = None
    margin: float | None = None
    is_shifted: bool = False

    @property
    def is_flip(self) -> bool:
        """Return whether the labels differ."""
        return self.live != self.shadow


class Difference(NamedTuple):
    """What comparing two observations found; pure, with no request in it."""

    fate: Fate
    reason: str = ""
    rows: tuple[RowDifference, ...] = ()
    max_delta: float | None = None
    live_version: str = ""
    shadow_version: str = ""
    live_digest: str = ""
    shadow_digest: str = ""

    @property
    def worst_row(self) -> RowDifference | None:
        """Return the flip of the largest margin, else the row furthest apart."""
        if len(self.rows) == 1:
            return self.rows[0]

        def badness(row: RowDifference) -> tuple[bool, bool, float, float]:
            distance = row.total_variation or 0.0
            return row.is_flip, row.is_shifted, row.margin or 0.0, distance

        return max(self.rows, key=badness, default=None)


class Unit(NamedTuple):
    """One input as evidence: its digest, what was said of it, where it belongs."""

    digest: bytes
    row: RowDifference
    #: Feature bins, such as `age < 40`.
    bins: tuple[str, ...] = ()
    #: The row as canonical JSON, to be sampled; empty if it may not be or is long.
    source: bytes = b""


class Comparison(NamedTuple):
    """One row of the store: a request, both observations, their difference."""

    router_id: str
    exchange: Exchange
    live: Observation
    shadow: Observation | None
    difference: Difference
    #: Of the whole request; `units` are its rows, where they can be told apart.
    request_digest: bytes
    units: tuple[Unit, ...] = ()
    #: Digests of what was sent, where it got no labels.
    unanswered: tuple[bytes, ...] = ()

    @property
    def inputs(self) -> tuple[bytes, ...]:
        """Return the digests of what was sent, row by row where they can be told."""
        return self.unanswered or tuple([unit.digest for unit in self.units])

    @property
    def is_evidence(self) -> bool:
        """Return whether it says anything of a version in a client's good faith."""
        return self.difference.fate not in CLIENT_ERRORS


@dataclass(frozen=True, slots=True)
class Flow:
    """The collector's own gauges for one router, as of one commit."""

    taken: int
    open: int
    dropped_writer: int


@dataclass(frozen=True, slots=True)
class Bounds:
    """A lower and an upper bound for one quantity."""

    lower: float
    upper: float
