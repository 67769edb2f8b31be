"""Scoring real files: what goes in, what comes out, what is refused."""

import csv
import io
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import iris_model.csv_source as csv_source
import iris_model.parquet_source as parquet_source
from iris_model import IrisModel
from iris_model.errors import ScoringFailed
from iris_model.score import Summary, score

FEATURES = ["sepal_length_cm", "sepal_width_cm", "petal_length_cm", "petal_width_cm"]
HEADER = "id," + ",".join(FEATURES)
ADDED = [
    "label",
    "probability_setosa",
    "probability_versicolor",
    "probability_virginica",
    "out_of_range",
    "reason",
]
SETOSA, VIRGINICA = [5.1, 3.5, 1.4, 0.2], [6.5, 3.0, 5.8, 2.2]


def score_csv(folder: Path, text: str | bytes) -> tuple[list[dict[str, str]], Summary]:
    content = text.encode() if isinstance(text, str) else text
    (folder / "rows.csv").write_bytes(content)
    summary = score(str(folder / "rows.csv"), str(folder / "out.csv"))
    with open(folder / "out.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file)), summary


def score_table(folder: Path, table: pa.Table) -> tuple[pa.Table, Summary]:
    pq.write_table(table, folder / "rows.parquet")
    summary = score(str(folder / "rows.parquet"), str(folder / "out.parquet"))
    return pq.read_table(folder / "out.parquet"), summary


def table_of(*rows: list[object], **columns: object) -> pa.Table:
    values = {name: [row[i] for row in rows] for i, name in enumerate(FEATURES)}
    return pa.table({"id": list(range(len(rows))), **values, **columns})


@pytest.mark.parametrize("before", ["csv", "parquet"])
@pytest.mark.parametrize("after", ["csv", "parquet"])
def test_score_answers_as_predict_does_in_order_when_formats_vary(
    tmp_path: Path, model: IrisModel, before: str, after: str
) -> None:
    rows = [SETOSA, VIRGINICA, [5.0, 3.4, 1.5, 0.25], [50.0, 3.0, 4.0, 9.5]] * 3
    frame = table_of(*rows).to_pandas()
    source, target = tmp_path / f"rows.{before}", tmp_path / f"out.{after}"
    if before == "csv":
        frame.to_csv(source, index=False)
    else:
        frame.to_parquet(source)
    assert score(str(source), str(target)).rows == 12
    found = (
        pd.read_csv(target, keep_default_na=False)
        if after == "csv"
        else pd.read_parquet(target)
    )
    assert list(found.columns) == ["id", *FEATURES, *ADDED]
    assert [int(value) for value in found["id"]] == list(range(12))
    for answer, (_, row) in zip(model.predict(rows), found.iterrows(), strict=True):
        assert row["label"] == answer.label
        assert row["out_of_range"] == ";".join(answer.out_of_range)
        for name, probability in answer.probabilities.items():
            assert row[f"probability_{name}"] == pytest.approx(probability, abs=1e-15)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ("5.1,3.5,1.4,", "petal_width_cm must be a number"),
        (
            "5.1,3.5,,",
            "petal_length_cm must be a number; petal_width_cm must be a number",
        ),
        ("5.1,3.5,1.4,wide", "petal_width_cm must be a number"),
        ("5.1,3.5,1.4,0x1A", "petal_width_cm must be a number"),
        ("5.1,3.5,1.4,1_0", "petal_width_cm must be a number"),
        ("5.1,3.5,1.4,true", "petal_width_cm must be a number"),
        ("5.1,3.5,1.4,inf", "petal_width_cm must be finite"),
        ("5.1,3.5,1.4,-Infinity", "petal_width_cm must be finite"),
        ("5.1,3.5,1.4,NaN", "petal_width_cm must be finite"),
        ("5.1,3.5,1.4,1e400", "petal_width_cm must be finite"),
        ("5.1,3.5,1.4," + "9" * 400, "petal_width_cm must be finite"),
        (
            "5.1,3.5,x,inf",
            "petal_length_cm must be a number; petal_width_cm must be finite",
        ),
        ("5.1,3.5,1.4", "must have 5 values, not 4"),
        ("5.1,3.5,1.4,0.2,7,8", "must have 5 values, not 7"),
        ("5.1,3.5,1.4\r,0.2", "has a carriage return outside quotes"),
        ('5.1,3.5,1.4,"0.2', "has a misplaced quote"),
    ],
)
def test_score_gives_the_reason_and_no_answer_when_a_row_is_bad(
    tmp_path: Path, values: str, reason: str
) -> None:
    good = "5.1,3.5,1.4,0.2"
    found, summary = score_csv(tmp_path, f"{HEADER}\na,{good}\nb,{values}\nc,{good}\n")
    assert [row["id"] for row in found] == ["a", "b", "c"]
    assert [row["reason"] for row in found] == ["", reason, ""]
    assert [row["label"] for row in found] == ["setosa", "", "setosa"]
    assert found[1]["probability_setosa"] == found[1]["out_of_range"] == ""
    assert summary.refused == {reason: 1}


