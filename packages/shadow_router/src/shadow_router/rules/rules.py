"""
The rules of a comparison: where to look, how far apart is close, what a gate allows.

Rules are data: they have a canonical form, and its sha256 goes into every verdict.
"""

import hashlib
import json
import re
from datetime import date
from functools import cached_property
from math import prod
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from shadow_router.rules.paths import parse_path


def _check_path(text: str) -> str:
    if text:
        parse_path(text)
    return text


def _check_route(text: str) -> str:
    method, _, path = text.partition(" ")
    if not (method.isupper() and path.startswith("/") and " " not in path):
        raise ValueError("a route reads METHOD /path")
    return text


def _check_target(text: str) -> str:
    if text and not re.fullmatch(r"/[!-~]*", text):
        raise ValueError("a path begins with / and has no spaces; '' for none")
    return text


Name = Annotated[str, Field(min_length=1, max_length=128)]
HeaderName = Annotated[str, Field(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}$")]
Path = Annotated[str, Field(max_length=256), AfterValidator(_check_path)]
Route = Annotated[str, Field(max_length=256), AfterValidator(_check_route)]
Share = Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)]
Distance = Annotated[float, Field(ge=0, allow_inf_nan=False)]


_HEADER_OR_NONE = r"^[A-Za-z0-9!#$%&'*+.^_`|~-]{0,128}$"
_NOTHING: frozenset[str] = frozenset()
#: Pieces that segments may cut inputs into where these are withheld: the sums tell in
#: which piece an input was.
_MOST_PIECES = 4


