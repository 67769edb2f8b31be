"""The rules of HTTP/1.1, without a server."""

import pytest

from iris_api.http.http1 import (
    Malformed,
    has_control_character,
    head_length,
    judge_request,
    names_of_this_hop,
    parse_length,
    read_answer,
)

HOST = (b"host", b"x")
TE = b"transfer-encoding"
CHUNKED = (TE, b"chunked")


def length(value):
    return (b"content-length", value)


@pytest.mark.parametrize(
    ("value", "number"),
    [(b"0", 0), (b"007", 7), (b"18446744073709551615", 2**64 - 1), (b"0" * 20, 0)],
)
def test_length_is_its_number_when_it_is_digits(value, number):
    assert parse_length(value) == number


@pytest.mark.parametrize(
    "value",
    [
        *(b"", b"+5", b"-5", b"5_0", b" 5", b"5 ", b"5\n", b"5.0", b"0x5", b"5e1"),
        *(b"5, 5", b"5,5", b"\xb2", "５".encode(), b"0" * 21, b"9" * 4_301),
    ],
)
def test_length_is_refused_when_it_is_not_a_few_digits(value):
    with pytest.raises(Malformed):
        parse_length(value)
    assert judge_request("1.1", b"/", [HOST, length(value)]) == 400
    with pytest.raises(Malformed):
        read_answer("1.1", 200, [length(value)])


@pytest.mark.parametrize(
    ("version", "headers", "status"),
    [
        ("1.1", [HOST], 0),
        ("1.1", [HOST, length(b"5")], 0),
        ("1.1", [HOST, CHUNKED], 0),
        ("1.1", [(TE, b"Chunked"), HOST], 0),
        ("1.1", [HOST, (b"accept", b"*/*")], 0),
        ("1.0", [], 0),
        ("1.0", [HOST, length(b"5")], 0),
        ("1.1", [], 400),
        ("1.1", [HOST, HOST], 400),
        ("1.0", [HOST, HOST], 400),
        ("1.1", [HOST, length(b"5"), length(b"5")], 400),
        ("1.1", [HOST, length(b"5"), CHUNKED], 400),
        ("1.1", [HOST, CHUNKED, length(b"5")], 400),
        ("1.1", [HOST, CHUNKED, CHUNKED], 400),
        ("1.1", [HOST, (TE, b"chunked, gzip")], 400),
        ("1.1", [HOST, (TE, b"")], 400),
        ("1.1", [HOST, (TE, b"chunked,")], 400),
        ("1.1", [HOST, (TE, b"gzip, chunked")], 501),
        ("1.1", [HOST, (TE, b"gzip"), CHUNKED], 501),
        ("1.1", [HOST, (TE, b"identity")], 501),
        ("1.1", [HOST, (TE, b"\x0bchunked")], 501),
        ("1.0", [HOST, CHUNKED], 400),
        ("1.0", [CHUNKED], 400),
        ("0.9", [], 400),
        ("2.0", [HOST], 505),
        ("3.0", [], 505),
    ],
)
def test_request_is_judged_by_its_head_when_it_has(version, headers, status):
    assert judge_request(version, b"/v1/predict", headers) == status


@pytest.mark.parametrize(
    "target",
    [
        *(b"/%00", b"/a%0a", b"/%0Da", b"/%1f/b", b"/%7F", b"/%C2%80", b"/%c2%9F"),
        *(b"http://x/a%0a?b", b"/a%0a?b=c", b"/%61%09"),
    ],
)
def test_path_is_refused_when_it_has_a_control_character(target):
    assert has_control_character(target)
    assert judge_request("1.1", target, [HOST]) == 400


@pytest.mark.parametrize(
    "target",
    [
        *(b"/%20", b"/%41?a=%0a", b"/%zz", b"/%C3%A9", b"/%85", b"/%E2%80%A8", b"*"),
        *(b"/%250a", b"/%", b"/%0", b"/%C2%A0", b"/%ff%fe"),
    ],
)
def test_path_is_served_when_it_has_no_control_character(target):
    assert not has_control_character(target)
    assert judge_request("1.1", target, [HOST]) == 0


@pytest.mark.parametrize(
    ("version", "status", "headers", "number"),
    [
        ("1.1", 200, [length(b"5")], 5),
        ("1.0", 200, [length(b"5")], 5),
        ("1.1", 200, [], None),
        ("1.1", 599, [CHUNKED], None),
        ("1.1", 204, [length(b"5")], 0),
        ("1.1", 304, [length(b"5")], 0),
    ],
)
def test_answer_has_a_length_when_it_says_so(version, status, headers, number):
    assert read_answer(version, status, headers) == number


@pytest.mark.parametrize(
    ("version", "status", "headers"),
    [
        ("2.0", 200, []),
        ("0.9", 200, []),
        ("1.1", 99, []),
        ("1.1", 199, []),
        ("1.1", 600, []),
        ("1.1", 999, []),
        ("1.1", 200, [length(b"5"), length(b"5")]),
        ("1.1", 200, [length(b"5"), CHUNKED]),
        ("1.1", 200, [CHUNKED, CHUNKED]),
        ("1.1", 200, [(TE, b"gzip, chunked")]),
        ("1.1", 200, [(TE, b"gzip")]),
        ("1.0", 200, [CHUNKED]),
    ],
)
def test_answer_is_malformed_when_it_has(version, status, headers):
    with pytest.raises(Malformed):
        read_answer(version, status, headers)


def test_headers_end_at_this_hop_when_connection_names_them():
    named = names_of_this_hop(b"close, X-One,\tx-two ,Keep-Alive")
    assert named == {b"close", b"x-one", b"x-two", b"keep-alive"}


@pytest.mark.parametrize(
    "name", [b"Content-Length", b"Host", b"Content-Type", b"X-Request-ID", b"Date"]
)
def test_header_for_all_recipients_is_passed_on_when_connection_names_it(name):
    assert names_of_this_hop(b"close, " + name) == {b"close"}


def test_head_is_as_long_as_it_was_sent_when_it_is_added_up():
    assert head_length(b"/", [(b"a", b"b"), HOST]) == len(b"/a: b\r\nhost: x\r\n")
