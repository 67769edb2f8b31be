"""
Hostile JSON: fragments of every kind, and documents made by putting them in places.

Nothing is random but the broken copies of a good document, and they are seeded.
"""

import json
import random
from dataclasses import dataclass

from api_server import ROW, row_with

# In strings and numbers that are sent; must not come back.
CANARIES = (b"canary7f3a", b"7355608")
CAP = 256 * 1024
FIELD = "sepal_length_cm"
GOOD = json.dumps({"inputs": [ROW]}).encode()

STRUCTURE = r"""
[|]|{|}|[1|[1,|[1,2|["a|["a",|{"a|{"a"|{"a":|{"a":1|{"a":1,|{"a":[|[{|[{}|[}|{]|[1}
{"a":1]
{,}|[,]|[,1]|[1,]|[1,,2]|[,,]|{"a":1,}|{,"a":1}|{"a":1,,"b":2}|[1 2]|{"a" 1}|{"a"::1}
{:1}
{"a":1 "b":2}|{"a":1:2}|{"a","b"}|["a":1]|{a:1}|{'a':1}|{1:1}|{null:1}|{true:1}|{[]:1}
{{}:1}
[1]]|{}}|[]]|{"a":1}}|[1];|1;2|,|:|;|"|'|`|#|*|&a|!x|%|@|\|(1)|<1>|{"a":}|[1:2]|{"":}
a|nul|nulll|Null|NULL|None|nil|True|TRUE|tru|truee|False|falsee|fals|undefined|void 0
null0
[] []|{} {}|1 1|1,1|null null|{}[]|[]{}|"a""b"|{}x|[]#|null;|1 true|{"a":1}{"a":1}
"a" "b"
// a|/* a */ 1|1 // a|1 /* a */|[1 /* a */]|# a|-- a|<!-- a -->|{/*"a":1*/}|rem 1|f({})
)]}',{}|a=1|a: 1|<a/>|<?xml version="1.0"?>|[...]|{...a}|`1`|new Date()|1..2|["a",\n1]
{"__proto__":{"x":1}}|{"$ref":"#"}|{"a":{"a":{"a":1}}}|[[[[1]]]]|[[],{}]|[1,[2,[3]]]
{"a":[]}
"""

NUMBERS = """
- -- +1 ++1 -+1 +-1 --1 -01 00 01 012 007 1. -1. 1.e1 1.e -.5 .5 .e1 . -. 1e 1e+ 1E- e1
E 1e1.5 0.1e 0e 0e+ 1ee1 1e+-1 1.2.3 0x1 0X1F 0b1 0o7 1_000 1,000 1'000 1f 1.0f 1d 1L 1n
1i 1j 1/2 1% $1 1+1 1-1 1e1e1 0.-1 1- 1+ 5,1 0x1p3 0x7355608 7355608. +7355608 07355608
NaN nan -NaN +NaN Infinity -Infinity +Infinity Inf inf -inf infinity 1#INF #NUM!
1e999 -1e999 1E400 1e309 -1e309 1.8e308 1.7976931348623159e308 7355608e400 -7355608e400
1e99999999999 -1e99999999999 1e+99999999999999999999 1e-99999999999 0e99999999999 0e999
1.7976931348623157e308 -1.7976931348623157e308 5e-324 2e-324 2.2250738585072014e-308
1e-400 -1e-400 -0 -0.0 0e0 0E+0 -0e-0 1E5 1e0000005 0.1e1 123e-2 9007199254740993
9223372036854775807 9223372036854775808 -9223372036854775809 18446744073709551616
\u0665.\u0661 \uff15 \u00bd \u00b2 \u2167 \u22121 1e\u0663 \u221e \U0001d7d8 1\u200b
"""

WORDS = 'null true false [] {} "" [[]] [{}] [5.1] {"a":5} [null] {"":""}'

# Inside a string; the first line is not JSON, the last is.
ESCAPES = r"""
\x41 \a \0 \' \v \e \u \u1 \u12 \u123 \uXYZW \u00g0 \U0001F600 \u{1F600} \N{DASH} \c \é
\
\ud800 \udbff \udc00 \udfff \udc00\ud800 \ud800\ud800 \ud800\u0041 \ud800x \ud800\n
\uDBFF"
\u0000 \u0008 \u001f \u007f \u0080 \u2028 \ufeff \ufffe \uffff \ufdd0 \u202e \u200b
\u0022
\u005c \/ \" \\ \b \f \n \r \t \uD834\uDD1E \ud83d\ude00 \u00E9
"""

