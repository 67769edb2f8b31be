"""
Errors as answers: RFC 9457 problems, and the one table from error to status.

A problem never holds a value of the client, nor the text of an exception.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from iris_api.errors import (
    BodyTooLarge,
    Fault,
    HostNotServed,
    InvalidInputs,
    IrisApiError,
    KeyRefused,
    MalformedJson,
    ModelUnusable,
    Overloaded,
    PathNotServed,
    RecordNotWritten,
    Stopping,
    TooManyRequests,
    UnknownModel,
    UnsupportedBody,
)

MEDIA_TYPE = "application/problem+json"
MAX_BYTES = 4096
MAX_BODY_BYTES = 256 * 1024

# Our own table: the standard library's titles differ between Python versions.
TITLES = {
    400: "Bad Request",
    401: "Unauthorized",
    404: "Not Found",
    405: "Method Not Allowed",
    408: "Request Timeout",
    413: "Content Too Large",
    415: "Unsupported Media Type",
    421: "Misdirected Request",
    422: "Unprocessable Content",
    429: "Too Many Requests",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    501: "Not Implemented",
    503: "Service Unavailable",
    505: "HTTP Version Not Supported",
}

DETAILS = {
    400: "this is not HTTP/1.1, or can be read in two ways; "
    "see its lengths, Host and path",
    404: "nothing is at this path; the documentation lists what there is",
    405: "this path does not take this method; see the Allow header",
    408: "the request did not arrive in time; send it again, and whole",
    421: "this Host is not served here; IRIS_API_ALLOWED_HOSTS adds hosts",
    431: "the request line and headers exceed 16 KiB together, or trailers do",
    500: "something went wrong here; quote request_id when you report it",
    501: "the only transfer coding that is taken is chunked",
    503: "there are too many connections or requests at once; come again later",
    505: "this is HTTP/1.1",
}

RETRY_AFTER_S = "5"
CHALLENGE = 'ApiKey realm="iris_api"'

_STATUS_OF: dict[type[IrisApiError], int] = {
    HostNotServed: 421,
    PathNotServed: 404,
    KeyRefused: 401,
    TooManyRequests: 429,
    BodyTooLarge: 413,
    UnsupportedBody: 415,
    MalformedJson: 400,
    InvalidInputs: 422,
    UnknownModel: 404,
    ModelUnusable: 503,
    Overloaded: 503,
    RecordNotWritten: 503,
    Stopping: 503,
}

_DETAIL_OF: dict[type[IrisApiError], str] = {
    HostNotServed: DETAILS[421],
    PathNotServed: DETAILS[404],
    BodyTooLarge: f"the body exceeds {MAX_BODY_BYTES // 1024} KiB; split the request",
    InvalidInputs: "the inputs cannot be predicted; see errors",
    ModelUnusable: "the model does not answer as it should",
    Overloaded: "there are too many large requests at once; send it again later",
    RecordNotWritten: "the prediction cannot be put on record; nothing was predicted",
    Stopping: "this process is stopping; send the request again",
}


@dataclass(frozen=True, slots=True)
class Problem:
    """
    An error answer before it has a request.

    Attributes
    ----------
    status : int
        HTTP status.
    detail : str
        What is wrong with this request and what to do.
    faults : tuple of Fault
        Places in the document.
    more : int
        Faults that are not listed.
    headers : dict of str to str
        Further headers of the answer.
    """

    status: int
    detail: str
    faults: tuple[Fault, ...] = ()
    more: int = 0
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def media_type(self) -> str:
        """The content type of the body."""
        return MEDIA_TYPE

    def body(self, request_id: str) -> bytes:
        """Return the JSON document, at most 4 KiB: entries that do not fit count."""
        shown, more = list(self.faults), self.more
        encoded = self.encode(request_id, shown, more)
        while len(encoded) > MAX_BYTES:
            shown.pop()
            more += 1
            encoded = self.encode(request_id, shown, more)
        return encoded

    def encode(self, request_id: str, shown: list[Fault], more: int) -> bytes:
        """Return the document with some of the faults listed and the others counted."""
        entries = [{"pointer": f.pointer, "detail": f.detail} for f in shown]
        document: dict[str, object] = {
            "type": "about:blank",
            "title": TITLES.get(self.status, "Error"),
            "status": self.status,
            "detail": self.detail,
            "request_id": request_id,
        }
        if entries:
            document["errors"] = entries
        if more:
            document["more_errors"] = more
        return json.dumps(document, separators=(",", ":")).encode()


def problem_of(error: IrisApiError) -> Problem:
    """Return what the client is told of an error."""
    kind = type(error)
    status = _STATUS_OF[kind]
    # The texts of those without an entry are written for clients.
    detail = _DETAIL_OF.get(kind, str(error))
    headers = {"Retry-After": RETRY_AFTER_S} if status == 503 else {}
    if isinstance(error, KeyRefused):
        headers = {"WWW-Authenticate": CHALLENGE}
    if isinstance(error, TooManyRequests):
        headers = {"Retry-After": str(error.wait_s)}
    if isinstance(error, InvalidInputs):
        return Problem(status, detail, error.faults, error.more)
    return Problem(status, detail, headers=headers)


def problem_of_status(status: int, headers: dict[str, str]) -> Problem:
    """Return the problem for a bare HTTP status, such as that of no such path."""
    detail = DETAILS.get(status, "the request cannot be answered")
    return Problem(status, detail, headers=headers)
