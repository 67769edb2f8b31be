"""
Requests that every server of ours refuses alike, whatever it serves.

Every unit that speaks HTTP has this same file, to the letter.
"""

import re

BODY = (
    b'{"inputs": [{"sepal_length_cm": 5.1, "sepal_width_cm": 3.5, '
    b'"petal_length_cm": 1.4, "petal_width_cm": 0.2}]}'
)
CHUNKED = b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)
GET = b"GET /livez HTTP/1.1\r\nHost: x\r\n"
LAST = b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
LENGTH = b"Content-Length: %d\r\n" % len(BODY)
TE = b"Transfer-Encoding: "


def post(headers, body=BODY, version=b"1.1"):
    """Return a prediction request with some headers of its own."""
    return (
        b"POST /v1/predict HTTP/%b\r\nHost: x\r\nContent-Type: application/json\r\n"
        b"%b\r\n%b" % (version, headers, body)
    )


def coded(value, body=CHUNKED):
    """Return a prediction request with a transfer coding."""
    return post(TE + value + b"\r\n", body)


REFUSED = {
    # Two readings of where a request ends.
    "both lengths": (400, post(LENGTH + TE + b"chunked\r\n", CHUNKED)),
    "both lengths, turned": (400, post(TE + b"chunked\r\n" + LENGTH, CHUNKED)),
    "a length twice": (400, post(LENGTH + LENGTH)),
    "two lengths": (400, post(LENGTH + b"Content-Length: 1\r\n")),
    "a list of lengths": (400, post(b"Content-Length: 5, 5\r\n")),
    "a length with a sign": (400, post(b"Content-Length: +5\r\n")),
    "a negative length": (400, post(b"Content-Length: -1\r\n")),
    "a length in hex": (400, post(b"Content-Length: 0x10\r\n")),
    "a length with a point": (400, post(b"Content-Length: 1.0\r\n")),
    "a length with an underscore": (400, post(b"Content-Length: 1_0\r\n")),
    "an empty length": (400, post(b"Content-Length:\r\n")),
    "a length with a space in it": (400, post(b"Content-Length: 1 0\r\n")),
    "a length in digits of elsewhere": (
        400,
        post("Content-Length: \uff15\r\n".encode()),
    ),
    "a length in a power": (400, post(b"Content-Length: \xb2\r\n")),
    "a length of 21 digits": (400, post(b"Content-Length: %021d\r\n" % len(BODY))),
    "a length of 4,301 digits": (
        400,
        post(b"Content-Length: %04301d\r\n" % len(BODY)),
    ),
    "a length of 23 digits": (400, post(b"Content-Length: %d\r\n" % 10**22)),
    "chunked twice": (400, coded(b"chunked\r\nTransfer-Encoding: chunked")),
    "chunked, chunked": (400, coded(b"chunked, chunked")),
    "chunked, identity": (400, coded(b"chunked, identity")),
    "an empty coding": (400, coded(b"")),
    "a coding after a vertical tab": (400, coded(b"\x0bchunked")),
    "a coding on a folded line": (400, coded(b"\r\n chunked")),
    "gzip": (501, coded(b"gzip")),
    "gzip, chunked": (501, coded(b"gzip, chunked")),
    "identity": (501, coded(b"identity")),
    "xchunked": (501, coded(b"xchunked")),
    "chunked in quotes": (501, coded(b'"chunked"')),
    "chunked with a parameter": (501, coded(b"chunked;q=1")),
    "chunked in HTTP/1.0": (400, post(TE + b"chunked\r\n", CHUNKED, b"1.0")),
    "gzip in HTTP/1.0": (400, post(TE + b"gzip\r\n", CHUNKED, b"1.0")),
    "gzip and chunked on two lines": (
        501,
        coded(b"gzip\r\nTransfer-Encoding: chunked"),
    ),
    "a chunk size that is none": (400, coded(b"chunked", b"zz\r\n")),
    "a negative chunk": (400, coded(b"chunked", b"-1\r\n")),
    "a chunk size of 18 digits": (400, coded(b"chunked", b"f" * 18 + b"\r\n")),
    "a space after a chunk size": (400, coded(b"chunked", b"5 \r\nhello\r\n0\r\n\r\n")),
    "chunks with bare line feeds": (400, coded(b"chunked", b"1\n{\n0\n\n")),
    "a bare line feed in an extension": (
        400,
        coded(b"chunked", b"1;a\n{\r\n0\r\n\r\n"),
    ),
    "a chunk without its end": (400, coded(b"chunked", b"1\r\n{0\r\n\r\n")),
    "a length as a trailer": (
        400,
        coded(b"chunked", CHUNKED[:-2] + b"Content-Length: 3\r\n\r\n"),
    ),
    # Lines and fields.
    "bare line feeds": (400, b"GET /livez HTTP/1.1\nHost: x\n\n"),
    "one bare line feed": (400, GET + b"A: b\nC: d\r\n\r\n"),
    "a bare carriage return": (400, GET + b"A: b\rC: d\r\n\r\n"),
    "a folded line": (400, GET + b"A: b\r\n c\r\n\r\n"),
    "a space before the colon": (400, GET + b"A : b\r\n\r\n"),
    "a space after the name of the length": (400, post(b"Content-Length : 5\r\n")),
    "NUL in a value": (400, GET + b"A: b\0\r\n\r\n"),
    "NUL in a name": (400, GET + b"A\0: b\r\n\r\n"),
    "a control character": (400, GET + b"A: b\x01\r\n\r\n"),
    "an empty name": (400, GET + b": b\r\n\r\n"),
    "no colon": (400, GET + b"nonsense\r\n\r\n"),
    "a quoted name": (400, GET + b'"A": b\r\n\r\n'),
    # The first line.
    "no host": (400, b"GET /livez HTTP/1.1\r\n\r\n"),
    "two hosts": (400, GET + b"Host: y\r\n\r\n"),
    "the same host twice": (400, GET + b"Host: x\r\n\r\n"),
    "two hosts in HTTP/1.0": (
        400,
        b"GET /livez HTTP/1.0\r\nHost: x\r\nHost: y\r\n\r\n",
    ),
    "a method in small letters": (400, b"get /livez HTTP/1.1\r\nHost: x\r\n\r\n"),
    "a method that is none": (400, b"FOO /livez HTTP/1.1\r\nHost: x\r\n\r\n"),
    "a tunnel": (400, b"CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n"),
    "a path that is not ASCII": (400, b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n"),
    "no slash": (400, b"GET livez HTTP/1.1\r\nHost: x\r\n\r\n"),
    "tabs": (400, b"GET\t/livez\tHTTP/1.1\r\nHost: x\r\n\r\n"),
    "a space in the path": (400, b"GET /li vez HTTP/1.1\r\nHost: x\r\n\r\n"),
    "a byte order mark": (400, b"\xef\xbb\xbf" + GET + b"\r\n"),
    "TLS": (400, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc"),
    "the preface of HTTP/2": (400, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "no version": (400, b"GET /livez\r\n\r\n"),
    "HTTP/2.0": (505, b"GET /livez HTTP/2.0\r\nHost: x\r\n\r\n"),
    "HTTP/1.2": (400, b"GET /livez HTTP/1.2\r\nHost: x\r\n\r\n"),
    # Too much.
    "a path of 16 KiB": (431, b"GET /%b HTTP/1.1\r\nHost: x\r\n\r\n" % (b"a" * 16384)),
    "a path without end": (431, b"GET /" + b"a" * 20_000),
    "a path of 1 MB": (431, b"GET /%b HTTP/1.1\r\nHost: x\r\n\r\n" % (b"a" * 10**6)),
    "headers of 17 KB": (431, GET + b"A: bcdefghijklm\r\n" * 1000 + b"\r\n"),
    "line ends without end": (431, b"\r\n" * 10_000),
    "trailers of 40 KB": (431, coded(b"chunked", CHUNKED[:-2] + b"A: b\r\n" * 6700)),
}

# Where one reader sees an end, another sees a part of the path.
CONTROLS = "%00 %09 %0a %0A %0d %0d%0a %1b %1f %7f %7F %C2%80 %c2%85 %C2%9f".split()
for place in ("/metrics{}", "/{}metrics", "/v1/pre{}dict", "http://x/metrics{}?a=b"):
    for control in CONTROLS:
        path = place.format(control).encode()
        REFUSED[f"{control} in {place}"] = (
            400,
            b"GET %b HTTP/1.1\r\nHost: x\r\n\r\n" % path,
        )


def statuses(answers):
    """Return the statuses of all answers in a stream."""
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", answers)]