@pytest.mark.slow
@pytest.mark.parametrize("block", [3, csv_source.BLOCK_ROWS])
def test_score_keeps_every_row_when_bad_rows_of_all_kinds_meet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(csv_source, "BLOCK_ROWS", block)
    lines = ["1,5.1,3.5,1.4,0.2", "2,,3.5,1.4,0.2", "3,5.1", "4,5.1,inf,1.4,0.2"]
    found, summary = score_csv(tmp_path, "\n".join([HEADER, *lines * 500]))
    assert [row["id"] for row in found] == ["1", "2", "3", "4"] * 500
    assert summary.rows == 2000
    assert sorted(summary.refused.values()) == [500, 500, 500]


@pytest.mark.parametrize("text", [" 5.1 ", "+5.1", "5.10", "0.51e1", '"5.1"'])
def test_score_accepts_a_number_when_it_is_spelt_otherwise(
    tmp_path: Path, text: str
) -> None:
    # The bad row beside it makes the slow way of reading numbers take both.
    bad = "\n2,x,3.5,1.4,0.2\n"
    found, _ = score_csv(tmp_path, f"{HEADER}\n1,{text},3.5,1.4,0.2{bad}")
    assert found[0]["label"] == "setosa"
    plain = tmp_path / "plain"
    plain.mkdir()
    alone, _ = score_csv(plain, f"{HEADER}\n1,{text},3.5,1.4,0.2\n")
    assert alone[0]["probability_setosa"] == found[0]["probability_setosa"]


def test_score_keeps_the_text_of_a_line_when_csv_becomes_csv(tmp_path: Path) -> None:
    line = '007,"5.10",3.5,1.40,.2'
    score_csv(tmp_path, f"{HEADER}\n{line}\n")
    assert (tmp_path / "out.csv").read_text().splitlines()[1].startswith(line + ",s")


def test_score_keeps_surplus_columns_when_there_are_many(tmp_path: Path) -> None:
    found, _ = score_csv(
        tmp_path,
        "petal_width_cm,note,sepal_length_cm,note,petal_length_cm,sepal_width_cm\n"
        '0.2,"a, ""b""\nc",5.1,x,1.4,3.5\n0.2,日本 é,5.1,x,1.4,3.5\n',
    )
    assert [row["label"] for row in found] == ["setosa", "setosa"]
    first = next(csv.reader(io.StringIO((tmp_path / "out.csv").read_text()[72:])))
    assert found[1]["petal_width_cm"] == "0.2"
    assert 'a, "b"\nc' in (tmp_path / "out.csv").read_text().replace('""', '"')
    assert first