# Bytes inside a string; the first three lines are not UTF-8, the last is.
OCTETS = """
80 bf c0 c080 c0af c1bf c2 c3 c328 e0 e080af e080 e28228 e282 eda080 edbfbf eda081edb080
f0 f09f98 f08080af f0288cbc f4908080 f5808080 f8888080af fc8080808080 fe ff fffe feff e9
a3 8181 ff00 c3a9c3 93fa eda0bdedb880
ed9fbf ee8080 efbfbf efbfbe efb790 efbbbf f48fbfbf c280 e280a8 f09f9880 7f
"""

TEXTS = (
    "<script>alert(1)</script>",
    "' OR 1=1 --",
    "${jndi:ldap://x/a}",
    "%s%n%x{0.__class__}{{7*7}}",
    "../../etc/passwd",
    "\u202edesrever",
    "z\u0335\u0322\u034a\u0352algo",
    "\U0001f469\u200d\U0001f680",
    "\u0661\u0662",
    *("5.1", " 5.1 ", "5,1", "1e5", "NaN", "true", "null", "0x10", "7355608"),
    "canary7f3a",
    "canary7f3a" * 20_000,
)

KEYS = (
    *("", " ", "input", "Inputs", "INPUTS", "inputs ", "\uff49nputs", "instances"),
    *("__proto__", "constructor", "__class__", "$schema", "a/b~c", "a'b`c", "\x7f"),
    *("k" * 64, "k" * 65, "\u00e9" * 64, "\U0001f600" * 64, "\u0301" * 64),
    *("canary7f3a" * 7, "canary7f3a" * 10_000, "canary7f3a\u202e", "canary7f3a\n"),
)

REPEATED = r"""
{"a":1,"a":1} {"a":1,"\u0061":2} {"":1,"":2} {"a":{"b":1,"b":2}} [{"a":1,"a":[]}]
{"inputs":[],"inputs":[]} {"inputs":[],"\u0069nputs":[]} {"a":1,"b":2,"a":3}
"""

DEPTHS = (10, 100, 190, 198, 199, 200, 201, 256, 257, 1_000, 10_000, 40_000)

LONG_NUMBERS = (
    *("9" * 309, "9" * 400, "-" + "9" * 400, "9" * 4_300, "9" * 4_301, "9" * 5_000),
    *("-" + "9" * 5_000, "9" * 100_000, "0" * 5_000, "5." + "1" * 5_000),
    *("0." + "0" * 5_000 + "1", "1e" + "9" * 5_000, "1e-" + "9" * 5_000),
    *("5.1e" + "0" * 5_000, "0." + "0" * 400 + "1e400", "1" + "0" * 400 + "e-400"),
)

PREFIXES = (b"\xef\xbb\xbf", b"\xff\xfe", b"\0", b"\x1f\x8b", b"\xc2\xa0", b"\x0b")
SUFFIXES = (b"\0", b"\x1a", b"\xc2\xa0", b"\x0c", b",", b"]", b"}", b"//", GOOD)
SPACES = (b" ", b"\n", b"\t", b"\r", b"\r\n \t", b" " * 50_000)
ENCODINGS = """
utf-16 utf-16-le utf-16-be utf-32 utf-32-le utf-32-be utf-7 utf-8-sig cp037 cp500
""".split()


@dataclass(frozen=True)
class Document:
    """A body, and what of it must not come back."""

    body: bytes
    secrets: tuple = CANARIES


def build_fragments():
    """Return all fragments, as bytes; no two are the same."""
    made = [b"", b" ", b"\n\t\r ", b"[]\v", b"[]\0", b'{"a":1}\n{"a":2}', b"- 1\n- 2"]
    made += [part.encode() for part in STRUCTURE.replace("\n", "|").split("|")]
    for words in (NUMBERS, WORDS, REPEATED):
        made += [word.encode() for word in words.split()]
    made += [number.encode() for number in LONG_NUMBERS]
    made += [quote(escape.encode()) for escape in ESCAPES.split()]
    made += [quote(bytes.fromhex(octets)) for octets in OCTETS.split()]
    made += [quote(bytes([code])) for code in range(32)]
    made += [json.dumps(text, ensure_ascii=False).encode() for text in TEXTS]
    made += [json.dumps({key: "canary7f3a"}).encode() for key in KEYS]
    for depth in DEPTHS:
        made += [b"[" * depth + b"]" * depth, b"[" * depth, b'{"a":' * depth]
        made += [b'{"a":' * depth + b"1" + b"}" * depth, b"[{}," * depth]
    return list(dict.fromkeys(made))


