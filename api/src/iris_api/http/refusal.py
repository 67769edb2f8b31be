"""
Answers of the server itself, to what never reaches the application.
"""

from __future__ import annotations

from iris_api.problems import MEDIA_TYPE, RETRY_AFTER_S, TITLES, problem_of_status
from iris_api.request_id import choose_request_id


def refusal(status: int, request: list[tuple[bytes, bytes]], date: bytes) -> bytes:
    """
    Return a whole answer after which the connection ends.

    Parameters
    ----------
    status : int
        Of an error.
    request : list of pairs of bytes
        Headers that have come; the request id is among them, or made.
    date : bytes
        Value of the header of that name.
    """
    request_id = choose_request_id(request)
    body = problem_of_status(status, {}).body(request_id)
    headers = {
        "date": date.decode(),
        "content-type": MEDIA_TYPE,
        "content-length": str(len(body)),
        "x-request-id": request_id,
        "server-timing": "predict;dur=0",
        "connection": "close",
    }
    if status == 503:
        headers["retry-after"] = RETRY_AFTER_S
    lines = [f"HTTP/1.1 {status} {TITLES[status]}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body
