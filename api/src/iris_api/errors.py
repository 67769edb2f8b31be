"""
Everything that can go wrong in this unit, as one small tree; no HTTP in it.

IrisApiError
├── CannotStart             the process ends with one line
│   ├── SettingsInvalid     an IRIS_API_* or OTEL_* variable cannot be used
│   ├── ListenerBusy        the address cannot be listened on
│   ├── DescriptorsTooFew   the process may open too few descriptors
│   ├── RecordsUnopened     the destination of the records cannot be opened
│   └── KeysUnusable        the file of keys, or the name for a key, cannot be used
├── ModelUnusable           the model is not what its manifest says
├── HostNotServed           the request is for a host that is not this one
├── PathNotServed           the path is served on another port
├── KeyRefused              no key, or not one of ours
├── TooManyRequests         more of them than the rate limit allows
├── BodyTooLarge            more bytes than a request may have
├── UnsupportedBody         the headers announce something other than plain JSON
├── MalformedJson           the bytes are not JSON
├── InvalidInputs           JSON, but not rows this model can predict
├── UnknownModel            a model or version that this process does not serve
├── Overloaded              no room for one more large body
├── RecordNotWritten        a prediction that cannot be kept on record
└── Stopping                the process is about to end

`problems` maps them to statuses.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

# What is wrong with an input, as it is counted: a fixed set.
Reason = Literal[
    "missing",
    "unknown",
    "repeated",
    "not_a_number",
    "not_finite",
    "wrong_size",
    "wrong_type",
    "no_answer",
    "invalid",
]


class IrisApiError(Exception):
    """The root: catch this to catch all that the unit raises on purpose."""


class CannotStart(IrisApiError):
    """Raised before anything is served; its text is one line for the operator."""


class SettingsInvalid(CannotStart):
    """Raised when a setting is unknown or malformed; names it, not its value."""


class ListenerBusy(CannotStart):
    """Raised when host and port cannot be listened on."""


class DescriptorsTooFew(CannotStart):
    """Raised when the limit of descriptors leaves none for connections."""


class RecordsUnopened(CannotStart):
    """Raised when the destination of the records cannot be opened."""


class KeysUnusable(CannotStart):
    """Raised when keys cannot be read; names the line, never what is in it."""


class ModelUnusable(IrisApiError):
    """Raised when the model cannot be loaded or fails its golden rows."""


class HostNotServed(IrisApiError):
    """Raised when the host that a request names is not one that is served."""


class PathNotServed(IrisApiError):
    """Raised when a path is served, but not on the port that was asked."""


class KeyRefused(IrisApiError):
    """Raised when a request needs a key and has none of ours; says what to send."""


class TooManyRequests(IrisApiError):
    """
    Raised when a client has sent all that it may for now.

    Parameters
    ----------
    wait_s : int
        Seconds until its next request is let in.
    """

    def __init__(self, wait_s: int) -> None:
        super().__init__(f"too many requests; send the next in {wait_s} s")
        self.wait_s = wait_s


class BodyTooLarge(IrisApiError):
    """Raised when a body exceeds the cap; the rest of it is never read."""


class UnsupportedBody(IrisApiError):
    """Raised on a content type or encoding that is not taken; says which is."""


class MalformedJson(IrisApiError):
    """Raised when a body is not JSON; says where, without quoting it."""


@dataclass(frozen=True, slots=True)
class Fault:
    """
    One thing wrong with a document.

    Attributes
    ----------
    pointer : str
        JSON pointer (RFC 6901) to the place; empty for the whole document.
    detail : str
        What is wrong and what to do; never the value.
    reason : Reason
        What is wrong, in a word of a fixed set.
    field : str
        The feature it is about; another text when it is about none.
    """

    pointer: str
    detail: str
    reason: Reason = "invalid"
    field: str = ""


class InvalidInputs(IrisApiError):
    """
    Raised when a document cannot be predicted.

    Parameters
    ----------
    faults : tuple of Fault
        The first of them, in document order.
    more : int
        How many faults are not listed.
    """

    def __init__(self, faults: tuple[Fault, ...], more: int = 0) -> None:
        super().__init__(f"{len(faults) + more} faults")
        self.faults = faults
        self.more = more


class UnknownModel(IrisApiError):
    """Raised when another model or version is asked for; says which is served."""


class Overloaded(IrisApiError):
    """Raised when the large bodies that are here already leave no room for one more."""


class RecordNotWritten(IrisApiError):
    """Raised when a record cannot be written; its prediction must not leave."""


class Stopping(IrisApiError):
    """Raised when a request was not finished before the process had to end."""
