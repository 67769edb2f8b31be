"""As many rows go out as come in, each with its own answer, however lines end."""

import csv
import io
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import iris_model.csv_source as csv_source
import iris_model.score as scoring
from iris_model.csv_source import open_csv
from iris_model.errors import ScoringFailed
from iris_model.files import File
from iris_model.lines import count_rows
from iris_model.score import score

NAMES = "sepal_length_cm,sepal_width_cm,petal_length_cm,petal_width_cm"
HEADER = f"id,{NAMES}\n"
SETOSA, VIRGINICA = "5.1,3.5,1.4,0.2", "6.5,3.0,5.8,2.2"
LONG, WORD = "x,\n" * (1 << 17), "x" * (1 << 18)
RETURN = "has a carriage return outside quotes"


def scored(folder: Path, content: bytes, target: str) -> list[dict[str, Any]]:
    (folder / "rows.csv").write_bytes(content)
    score(str(folder / "rows.csv"), str(folder / target))
    if target.endswith(".parquet"):
        return list(pq.read_table(folder / target).to_pylist())
    csv.field_size_limit(1 << 20)  # of the test alone
    try:
        with open(folder / target, encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file, strict=True))
    finally:
        csv.field_size_limit(1 << 17)


@pytest.mark.parametrize("target", ["out.csv", "out.parquet"])
@pytest.mark.parametrize(
    ("text", "ids", "labels", "reason"),
    [
        # A row and a blank line more for Arrow than there are, and one less.
        (
            f"1,{SETOSA}\r2,{VIRGINICA}\n\n3,{VIRGINICA}\n",
            ["1", "3"],
            ["", "virginica"],
            RETURN,
        ),
        (f"1,{SETOSA}\r\r\n2,{VIRGINICA}\n", ["1", "2"], ["", "virginica"], RETURN),
        (f"1,{SETOSA}\r\r2,x\n\n\n", ["1"], [""], RETURN),
        (
            f"\r1,{SETOSA}\n\n2,{VIRGINICA}\n",
            ["\r1", "2"],
            ["", "virginica"],
            RETURN,
        ),
        (f"1,{SETOSA}\r", ["1"], ["setosa"], ""),
        (
            f'"1\r",{SETOSA}\n\n2,{VIRGINICA}\r\n',
            ["1\r", "2"],
            ["setosa", "virginica"],
            "",
        ),
        (
            f'"1\r\n\n",{SETOSA}\n\r\n\n"2\n",{VIRGINICA}',
            ["1\r\n\n", "2\n"],
            ["setosa", "virginica"],
            "",
        ),
        (
            f"1\v\f\x1c\x1e\x85\u2028,{SETOSA}\n\n2\u2029,{VIRGINICA}\n",
            ["1\v\f\x1c\x1e\x85\u2028", "2\u2029"],
            ["setosa", "virginica"],
            "",
        ),
        (f"1\0,{SETOSA}\n2,{VIRGINICA}\n", ["1\0", "2"], ["setosa", "virginica"], ""),
        (
            f"\ufeff1,{SETOSA}\n\ufeff2,{VIRGINICA}\n",
            ["\ufeff1", "\ufeff2"],
            ["setosa", "virginica"],
            "",
        ),
        (
            f"   \n1,{SETOSA}\n",
            ["   ", "1"],
            ["", "setosa"],
            "must have 5 values, not 1",
        ),
        (
            f",,,,\n1,{SETOSA}\n",
            ["", "1"],
            ["", "setosa"],
            "; ".join(f"{name} must be a number" for name in NAMES.split(",")),
        ),
        (
            f",,,,,,,\n1,{SETOSA}\n",
            ["", "1"],
            ["", "setosa"],
            "must have 5 values, not 8",
        ),
        (
            f'5" pipe,{SETOSA}\n6" pipe,{VIRGINICA}\n',
            ['5" pipe', '6" pipe'],
            ["setosa", "virginica"],
            "",
        ),
        # A long text is no fault of its own, nor of the line beside it.
        (
            f"{WORD},{SETOSA}\n1,2\n",
            [WORD, "1"],
            ["setosa", ""],
            "must have 5 values, not 2",
        ),
        (
            f'"{LONG}",{SETOSA}\n1,2\n',
            [LONG, "1"],
            ["setosa", ""],
            "must have 5 values, not 2",
        ),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_every_line_keeps_its_own_answer(
    tmp_path: Path,
    text: str,
    ids: list[str],
    labels: list[str],
    reason: str,
    target: str,
) -> None:
    found = scored(tmp_path, (HEADER + text).encode(), target)
    assert [row["id"] for row in found] == ids
    assert [row["label"] or "" for row in found] == labels
    assert {row["reason"] for row in found} - {""} == {reason} - {""}


@pytest.mark.parametrize(
    ("header", "says"),
    [
        (HEADER.replace("\n", "\r\r\n"), f"the header {RETURN}"),
        (HEADER.replace("\n", "\r") + f"1,{SETOSA}\r2,{SETOSA}\r", RETURN),
        (HEADER.replace("id", '"id'), "the header has a misplaced quote"),
    ],
)
def test_file_is_refused_when_its_header_is_not_one_line(
    tmp_path: Path, header: str, says: str
) -> None:
    with pytest.raises(ScoringFailed, match=says):
        scored(tmp_path, header.encode() + f"1,{SETOSA}\r\r\n".encode(), "out.csv")
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        (b"", 0),
        (b"a,b\nc,d\r\n", 2),
        (b"a,b\rc,d\n", 2),
        (b"a,b\r\r\n", 1),
        (b'"a\r\n\n",b\n', 1),
        (b'"a\r",b\rc,d\n', 2),
        (b'5" pipe,\r6" pipe,b\n', 2),
    ],
)
def test_rows_are_counted_as_any_reader_would(content: bytes, rows: int) -> None:
    assert count_rows(content) == rows


