"""What is read strictly: a field of another type, name or size is refused."""

from dataclasses import dataclass
from typing import Annotated, Literal

import pytest

from iris_model.strict import Malformed, Strict


@dataclass(frozen=True)
class Part(Strict):
    size: int
    weight: float


@dataclass(frozen=True)
class Whole(Strict):
    format: Literal[2]
    code: Annotated[str, "[a-f]+"]
    parts: list[Part]
    names: dict[str, str]


GOOD = {
    "format": 2,
    "code": "abc",
    "parts": [{"size": 1, "weight": 2}],
    "names": {"a": "b"},
}


def test_fields_are_read_when_they_are_as_declared() -> None:
    whole = Whole.model_validate(GOOD)
    assert whole == Whole(2, "abc", [Part(1, 2.0)], {"a": "b"})
    assert isinstance(whole.parts[0].weight, float)
    assert whole.model_dump() == GOOD


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"format": 3}, "format"),
        ({"format": 2.0}, "format"),
        ({"code": "abc\n"}, "code"),
        ({"code": 7}, "code"),
        ({"parts": {}}, "parts"),
        ({"parts": [7]}, "parts.0"),
        ({"parts": [{"size": True, "weight": 1.0}]}, "parts.0.size"),
        ({"parts": [{"size": 1.0, "weight": 1.0}]}, "parts.0.size"),
        ({"parts": [{"size": 1, "weight": True}]}, "parts.0.weight"),
        ({"parts": [{"size": 1, "weight": "1"}]}, "parts.0.weight"),
        ({"parts": [{"size": 1, "weight": float("nan")}]}, "parts.0.weight"),
        ({"parts": [{"size": 1, "weight": 10**400}]}, "parts.0.weight"),
        ({"parts": [{"size": 1}]}, "parts.0.weight"),
        ({"names": {"a": None}}, "names.a"),
        ({"more": 1}, "more"),
    ],
)
def test_fields_are_refused_when_one_is_not_as_declared(
    change: dict[str, object], where: str
) -> None:
    with pytest.raises(Malformed) as caught:
        Whole.model_validate({**GOOD, **change})
    assert caught.value.where == where