def test_score_keeps_ids_as_text_when_csv_becomes_parquet(tmp_path: Path) -> None:
    ids = ["007", "日本", '"a,b"', "", "9" * 40]
    lines = [f"{name},5.1,3.5,1.4,0.2" for name in ids]
    (tmp_path / "rows.csv").write_text("\n".join([HEADER, *lines]), encoding="utf-8")
    score(str(tmp_path / "rows.csv"), str(tmp_path / "out.parquet"))
    found = pq.read_table(tmp_path / "out.parquet")
    assert found["id"].to_pylist() == ["007", "日本", "a,b", "", "9" * 40]
    assert found["sepal_length_cm"].type == pa.float64()


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("last", [True, False])
def test_score_reads_every_row_when_line_ends_vary(
    tmp_path: Path, mark: bytes, end: bytes, last: bool
) -> None:
    lines = [HEADER.encode(), b"1,5.1,3.5,1.4,0.2", b"", b"2,5.1,3.5,1.4,0.2"]
    found, _ = score_csv(tmp_path, mark + end.join(lines) + (end if last else b""))
    assert [(row["id"], row["reason"]) for row in found] == [("1", ""), ("2", "")]
    assert (tmp_path / "out.csv").read_bytes().count(end) == 3


def test_score_refuses_the_row_when_it_is_not_utf8(tmp_path: Path) -> None:
    rows = b"\n\xff,5.1,3.5,1.4,0.2\n2,5.1,3.5,1.4,0.2\n"
    found, _ = score_csv(tmp_path, HEADER.encode() + rows)
    assert [row["reason"] for row in found] == ["must be UTF-8", ""]


def test_score_writes_a_header_when_there_are_no_rows(tmp_path: Path) -> None:
    found, summary = score_csv(tmp_path, HEADER + "\n")
    assert (found, summary.rows, summary.refused) == ([], 0, {})
    text = (tmp_path / "out.csv").read_text()
    assert text == HEADER + "," + ",".join(ADDED) + "\n"
    empty, _ = score_table(tmp_path, table_of(SETOSA).slice(0, 0))
    assert (empty.num_rows, empty.column_names) == (0, ["id", *FEATURES, *ADDED])


def test_score_refuses_rows_when_parquet_values_are_bad(tmp_path: Path) -> None:
    found, summary = score_table(
        tmp_path,
        table_of(
            SETOSA,
            [None, 3.5, 1.4, 0.2],
            [5.1, float("inf"), 1.4, 0.2],
            [5.1, 3.5, float("nan"), 0.2],
        ),
    )
    assert found["label"].to_pylist() == ["setosa", None, None, None]
    assert found["probability_setosa"].null_count == 3
    assert found["reason"].to_pylist() == [
        "",
        "sepal_length_cm must be a number",
        "sepal_width_cm must be finite",
        "petal_length_cm must be finite",
    ]
    assert sum(summary.refused.values()) == 3


@pytest.mark.parametrize(
    ("kind", "values", "label"),
    [
        (pa.int64(), [5], "setosa"),
        (pa.uint64(), [2**64 - 1], "any"),
        (pa.int64(), [2**53 + 1], "any"),
        (pa.float32(), [5.0], "setosa"),
        (pa.decimal128(5, 1), [5], "setosa"),
        (pa.bool_(), [True], None),
        (pa.string(), ["5.1"], None),
        (pa.null(), [None], None),
        (pa.list_(pa.float64()), [[5.1]], None),
    ],
)
def test_score_reads_numbers_only_when_parquet_columns_have_types(
    tmp_path: Path, kind: pa.DataType, values: list[object], label: str | None
) -> None:
    table = table_of(SETOSA).set_column(
        1, "sepal_length_cm", pa.array(values, type=kind)
    )
    found, _ = score_table(tmp_path, table)
    assert found["sepal_length_cm"].to_pylist() == values
    assert found["sepal_length_cm"].type == kind
    answer = found["label"].to_pylist()[0]
    assert answer == label or (label == "any" and answer is not None)


def test_score_keeps_order_when_row_groups_are_many_and_large(tmp_path: Path) -> None:
    rows = 200_000
    table = pa.table({"id": range(rows), **{name: [1.0] * rows for name in FEATURES}})
    pq.write_table(table, tmp_path / "rows.parquet", row_group_size=777)
    score(str(tmp_path / "rows.parquet"), str(tmp_path / "a.parquet"))
    assert pq.read_table(tmp_path / "a.parquet")["id"].to_pylist() == list(range(rows))


