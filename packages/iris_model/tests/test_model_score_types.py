"""Columns of every Arrow type: spelt right in CSV, or refused before a row is read."""

import csv
import decimal
import io
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iris_model.errors import ScoringFailed
from iris_model.parquet_source import _to_numbers
from iris_model.score import score
from iris_model.text import can_spell, spell_column

FEATURES = ["sepal_length_cm", "sepal_width_cm", "petal_length_cm", "petal_width_cm"]
NASTY = ['{"a": 1, "b": "x"}', "plain", "a\rb\r\nc", "", None]
KEY = bytes(range(16))

# One or more columns of each type id, and what their first value is in CSV; None where
# it is refused.
CASES = {
    "NA": [(pa.null(), [None], "")],
    "BOOL": [(pa.bool_(), [True], "true")],
    **{f"INT{n}": [(getattr(pa, f"int{n}")(), [-5], "-5")] for n in (8, 16, 32, 64)},
    **{f"UINT{n}": [(getattr(pa, f"uint{n}")(), [5], "5")] for n in (8, 16, 32, 64)},
    "HALF_FLOAT": [(pa.float16(), [1.5], "1.5")],
    "FLOAT": [(pa.float32(), [0.5], "0.5")],
    "DOUBLE": [(pa.float64(), [0.1], "0.1")],
    **{
        f"DECIMAL{n}": [
            (getattr(pa, f"decimal{n}")(9, 2), [decimal.Decimal("-4.30")], "-4.30")
        ]
        for n in (32, 64, 128, 256)
    },
    "DATE32": [(pa.date32(), [1], "1970-01-02"), (pa.date32(), [2**31 - 1], None)],
    "DATE64": [(pa.date64(), [86_400_000], "1970-01-02")],
    "TIME32": [
        (pa.time32("ms"), [1], "00:00:00.001"),
        (pa.time32("ms"), [90_000_000], None),
    ],
    "TIME64": [(pa.time64("us"), [1], "00:00:00.000001")],
    "TIMESTAMP": [
        (pa.timestamp("ms"), [1], "1970-01-01 00:00:00.001"),
        (pa.timestamp("us", "UTC"), [1], "1970-01-01 00:00:00.000001Z"),
        (pa.timestamp("ms", "+05:30"), [0], "1970-01-01 05:30:00.000+0530"),
        (pa.timestamp("us", "Mars/Phobos"), [0], None),
        (pa.timestamp("ms"), [2**62], None),
        (pa.timestamp("ms", "Europe/Paris"), [2**62], None),
    ],
    "DURATION": [(pa.duration("ms"), [1], "1")],
    "STRING": [(pa.string(), NASTY, NASTY[0])],
    "LARGE_STRING": [(pa.large_string(), NASTY, NASTY[0])],
    "STRING_VIEW": [(pa.string_view(), NASTY, NASTY[0])],
    "DICTIONARY": [
        (pa.dictionary(pa.int8(), pa.string()), NASTY, NASTY[0]),
        (pa.dictionary(pa.int8(), pa.binary()), [b"a,b"], None),
    ],
    "BINARY": [(pa.binary(), [b'"'], None)],
    "LARGE_BINARY": [(pa.large_binary(), [b'"'], None)],
    "BINARY_VIEW": [(pa.binary_view(), [b'"'], None)],
    "FIXED_SIZE_BINARY": [(pa.binary(2), [b'",'], None)],
    "LIST": [(pa.list_(pa.string()), [["a,b"]], None)],
    "LARGE_LIST": [(pa.large_list(pa.string()), [["a,b"]], None)],
    "LIST_VIEW": [(pa.list_view(pa.int8()), [[1]], None)],
    "LARGE_LIST_VIEW": [(pa.large_list_view(pa.int8()), [[1]], None)],
    "FIXED_SIZE_LIST": [(pa.list_(pa.int8(), 2), [[1, 2]], None)],
    "STRUCT": [(pa.struct([("a", pa.int8())]), [{"a": 1}], None)],
    "MAP": [(pa.map_(pa.string(), pa.int8()), [[("a", 1)]], None)],
    "SPARSE_UNION": [(pa.sparse_union([pa.field("a", pa.int8())]), None, None)],
    "DENSE_UNION": [(pa.dense_union([pa.field("a", pa.int8())]), None, None)],
    "RUN_END_ENCODED": [(pa.run_end_encoded(pa.int32(), pa.string()), None, None)],
    "INTERVAL_MONTH_DAY_NANO": [
        (pa.month_day_nano_interval(), [(1, 2, 3)], None),
    ],
    # Arrow for Python has no constructor of these two.
    "INTERVAL_MONTHS": [],
    "INTERVAL_DAY_TIME": [],
    "EXTENSION": [
        (pa.json_(), NASTY[:1], NASTY[0]),
        (pa.json_(pa.string_view()), NASTY[:1], NASTY[0]),
        (pa.opaque(pa.string(), "word", "maker"), NASTY, NASTY[0]),
        (pa.opaque(pa.binary(), "blob", "maker"), [b'"'], None),
        (pa.uuid(), [KEY], None),
        (pa.bool8(), [1], None),
        (pa.fixed_shape_tensor(pa.int8(), [2]), [[1, 2]], None),
    ],
}
COLUMNS = [case for cases in CASES.values() for case in cases]