def without_first_row(block: Any) -> Any:
    if isinstance(block, pa.Table):
        return block.slice(1)
    return pa.py_buffer(block.to_pybytes().partition(b"\n")[2])


@pytest.mark.parametrize(
    ("target", "spell"), [("out.csv", "_spell_lines"), ("out.parquet", "_extend_table")]
)
def test_nothing_is_written_when_a_row_gets_lost_under_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str, spell: str
) -> None:
    real = getattr(scoring, spell)
    monkeypatch.setattr(scoring, spell, lambda *block: without_first_row(real(*block)))
    rows = (HEADER + f"1,{SETOSA}\n2,{SETOSA}\n").encode()
    with pytest.raises(ScoringFailed, match="of 2 rows 1 would be written"):
        scored(tmp_path, rows, target)
    assert [path.name for path in tmp_path.iterdir()] == ["rows.csv"]


@pytest.mark.slow
def test_score_keeps_a_long_row_whole_when_a_stray_quote_stands_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Its end lies far behind the tail in which the end of a piece is looked for.
    monkeypatch.setattr(csv_source, "PIECE_BYTES", 1 << 12)
    note = "one\n" * (1 << 15)
    rows = [f'5" pipe,{SETOSA}', f'"{note}",{SETOSA}', f"3,{VIRGINICA}"] * 3
    found = scored(tmp_path, (HEADER + "\n".join(rows)).encode(), "out.csv")
    assert [row["id"] for row in found] == ['5" pipe', note, "3"] * 3
    assert [row["label"] for row in found] == ["setosa", "setosa", "virginica"] * 3


def read_in_pieces(path: Path, as_text: bool) -> tuple[list[Any], dict[int, str]]:
    """Read as score does; return rows and faults."""
    source = open_csv(File(str(path)), ("a", "b"))
    found: list[Any] = []
    faults: dict[int, str] = {}
    begin = source.body
    for piece in source.pieces():
        for rows in piece.moved(begin).read(("a", "b"), as_text):
            faults |= {len(found) + row: fault for row, fault in rows.faults.items()}
            found += (rows.text if as_text else rows.table["id"]).to_pylist()
            assert rows.count == len(rows.features[0])
            begin = rows.end
    assert begin == source.size
    return found, faults


PARTS = ['"', ",", "\n", "\r", "\r\n", "x", "1", " ", "\ufeff", "\0", "\u2028", "\v"]
PARTS += ['""', ",1,2\n", '"q\nr",1,2\n', "id,1,2\r\r\n", "\n\n", "\x85"]


@pytest.mark.slow
@given(
    parts=st.lists(st.sampled_from(PARTS), max_size=40),
    piece=st.integers(1, 30),
    tail=st.integers(1, 30),
    block=st.integers(1, 4),
)
@example(['"', ",", "x", "\n", "\r", "x", '"', "\r", "x", ",1,2\n"], 9, 3, 4)
@settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_rows_are_the_same_for_every_reader_when_cut_anywhere(
    tmp_path: Path, parts: list[str], piece: int, tail: int, block: int
) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(f"id,a,b\n{''.join(parts)}".encode())
    whole, faults = read_in_pieces(path, True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_source, "PIECE_BYTES", piece)
        patch.setattr(csv_source, "TAIL_BYTES", tail)
        patch.setattr(csv_source, "BLOCK_ROWS", block)
        assert read_in_pieces(path, True) == (whole, faults)
        ids, same_faults = read_in_pieces(path, False)
    assert same_faults == faults
    text = "".join(f"{line}end\n" for line in whole)
    found = list(csv.reader(io.StringIO(text, newline="")))
    assert [row[0] for row in found] == ids
    assert {len(row) for row in found} <= {4}


@pytest.mark.slow
@given(
    st.lists(
        st.from_regex(
            r"[+-]?([0-9]{1,40}\.?[0-9]{0,40}|\.[0-9]{1,40})(e[+-]?[0-9]{1,3})?",
            fullmatch=True,
            alphabet=st.characters(max_codepoint=127),
        ),
        min_size=1,
        max_size=50,
    )
)
@settings(
    max_examples=50,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_number_is_the_one_nearest_to_its_text(
    tmp_path: Path, numbers: list[str]
) -> None:
    for beside in ("0", "x"):  # one that is none has the others read another way
        path = tmp_path / "rows.csv"
        lines = [f"i,{text},0" for text in numbers] + [f"i,{beside},0"]
        path.write_text("\n".join(["id,a,b", *lines]))
        source = open_csv(File(str(path)), ("a", "b"))
        (piece,) = source.pieces()
        (rows,) = piece.read(("a", "b"), True)
        found = rows.features[0].to_pylist()[:-1]
        assert found == [float(text) for text in numbers]