class _Rule(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


class Paths(_Rule):
    """Where requests and answers keep what is compared; empty for what is not there."""

    #: The rows of a request; without it a body counts as one input.
    inputs: Path = "inputs[]"
    label: Annotated[Path, Field(min_length=1)] = "predictions[].label"
    #: Tables by class name, or arrays in the order of `classes`.
    probabilities: Path = "predictions[].probabilities"
    version: Path = "model.version"
    #: A digest of the artefact, where the answers carry one.
    digest: Path = ""


OPEN_INFERENCE = Paths(
    label="outputs[label]",
    probabilities="outputs[probabilities]",
    version="model_version",
)


class Identity(_Rule):
    """Where a service tells which artefact it runs; no path: it is not asked."""

    path: Annotated[str, Field(max_length=256), AfterValidator(_check_target)] = (
        "/v1/model"
    )
    digest: Annotated[Path, Field(min_length=1)] = "digests.manifest"


class Tolerance(_Rule):
    """Two numbers agree when `|shadow - live| <= atol + rtol * |live|`."""

    field: Annotated[Path, Field(min_length=1)]
    atol: Distance = 0.0
    rtol: Distance = 0.0


class Ignore(_Rule):
    """A field that may be missing, extra or of another type until a day is over."""

    field: Annotated[Path, Field(min_length=1)]
    reason: Name
    # Strict values of a file are text; a date has one spelling.
    expires: date = Field(strict=False)


class Segment(_Rule):
    """A field of the input cut at its edges; each piece is judged on its own."""

    field: Name
    edges: tuple[Annotated[float, Field(allow_inf_nan=False)], ...] = Field(
        min_length=1, max_length=16
    )

    @model_validator(mode="after")
    def _check_order(self) -> Self:
        if list(self.edges) != sorted(set(self.edges)):
            raise ValueError("edges must ascend")
        return self


class Redact(_Rule):
    """
    What is never kept: fields of bodies, parameters of queries, headers.

    A bare name means the fields of that name wherever they are, a path those it leads
    to.
    """

    fields: tuple[Annotated[Path, Field(min_length=1)], ...] = Field(
        default=(), max_length=32
    )
    parameters: tuple[Name, ...] = Field(default=(), max_length=32)
    headers: tuple[HeaderName, ...] = Field(default=(), max_length=32)


class Thresholds(_Rule):
    """What each gate allows."""

    contract: Share = 0.001
    errors: Share = 0.001
    flips: Share = 0.01
    confident_flips: Share = 0.001
    distance: Share = 0.02
    #: Share of inputs beyond the tolerance; without it there is no such gate.
    shifts: Share | None = None
    class_mix: Share = 0.01
    segments: Share = 0.01
    #: How many times live's latency; a replay, which is not timed, has no such gate.
    latency: Annotated[float, Field(gt=1, allow_inf_nan=False)] | None = 1.2
    labels: Share = 0.01


#: Thresholds and the tolerance on probabilities, by what the change is said to be.
PROFILES = {
    "refactor": (Thresholds(flips=1e-4, segments=1e-4, shifts=1e-3), 1e-9),
    "infra": (Thresholds(flips=1e-3, segments=1e-3, shifts=1e-3), 1e-6),
    "retrain": (Thresholds(), 1e-6),
}


class Rules(_Rule):
    """Everything a comparison and its verdict go by."""

    profile: Literal["refactor", "retrain", "infra"] = "retrain"
    paths: Paths = Paths()
    identity: Identity = Identity()
    #: Names for the columns of probabilities that come as arrays.
    classes: tuple[Name, ...] = Field(default=(), max_length=1000)
    #: Method and path pairs that may be sent twice.
    mirror: tuple[Route, ...] = ("POST /v1/predict",)
    thresholds: Thresholds = PROFILES["retrain"][0]
    tolerances: tuple[Tolerance, ...] = Field(default=(), max_length=32)
    ignore: tuple[Ignore, ...] = Field(default=(), max_length=32)
    redact: Redact = Redact()
    #: How inputs of discrepancies are kept: to be read, to be recognised, not at all.
    keep_inputs: Literal["values", "hash", "none"] = "values"
    segments: tuple[Segment, ...] = Field(default=(), max_length=8)
    #: Header that names a client; '': its key where live gets keys, else its address.
    client: Annotated[str, Field(pattern=_HEADER_OR_NONE)] = ""
    #: The most that one client may be of the evidence of a verdict.
    client_share: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] = 0.5
    #: Whether requests that the API's own page sends are compared.
    own_page: Literal["skip", "compare"] = "skip"

    @model_validator(mode="after")
    def _check_compared(self) -> Self:
        kept = {self.paths.label, self.paths.probabilities}
        for field in (*(rule.field for rule in self.ignore), *self.redact.fields):
            if field in kept:
                raise ValueError(f"{field} is what is compared")
        return self

    @model_validator(mode="after")
    def _check_segments(self) -> Self:
        named = {parse_path(field)[-1] for field in self.redact.fields}
        redacted = {step.name or "" for step in named} | {step.key for step in named}
        for segment in self.segments:
            if segment.field in redacted:
                raise ValueError(f"segments: {segment.field} is redacted")
        pieces = prod(len(segment.edges) + 1 for segment in self.segments)
        if self.withholds_rows and pieces > _MOST_PIECES:
            raise ValueError(
                f"segments cut inputs into {pieces} pieces; at most {_MOST_PIECES} "
                "may be told of inputs that are not kept"
            )
        return self

    @cached_property
    def redacts_anything(self) -> bool:
        """Return whether something of a request is never kept that others are."""
        return self.keep_inputs != "values" or self.redact != Redact()

    @cached_property
    def withholds_rows(self) -> bool:
        """Return whether nothing of an input is kept."""
        rows = self.paths.inputs.removesuffix("[]")
        are_named = any(path.removesuffix("[]") == rows for path in self.redact.fields)
        return self.keep_inputs != "values" or are_named

    @cached_property
    def withholds_inputs(self) -> bool:
        """
        Return whether part of an input is not kept.

        What the two versions answer is a function of the whole of it: told precisely,
        it would give that part back.
        """
        return self.withholds_rows or bool(self.redact.fields)

    @cached_property
    def canonical(self) -> str:
        """Return the one text of these rules, defaults spelt out."""
        fields = self.model_dump(mode="json")
        return json.dumps(fields, sort_keys=True, separators=(",", ":"))

    @cached_property
    def sha256(self) -> str:
        """Return the digest of the canonical form."""
        return hashlib.sha256(self.canonical.encode()).hexdigest()

    @cached_property
    def probability_tolerance(self) -> Tolerance:
        """Return how far probabilities may be apart."""
        path = self.paths.probabilities
        for rule in self.tolerances:
            if rule.field == path:
                return rule
        return Tolerance(field=path or "none", atol=PROFILES[self.profile][1])

    @cached_property
    def field_tolerances(self) -> tuple[Tolerance, ...]:
        """Return the tolerances of fields other than the probabilities."""
        path = self.paths.probabilities
        return tuple(rule for rule in self.tolerances if rule.field != path)

    def of_a_replay(self) -> Self:
        """Return the same rules for a run that knows no times and no clients."""
        fields = self.model_dump(mode="json")
        fields["thresholds"]["latency"] = None
        fields["client_share"] = 1.0
        return self.model_validate_json(json.dumps(fields))

    def ignored_on(self, day: date) -> frozenset[str]:
        """Return the fields that are ignored on a day; `expires` is the last."""
        if not self.ignore:
            return _NOTHING
        return frozenset(r.field for r in self.ignore if day <= r.expires)

    def expired_on(self, day: date) -> tuple[Ignore, ...]:
        """Return the ignore rules that no longer hold on a day."""
        return tuple(rule for rule in self.ignore if day > rule.expires)


DEFAULT = Rules()