def column_of(kind, values):
    if isinstance(kind, pa.BaseExtensionType):
        storage = pa.array(values, kind.storage_type)
        return pa.ExtensionArray.from_storage(kind, storage)
    number = {pa.date32(): pa.int32(), pa.time32("ms"): pa.int32()}.get(
        kind, pa.int64()
    )
    is_moment = pa.types.is_temporal(kind) and isinstance(values[0], int)
    return pa.array(values, number).view(kind) if is_moment else pa.array(values, kind)


def test_cases_name_every_type_that_arrow_has() -> None:
    known = {name.removeprefix("Type_") for name in dir(pa.lib) if name[:5] == "Type_"}
    assert CASES.keys() == known | {"EXTENSION"}
    extensions = {type(kind) for kind, _, _ in CASES["EXTENSION"]}
    of_arrow = {
        found
        for found in vars(pa).values()
        if isinstance(found, type) and issubclass(found, pa.BaseExtensionType)
    }
    bases = {pa.BaseExtensionType, pa.ExtensionType, pa.UnknownExtensionType}
    assert extensions == of_arrow - bases


@pytest.mark.parametrize(("kind", "values", "spelt"), COLUMNS, ids=str)
def test_column_is_spelt_as_one_field_or_refused_when_it_is_of_any_type(
    kind: pa.DataType, values: list[object] | None, spelt: str | None
) -> None:
    if not can_spell(kind):
        assert spelt is None
        return
    column = column_of(kind, values)
    if spelt is None:
        with pytest.raises(ValueError):
            spell_column(column)
        return
    for text in (spell_column(column), spell_column(pa.chunked_array([column]))):
        lines = "".join(f"{field},end\n" for field in text.to_pylist())
        found = list(csv.reader(io.StringIO(lines, newline=""), strict=True))
        assert found[0] == [spelt, "end"]
        if values is NASTY:
            assert [row[0] for row in found] == [value or "" for value in NASTY]


def table_with(kind: pa.DataType, values: list[object]) -> pa.Table:
    column = column_of(kind, values)
    features = {name: [1.0] * len(values) for name in FEATURES}
    return pa.table({**features, "note": column})


def is_written(kind: pa.DataType) -> bool:
    try:
        pq.write_table(pa.table({"note": pa.nulls(1, kind)}), io.BytesIO())
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid):
        return False
    return True


