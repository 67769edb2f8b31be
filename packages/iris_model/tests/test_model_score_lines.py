"""Rows of CSV against Python's own reader, wherever pieces happen to be cut."""

import csv
import io
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import iris_model.csv_source as csv_source
from iris_model.csv_source import open_csv
from iris_model.files import File
from iris_model.lines import find_lines
from iris_model.score import score

FEATURES = ("a_cm", "b_cm")
NOTE = st.text(st.sampled_from('x",\n é'), max_size=8)


@pytest.mark.parametrize(
    ("content", "ends", "broken"),
    [
        (b"", [], []),
        (b"a,b\nc,d\n", [4, 8], []),
        (b'"a\nb",c\nd\n', [8, 10], []),
        (b'5" pipe,c\n"d",e\n', [10, 16], []),
        (b'"open,c\n"d",e\n', [8, 14], [0]),
        (b'"a"b,c\nd,e\n', [7, 11], [0]),
        (b'"a""b\n",c\r\nd,e\r\n', [11, 16], []),
    ],
)
def test_find_lines_knows_rows_when_quotes_are_anywhere(
    content: bytes, ends: list[int], broken: list[int]
) -> None:
    lines = find_lines(content, at_end=True)
    assert lines.ends.tolist() == ends
    assert lines.broken.tolist() == broken


@pytest.mark.slow
@given(
    notes=st.lists(NOTE, min_size=1, max_size=30),
    piece=st.integers(1, 90),
    tail=st.integers(1, 90),
    block=st.integers(1, 4),
)
@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_csv_pieces_hold_every_row_once_in_order_when_cut_anywhere(
    tmp_path: Path, notes: list[str], piece: int, tail: int, block: int
) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["note", *FEATURES])
    writer.writerows([note, number, 2] for number, note in enumerate(notes))
    (tmp_path / "rows.csv").write_bytes(text.getvalue().encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_source, "PIECE_BYTES", piece)
        patch.setattr(csv_source, "TAIL_BYTES", tail)
        patch.setattr(csv_source, "BLOCK_ROWS", block)
        source = open_csv(File(str(tmp_path / "rows.csv")), FEATURES)
        found, begin = [], source.body
        for part in source.pieces():
            blocks = list(part.read(FEATURES, False))
            if blocks[0].begin != begin:
                blocks = list(part.moved(begin).read(FEATURES, False))
            for rows in blocks:
                assert rows.begin == begin
                begin = rows.end
                notes_read = rows.table["note"].to_pylist()
                found += zip(notes_read, rows.table["a_cm"].to_pylist())
    assert found == [(note, float(number)) for number, note in enumerate(notes)]


@pytest.mark.slow
def test_score_keeps_rows_when_line_feeds_in_quotes_meet_every_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_source, "PIECE_BYTES", 1 << 12)
    names = "sepal_length_cm,sepal_width_cm,petal_length_cm,petal_width_cm"
    with open(tmp_path / "rows.csv", "w") as file:
        file.write(f"id,{names},note\n")
        for row in range(3000):
            file.write(f'{row},5.1,3.5,1.4,0.2,"one\ntwo, {row}\n\n""three"""\n')
    score(str(tmp_path / "rows.csv"), str(tmp_path / "out.csv"))
    with open(tmp_path / "out.csv", newline="") as file:
        found = list(csv.DictReader(file))
    assert [row["id"] for row in found] == [str(row) for row in range(3000)]
    assert {row["label"] for row in found} == {"setosa"}
    assert found[7]["note"] == 'one\ntwo, 7\n\n"three"'