def test_score_reads_every_row_once_when_blocks_and_row_groups_end_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet_source, "BLOCK_ROWS", 10)
    monkeypatch.setattr(parquet_source, "PIECE_BYTES", 1)
    table = pa.table({"id": range(100), **{name: [1.0] * 100 for name in FEATURES}})
    pq.write_table(table, tmp_path / "rows.parquet", row_group_size=37)
    score(str(tmp_path / "rows.parquet"), str(tmp_path / "out.parquet"))
    assert pq.read_table(tmp_path / "out.parquet")["id"].to_pylist() == list(range(100))
    assert pq.ParquetFile(tmp_path / "out.parquet").num_row_groups == 11


def test_score_writes_dictionaries_for_what_repeats_when_parquet_is_asked_for(
    tmp_path: Path,
) -> None:
    lines = [f"{row},{row % 70 / 10},3.5,1.4,0.2" for row in range(1000)]
    (tmp_path / "rows.csv").write_text("\n".join([HEADER, *lines]))
    score(str(tmp_path / "rows.csv"), str(tmp_path / "out.parquet"))
    group = pq.ParquetFile(tmp_path / "out.parquet").metadata.row_group(0)
    columns = [group.column(place) for place in range(group.num_columns)]
    assert [
        column.path_in_schema for column in columns if not column.has_dictionary_page
    ] == ["id"]


def test_score_reads_all_files_in_natural_order_when_given_a_folder(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "rows"
    folder.mkdir()
    for number in (0, 2, 10):
        (folder / f"part.{number}.csv").write_text(
            f"{HEADER}\n{number},5.1,3.5,1.4,0.2\n"
        )
    for place, source in enumerate((folder, folder / "*.csv")):
        target = tmp_path / f"out{place}.csv"
        score(str(source), str(target))
        assert list(pd.read_csv(target)["id"]) == [0, 2, 10]


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("rows.csv", b"", "must begin with a line of column names"),
        ("rows.csv", b"\n\n", "must begin with a line of column names"),
        ("rows.csv", b"\xff\xfe\n", "the header is not UTF-8"),
        (
            "rows.csv",
            HEADER.replace("petal_width", "petal_widht").encode(),
            "column petal_width_cm is missing, did you mean 'petal_widht_cm'?",
        ),
        ("rows.csv", f"{HEADER},id,label".encode(), "column label is there already"),
        (
            "rows.csv",
            f"{HEADER},petal_width_cm\n".encode(),
            "column petal_width_cm occurs twice",
        ),
        ("rows.parquet", b"", "is not a Parquet file"),
        ("rows.parquet", b"PAR1 nonsense PAR1", "is not a Parquet file"),
        ("rows.parquet", b"id,a\n1,2\n", "is not a Parquet file"),
        ("rows.txt", b"id\n", "must end in .csv"),
        ("none.csv", None, "No such file"),
    ],
)
def test_score_fails_with_one_line_and_writes_nothing_when_input_is_unusable(
    tmp_path: Path, name: str, content: bytes | None, says: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(ScoringFailed) as caught:
        score(str(tmp_path / name), str(tmp_path / "out.csv"))
    assert says in str(caught.value)
    assert str(tmp_path / name) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert sorted(tmp_path.iterdir()) == before


def test_score_never_overwrites_when_the_output_is_there(tmp_path: Path) -> None:
    source = tmp_path / "rows.csv"
    source.write_text(HEADER + "\n")
    (tmp_path / "out.csv").write_text("mine")
    for target in ("out.csv", "rows.csv"):
        with pytest.raises(ScoringFailed, match="is there already"):
            score(str(source), str(tmp_path / target))
    assert (tmp_path / "out.csv").read_text() == "mine"
    assert source.read_text() == HEADER + "\n"


def test_score_refuses_parquet_columns_when_csv_cannot_hold_them(
    tmp_path: Path,
) -> None:
    table = table_of(SETOSA, tags=[["a"]])
    pq.write_table(table, tmp_path / "rows.parquet")
    with pytest.raises(ScoringFailed, match="tags is list.*CSV cannot hold"):
        score(str(tmp_path / "rows.parquet"), str(tmp_path / "out.csv"))