@pytest.mark.slow(after=1)
@pytest.mark.parametrize(
    ("kind", "values", "spelt"),
    [case for case in COLUMNS if case[1] and is_written(case[0])],
    ids=str,
)
def test_score_passes_on_or_refuses_in_one_line_when_columns_are_of_any_type(
    tmp_path: Path, kind: pa.DataType, values: list[object], spelt: str | None
) -> None:
    table = table_with(kind, values)
    pq.write_table(table, tmp_path / "rows.parquet")
    before = pq.read_table(tmp_path / "rows.parquet")["note"]
    score(str(tmp_path / "rows.parquet"), str(tmp_path / "out.parquet"))
    assert pq.read_table(tmp_path / "out.parquet")["note"].equals(before)
    target = tmp_path / "out.csv"
    if spelt is None:
        with pytest.raises(ScoringFailed, match="column note") as caught:
            score(str(tmp_path / "rows.parquet"), str(target))
        assert "\n" not in str(caught.value)
        assert "on a worker" not in str(caught.value)
        assert not target.exists()
        return
    score(str(tmp_path / "rows.parquet"), str(target))
    with open(target, newline="") as file:
        found = [row["note"] for row in csv.DictReader(file, strict=True)]
    assert (found[0], len(found)) == (spelt, len(values))


def test_score_refuses_text_that_is_not_utf8(tmp_path: Path) -> None:
    table = table_with(pa.string(), ["ab"])
    # Arrow looks at no text that it only passes on.
    offsets, bad = pa.array([0, 2], pa.int32()).buffers()[1], pa.py_buffer(b"\xff,")
    note = pa.Array.from_buffers(pa.string(), 1, [None, offsets, bad])
    pq.write_table(table.set_column(4, "note", note), tmp_path / "rows.parquet")
    with pytest.raises(ScoringFailed, match="column note: Invalid UTF8"):
        score(str(tmp_path / "rows.parquet"), str(tmp_path / "out.csv"))


@pytest.mark.parametrize("name", ['a"b', "a,b", "a\nb", "a\rb"])
def test_score_quotes_the_names_of_columns_when_they_need_it(
    tmp_path: Path, name: str
) -> None:
    table = table_with(pa.string(), ["x"]).rename_columns([*FEATURES, name])
    pq.write_table(table, tmp_path / "rows.parquet")
    score(str(tmp_path / "rows.parquet"), str(tmp_path / "out.csv"))
    with open(tmp_path / "out.csv", newline="") as file:
        assert next(csv.DictReader(file, strict=True))[name] == "x"


@settings(max_examples=200, deadline=None)
@given(
    digits=st.lists(st.integers(-(10**38) + 1, 10**38 - 1), min_size=1, max_size=50),
    scale=st.integers(0, 38),
)
def test_decimal_is_read_as_the_nearest_number(digits: list[int], scale: int) -> None:
    with decimal.localcontext(prec=80):
        values = [decimal.Decimal(one).scaleb(-scale) for one in digits]
    column = pa.chunked_array([pa.array(values, pa.decimal128(38, scale))])
    assert _to_numbers(column).to_pylist() == [float(value) for value in values]


@pytest.mark.parametrize("bits", [32, 64, 128, 256])
def test_score_finds_the_training_minimum_in_range_when_it_is_a_decimal(
    tmp_path: Path, bits: int
) -> None:
    # Of two numbers that are nearest to 4.3, the cast of Arrow may take the other.
    kind = getattr(pa, f"decimal{bits}")(9, 6)
    values = [[4.3, 2.0, 1.0, 0.1], [7.9, 4.4, 6.9, 2.5]]
    table = pa.table(
        {
            name: pa.array([decimal.Decimal(str(row[i])) for row in values], kind)
            for i, name in enumerate(FEATURES)
        }
    )
    pq.write_table(table, tmp_path / "rows.parquet")
    score(str(tmp_path / "rows.parquet"), str(tmp_path / "out.parquet"))
    found = pq.read_table(tmp_path / "out.parquet")
    assert found["out_of_range"].to_pylist() == ["", ""]