def quote(content):
    """Return a string that holds the content, and what must not come back."""
    return b'"canary7f3a' + content + b'"'


def build_documents():
    """Return documents by place: each fragment alone and where it does not belong."""
    fragments = build_fragments()
    places = {
        "whole": b"%s",
        "inputs": b'{"inputs": %s}',
        "row": b'{"inputs": [%s]}',
        "value": row_with(FIELD, "%s"),
        "second row": GOOD[:-2] + b", %s]}",
    }
    documents = {
        place: [Document(template % one, (*CANARIES, one)) for one in fragments]
        for place, template in places.items()
    }
    # A fragment that is a name may come back, if it is short and printable.
    key = GOOD[:-3] + b', %s: "secret9d1e"}]}'
    documents["key"] = [Document(key % one, (b"secret9d1e",)) for one in fragments]
    documents["known keys"] = [Document(body) for body in build_known_keys()]
    documents["around"] = [Document(body) for body in build_surroundings()]
    documents["sizes"] = [Document(body) for body in build_sizes()]
    documents["broken"] = [Document(body) for body in build_broken(300)]
    return documents


def build_known_keys():
    """Return documents that repeat, omit or misspell what is known."""
    rows = [{**ROW, key: 1} for key in KEYS]
    tops = [{"inputs": [ROW], key: 1} for key in KEYS]
    lost = [{k: v for k, v in ROW.items() if k != name} for name in ROW]
    made = [json.dumps(document).encode() for document in tops]
    made += [json.dumps({"inputs": [row]}).encode() for row in (*rows, *lost)]
    many = {f"k{number}": "canary7f3a" for number in range(10_000)}
    made += [json.dumps(many).encode(), json.dumps({"inputs": [many]}).encode()]
    for name in (*ROW, "inputs"):
        escaped = "".join(f"\\u{ord(letter):04x}" for letter in name)
        for again in (name, escaped, escaped.upper().replace("\\U", "\\u")):
            made.append(repeat(name, again, "1"))
            made.append(repeat(name, again, '"canary7f3a"'))
    return made


def repeat(name, again, value):
    """Return a good document in which a name is there again, with a value."""
    return GOOD.replace(f'"{name}"'.encode(), f'"{again}": {value}, "{name}"'.encode())


def build_surroundings():
    """Return a good document in every other encoding, and between odd bytes."""
    made = [GOOD.decode().encode(encoding) for encoding in ENCODINGS]
    made += [odd + GOOD for odd in (*PREFIXES, *SPACES)]
    made += [GOOD + odd for odd in (*SUFFIXES, *SPACES)]
    made += [GOOD.replace(b" ", space) for space in (*PREFIXES[1:], *SPACES[:-1])]
    return made


def build_sizes():
    """Return documents at and beyond what may be sent."""
    made = [json.dumps({"inputs": [ROW] * count}).encode() for count in (0, 2, 1_000)]
    made += [json.dumps({"inputs": [ROW] * 1_001}).encode()]
    made += [fill(GOOD, b" ", size) for size in (CAP - 1, CAP, CAP + 1, 2 * CAP)]
    made += [fill(b'{"inputs":', b"[", size) for size in (CAP, CAP + 1)]
    made += [fill(b'{"inputs":"', b"canary7f3a", size) for size in (CAP, CAP + 1)]
    for piece in (b"{},", b"1,", b'{"":1},', b"[],", b"null,", b'"canary7f3a",'):
        made.append(fill(b'{"inputs": [', piece, CAP - 9) + b"1]}")
        made.append(b'{"inputs": [' + piece * 1_000 + b"1]}")
    return made


def fill(start, piece, size):
    """Return bytes of a size that begin with a start, then repeat a piece."""
    return (start + piece * (size // len(piece) + 1))[:size]


def build_broken(count):
    """Return copies of a good document, each broken at random; always the same."""
    chance = random.Random(7355608)
    made = []
    for _ in range(count):
        start, length = chance.randrange(len(GOOD)), chance.randrange(4)
        new = chance.choice((b"", chance.randbytes(2), chance.choice(b'{}[],:"e-.0')))
        new = bytes([new]) if isinstance(new, int) else new
        made.append(GOOD[:start] + new + GOOD[start + length :])
    return made
