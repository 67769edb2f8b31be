"""Tensors of the Open Inference Protocol whose values follow the JSON; pure."""

import struct
from typing import Any

from shadow_router.errors import AnswerUnreadable

# JSON of strangers: `Any` is what json.loads can honestly promise.
Document = Any

#: How the values of a datatype are packed, little end first.
_FORMATS = {
    **{"FP64": "d", "FP32": "f", "FP16": "e", "BOOL": "?"},
    **{"INT8": "b", "INT16": "h", "INT32": "i", "INT64": "q"},
    **{"UINT8": "B", "UINT16": "H", "UINT32": "I", "UINT64": "Q"},
}
#: Datatypes that hold less of a number than JSON does.
_NARROW = ("FP32", "FP16")
_LENGTH = struct.Struct("<I")


def fill_tensors(document: Document, rest: bytes) -> None:
    """
    Give each tensor of a message its binary values as `data`, as JSON would.

    Parameters
    ----------
    document : Document
        A request or an answer, which is changed.
    rest : bytes
        What follows its JSON.

    Raises
    ------
    AnswerUnreadable
        If the values are not what the tensors announce.
    """
    at = 0
    for tensor in _tensors(document):
        size = _binary_size(tensor)
        if size is None:
            continue
        content = rest[at : at + size]
        if len(content) != size or "data" in tensor:
            raise AnswerUnreadable("a tensor's binary values are not there")
        tensor["data"] = _values(tensor.get("datatype"), content)
        at += size
    if at != len(rest):
        raise AnswerUnreadable("bytes follow that no tensor claims")


def held(tensor: Document) -> Document:
    """Return a tensor's data as its datatype holds them: 0.1 is another float32."""
    datatype = tensor.get("datatype")
    if datatype in _NARROW:
        return _rounded(tensor["data"], struct.Struct(f"<{_FORMATS[datatype]}"))
    return _as_bool(tensor["data"]) if datatype == "BOOL" else tensor["data"]


def _tensors(document: Document) -> list[Document]:
    if not isinstance(document, dict):
        return []
    lists = (document.get(name) for name in ("inputs", "outputs"))
    found = (one for listed in lists if isinstance(listed, list) for one in listed)
    return [one for one in found if isinstance(one, dict)]


def _binary_size(tensor: Document) -> int | None:
    parameters = tensor.get("parameters")
    size = parameters.get("binary_data_size") if isinstance(parameters, dict) else None
    if size is not None and (type(size) is not int or size < 0):
        raise AnswerUnreadable("a tensor's binary_data_size is no size")
    return size


def _values(datatype: Document, content: bytes) -> list[Any]:
    if datatype == "BYTES":
        return _texts(content)
    if datatype == "BF16":
        # The upper half of a float32.
        wide = b"".join(
            b"\0\0" + content[at : at + 2] for at in range(0, len(content), 2)
        )
        return _unpacked("f", wide)
    if datatype not in _FORMATS:
        raise AnswerUnreadable("a tensor's datatype is not known")
    return _unpacked(_FORMATS[datatype], content)


def _unpacked(code: str, content: bytes) -> list[Any]:
    width = struct.calcsize(f"<{code}")
    if len(content) % width:
        raise AnswerUnreadable("a tensor's binary values are cut")
    return list(struct.unpack(f"<{len(content) // width}{code}", content))


def _texts(content: bytes) -> list[str]:
    texts: list[str] = []
    at = 0
    while at < len(content):
        if at + _LENGTH.size > len(content):
            raise AnswerUnreadable("a tensor's binary values are cut")
        (size,) = _LENGTH.unpack_from(content, at)
        at += _LENGTH.size
        if at + size > len(content):
            raise AnswerUnreadable("a tensor's binary values are cut")
        texts.append(_text(content[at : at + size]))
        at += size
    return texts


def _text(content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError:
        # An image, say: what tells it from others.
        return content.hex()


def _rounded(value: Document, held_as: struct.Struct) -> Document:
    if isinstance(value, list):
        return [_rounded(one, held_as) for one in value]
    if type(value) not in (int, float):
        return value
    try:
        return held_as.unpack(held_as.pack(value))[0]
    except (OverflowError, struct.error):
        return value


def _as_bool(value: Document) -> Document:
    if isinstance(value, list):
        return [_as_bool(one) for one in value]
    return bool(value) if type(value) in (int, float) else value
