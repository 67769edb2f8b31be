"""
One tensor of the Open Inference Protocol: from what it announces to its values.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from iris_api.errors import Fault, InvalidInputs, Reason
from iris_api.schemas import MAX_FAULTS, MAX_ROWS
from iris_api.v2.tensor_schemas import RequestInput

DTYPES: dict[str, np.dtype[Any]] = {
    "FP64": np.dtype("<f8"),
    "FP32": np.dtype("<f4"),
    **{f"INT{bits}": np.dtype(f"<i{bits // 8}") for bits in (8, 16, 32, 64)},
    **{f"UINT{bits}": np.dtype(f"<u{bits // 8}") for bits in (8, 16, 32, 64)},
}

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]


def refusal(
    pointer: str, detail: str, reason: Reason = "invalid", field: str = ""
) -> InvalidInputs:
    """Return the error for one fault."""
    return InvalidInputs((Fault(pointer, detail, reason, field),))


class Binary:
    """The values after the JSON, taken tensor by tensor."""

    def __init__(self, rest: bytes) -> None:
        self._rest = rest

    def take(self, size: int) -> bytes:
        """Return as many bytes as there are, up to a size."""
        taken, self._rest = self._rest[:size], self._rest[size:]
        return taken

    def check_empty(self) -> None:
        """Raise when bytes are left that no tensor claims."""
        if self._rest:
            raise refusal(
                "", "bytes follow that no binary_data_size counts", "wrong_size"
            )


class Tensor:
    """
    One input: where it is in the document, what it holds, and its values.

    Parameters
    ----------
    place : str
        JSON pointer to it.
    names : tuple of str
        The features that it holds, in their order.
    tensor : RequestInput
        The input itself.
    """

    def __init__(
        self, place: str, names: tuple[str, ...], tensor: RequestInput
    ) -> None:
        self.names = names
        self._place = place
        self._tensor = tensor
        self._nested = False

    def read(self, binary: Binary) -> Matrix:
        """
        Return the values, shape (n, features held).

        Raises
        ------
        InvalidInputs
            If they are not what is announced, or not finite.
        """
        rows, width = self._check_shape()
        size = self._tensor.get("parameters", {}).get("binary_data_size")
        if size is None:
            values = self._read_json(rows, width)
        else:
            values = self._read_binary(binary, size, rows * width)
        infinite = np.flatnonzero(~np.isfinite(values))
        if len(infinite):
            raise self._refuse_values(infinite, "must be a finite number", "not_finite")
        return values.reshape(rows, width)

    def _check_shape(self) -> tuple[int, int]:
        rows, *inner = self._tensor["shape"]
        width = len(self.names)
        pointer = f"{self._place}/shape"
        if inner != [width] and (inner or width > 1):
            wanted = f"must be [n, {width}]" + (" or [n]" if width == 1 else "")
            raise refusal(pointer, wanted, "wrong_size")
        if not 1 <= rows <= MAX_ROWS:
            detail = f"must be 1 to {MAX_ROWS:,} rows"
            raise refusal(pointer, detail, "wrong_size")
        return rows, width

    def _read_json(self, rows: int, width: int) -> Vector:
        if "data" not in self._tensor:
            detail = "required field is missing; add it"
            raise refusal(f"{self._place}/data", detail, "missing")
        flat = self._flatten(self._tensor["data"], rows, width)
        if not set(map(type, flat)) <= {int, float}:
            odd = (i for i, v in enumerate(flat) if type(v) not in (int, float))
            detail = "must be a number, written without quotes"
            raise self._refuse_values(odd, detail, "not_a_number")
        return self._represent(_as_floats(flat))

    def _flatten(self, data: list[Any], rows: int, width: int) -> list[Any]:
        self._nested = len(self._tensor["shape"]) == 2 and list in map(type, data)
        pointer = f"{self._place}/data"
        length = rows if self._nested else rows * width
        if len(data) != length:
            detail = f"must hold {length:,} values, as the shape says"
            raise refusal(pointer, detail, "wrong_size")
        if not self._nested:
            return data
        for position, row in enumerate(data):
            if type(row) is not list or len(row) != width:
                detail = f"must be a list of {width} numbers, as the shape says"
                raise refusal(f"{pointer}/{position}", detail, "wrong_size")
        return list(chain.from_iterable(data))

    def _represent(self, values: Vector) -> Vector:
        """Return the values as the datatype holds them, or refuse them."""
        datatype = self._tensor["datatype"]
        dtype = DTYPES[datatype]
        if dtype.kind == "f":
            # What overflows is infinite, and refused as that.
            with np.errstate(over="ignore"):
                return values.astype(dtype).astype(np.float64)
        bits = 8 * dtype.itemsize
        low, high = (0.0, 2.0**bits) if dtype.kind == "u" else _signed(bits)
        held = (values == np.rint(values)) & (values >= low) & (values < high)
        if not held.all():
            detail = f"must be a whole number that {datatype} holds"
            raise self._refuse_values(np.flatnonzero(~held), detail, "not_a_number")
        return values

    def _read_binary(self, binary: Binary, size: Any, count: int) -> Vector:
        if "data" in self._tensor:
            detail = "give data or binary_data_size, not both"
            raise refusal(self._place, detail)
        dtype = DTYPES[self._tensor["datatype"]]
        pointer = f"{self._place}/parameters/binary_data_size"
        if type(size) is not int or size != count * dtype.itemsize:
            detail = f"must be {count * dtype.itemsize}, as shape and datatype say"
            raise refusal(pointer, detail, "wrong_size")
        content = binary.take(size)
        if len(content) != size:
            raise refusal(pointer, "fewer bytes follow the JSON", "wrong_size")
        return np.frombuffer(content, dtype).astype(np.float64)

    def _refuse_values(
        self, places: Iterable[int], detail: str, reason: Reason
    ) -> InvalidInputs:
        indices = [int(index) for index in places]
        width = len(self.names)
        faults = [
            Fault(self._pointer(index), detail, reason, self.names[index % width])
            for index in indices[:MAX_FAULTS]
        ]
        return InvalidInputs(tuple(faults), len(indices) - len(faults))

    def _pointer(self, index: int) -> str:
        place = f"{self._place}/data"
        if self._nested:
            row, column = divmod(index, len(self.names))
            return f"{place}/{row}/{column}"
        return f"{place}/{index}"


def _signed(bits: int) -> tuple[float, float]:
    return -(2.0 ** (bits - 1)), 2.0 ** (bits - 1)


def _as_floats(flat: list[Any]) -> Vector:
    try:
        return np.array(flat, dtype=np.float64)
    except OverflowError:  # a whole number beyond float64
        return np.array([_float(value) for value in flat])


def _float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return float("inf")
