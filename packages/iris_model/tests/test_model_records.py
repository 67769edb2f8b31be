"""Records are filtered, exported and judged in one pass; what is damaged is said."""

import gzip
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import duckdb
import fsspec
import pyarrow.parquet as pq
import pytest
from records_made import Done, make_records, rows_of_table, run_command
from test_model_score_runs import free_port, running, wait_for

import iris_model
from iris_model.accuracy import AccuracyTally, begin_of
from iris_model.records import LONGEST_LINE, Reading, read_records

VERSION = iris_model.__version__
ROW = {
    "sepal_length_cm": 5.1,
    "sepal_width_cm": 3.5,
    "petal_length_cm": 1.4,
    "petal_width_cm": 0.2,
}
FAR = {**ROW, "petal_length_cm": 14.0}


def run(*arguments: str, stdin: str = "") -> Done:
    return run_command("records", *arguments, stdin=stdin)


@pytest.fixture(scope="module")
def lines(model: iris_model.IrisModel) -> list[str]:
    """Return 100 records an hour apart, the last of a row out of range."""
    return list(make_records(model, [*rows_of_table(99, 7), FAR]))


@pytest.fixture
def records(tmp_path: Path, lines: list[str]) -> Path:
    """Return a file of them."""
    path = tmp_path / "records.jsonl"
    path.write_text("\n".join(lines) + "\n")
    return path


def ids(output: str) -> list[str]:
    return [json.loads(line)["request_id"] for line in output.splitlines()]


# ---- filters ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--since", "2026-11-06", "--until", "2026-11-06T02:00Z"], ["r96", "r97"]),
        (["--until", "9999-12-31T23:59:59", "--request-id", "r7"], ["r7"]),
        (["--since", "2026-11-06T03:00:00+01:00"], ["r98", "r99"]),
        (["--request-id", "r7"], ["r7"]),
        (["--version", "0.0.1"], []),
        (["--version", VERSION, "--request-id", "r8"], ["r8"]),
        (["--out-of-range"], ["r99"]),
        (["--label", "setosa", "--request-id", "r99"], []),
    ],
)
def test_records_are_printed_as_they_are_when_they_are_wanted(
    records: Path, lines: list[str], options: list[str], expected: list[str]
) -> None:
    done = run(str(records), *options)
    assert done.returncode == 0, done.stderr
    wanted = [line for line in lines if json.loads(line)["request_id"] in expected]
    assert done.stdout.splitlines() == wanted


def test_records_are_read_in_natural_order_when_compressed_in_a_folder(
    tmp_path: Path, lines: list[str]
) -> None:
    (tmp_path / "part10.jsonl").write_text(lines[2] + "\n")
    (tmp_path / "part9.jsonl.gz").write_bytes(gzip.compress(lines[1].encode()))
    (tmp_path / "notes.txt").write_text("nothing")
    done = run(str(tmp_path))
    assert ids(done.stdout) == ["r1", "r2"]


def test_records_are_read_from_standard_input_when_asked(lines: list[str]) -> None:
    done = run("-", "--request-id", "r3", stdin="\n".join(lines))
    assert (ids(done.stdout), done.returncode) == (["r3"], 0)


@pytest.mark.slow
def test_records_stop_quietly_when_nobody_reads_any_more(
    tmp_path: Path, lines: list[str]
) -> None:
    path = tmp_path / "many.jsonl"
    path.write_text("\n".join(lines * 50))
    command = f"{sys.executable} -m iris_model records {path} | head -n 1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True)
    assert ids(done.stdout) == ["r0"]
    assert done.stderr == ""


# ---- damage -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("{", "no JSON object, or cut short"),
        ("[]", "no JSON object, or cut short"),
        ("\xff\x00", "no JSON object, or cut short"),
        ("x" * (LONGEST_LINE + 5), "longer than 4 MiB"),
        ({"time": "2026-11-02T00:00:00"}, "JSON, but no record"),
        ({"time": 7}, "JSON, but no record"),
        ({"request_id": None}, "JSON, but no record"),
        ({"labels": []}, "JSON, but no record"),
        ({"inputs": [{**ROW, "petal_width_cm": "0.2"}]}, "JSON, but no record"),
        ({"inputs": [{**ROW, "petal_width_cm": True}]}, "JSON, but no record"),
        ({"inputs": "abcd"}, "JSON, but no record"),
        ({"model": {"name": "wine", "version": "1"}}, "of a model with another name"),
        ({"labels": ["rose"]}, "of a model with another name"),
        ({"inputs": [{"ash": 1.0}]}, "of a model with another name"),
    ],
)
def test_damaged_line_is_counted_and_passed_over_when_among_records(
    tmp_path: Path, lines: list[str], change: object, reason: str
) -> None:
    bad = (
        change
        if isinstance(change, str)
        else json.dumps({**json.loads(lines[0]), **change})
    )
    path = tmp_path / "r.jsonl"
    path.write_bytes("\n".join([lines[1], "", bad, lines[2]]).encode("latin-1"))
    reading = Reading()
    found = list(read_records(str(path), iris_model.load().manifest, reading))
    assert [record.request_id for record in found] == ["r1", "r2"]
    assert reading.lines == 3
    [said] = reading.damaged
    assert said.startswith(reason)
    assert reading.first == f"{path}, line 3"


def test_exit_code_is_3_when_lines_were_passed_over(
    tmp_path: Path, lines: list[str]
) -> None:
    path = tmp_path / "r.jsonl"
    path.write_text(lines[0] + "\n" + lines[1][:50])
    done = run(str(path))
    assert (done.returncode, ids(done.stdout)) == (3, ["r0"])
    assert "1  passed over: no JSON object, or cut short" in done.stderr


def test_records_are_refused_when_none_is_a_record(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    path.write_text("no\nrecord\n")
    done = run(str(path), "--output", str(tmp_path / "out.parquet"))
    assert done.returncode == 78
    assert done.stderr == (
        f"iris-model: {path}: none of 2 lines is a record: "
        "most are no JSON object, or cut short\n"
    )
    assert not (tmp_path / "out.parquet").exists()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["nowhere.jsonl"], "nowhere.jsonl: No such file or directory"),
        (["-", "--since", "soon"], "'soon': is no time; write 2026-11-25 or"),
        (["-", "--until", "9999-12-31T23:00-02:00"], "is no time; write 2026"),
        (["-", "--since", "0001-01-01T00:00+02:00"], "is no time; write 2026"),
        (["-", "--output", "rows.csv"], "the name must end in .parquet"),
        (["-", "--labels", "none.csv"], "none.csv: No such file or directory"),
    ],
)
def test_records_end_with_one_line_when_they_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    done = run(*options)
    assert done.returncode == 78
    assert says in done.stderr and done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


# ---- Parquet ----------------------------------------------------------------


def test_rows_are_found_by_duckdb_when_exported(tmp_path: Path, records: Path) -> None:
    target = tmp_path / "rows.parquet"
    done = run(str(records), "--output", str(target))
    assert (done.returncode, done.stdout) == (0, "")
    found = duckdb.sql(
        f"SELECT count(*), sum((out_of_range <> '')::INT), "
        f"max(petal_length_cm), min(true_label) FROM '{target}'"
    ).fetchall()
    assert found == [(100, 1, 14.0, None)]
    [[hours]] = duckdb.sql(
        f"SELECT date_diff('hour', min(time), max(time)) FROM '{target}'"
    ).fetchall()
    assert hours == 99
    [[request_id, version]] = duckdb.sql(
        f"SELECT request_id, version FROM '{target}' WHERE petal_length_cm > 10"
    ).fetchall()
    assert (request_id, version) == ("r99", VERSION)


def test_rows_have_hashes_and_no_values_when_inputs_are_not_on_record(
    tmp_path: Path, lines: list[str]
) -> None:
    record = json.loads(lines[0]) | {"inputs": ["ab" * 16]}
    (tmp_path / "r.jsonl").write_text(json.dumps(record))
    target = tmp_path / "rows.parquet"
    assert run(str(tmp_path / "r.jsonl"), "--output", str(target)).returncode == 0
    found = duckdb.sql(f"SELECT input_hash, petal_width_cm FROM '{target}'").fetchall()
    assert found == [("ab" * 16, None)]


def test_only_wanted_rows_are_exported_when_a_request_has_others(
    tmp_path: Path, model: iris_model.IrisModel
) -> None:
    answers = model.predict([ROW, FAR])
    both = {
        "inputs": [ROW, FAR],
        "labels": [answer.label for answer in answers],
        "probabilities": [answer.probabilities for answer in answers],
    }
    (tmp_path / "r.jsonl").write_text(next(make_records(model, [ROW], **both)))
    target = tmp_path / "rows.parquet"
    arguments = [str(tmp_path / "r.jsonl"), "--out-of-range", "--output", str(target)]
    assert run(*arguments).returncode == 0
    found = duckdb.sql(f"SELECT \"row\", out_of_range FROM '{target}'").fetchall()
    assert found == [(1, "petal_length_cm")]


def test_export_never_overwrites_when_the_output_is_there(
    tmp_path: Path, records: Path
) -> None:
    target = tmp_path / "rows.parquet"
    target.write_text("mine")
    done = run(str(records), "--output", str(target))
    assert done.returncode == 78
    assert "is there already and is never overwritten" in done.stderr
    assert target.read_text() == "mine"


# ---- labels -----------------------------------------------------------------


def test_accuracy_is_told_by_day_when_labels_arrive(
    tmp_path: Path, records: Path, lines: list[str]
) -> None:
    answers = {one["request_id"]: one["labels"][0] for one in map(json.loads, lines)}
    truth = dict(answers)
    truth["r0"] = next(name for name in answers.values() if name != answers["r0"])
    csv = ["request_id,row,label"] + [f"{name},0,{is_}" for name, is_ in truth.items()]
    csv += ["r1,0,rose", "r1,x,setosa", "gone,0,setosa", f"r5,0,{answers['r5']}"]
    (tmp_path / "labels.csv").write_text("\n".join(csv))
    done = run(str(records), "--labels", str(tmp_path / "labels.csv"), "--json")
    assert done.returncode == 3  # two lines are no labels
    first, *others = json.loads(done.stdout)
    assert first["begin"] == "2026-11-02"
    assert (first["version"], first["labelled"], first["right"]) == (VERSION, 24, 23)
    # Wilson's interval of 23 in 24, from a table.
    assert first["low"] == pytest.approx(0.7976, abs=5e-4)
    assert first["high"] == pytest.approx(0.9926, abs=5e-4)
    assert [one["labelled"] for one in others] == [24, 24, 24, 4]
    assert "2  no label: not a request_id, a row from 0 and a class" in done.stderr
    assert "1  of no record that was wanted" in done.stderr
    assert "1  replaced by a later label of the same row" in done.stderr


def test_truth_is_beside_the_answer_when_exported_with_labels(
    tmp_path: Path, records: Path
) -> None:
    labels = tmp_path / "labels.jsonl"
    labels.write_text('{"request_id": "r3", "row": 0, "label": "virginica"}\n')
    target = tmp_path / "rows.parquet"
    done = run(str(records), "--labels", str(labels), "--output", str(target))
    assert done.returncode == 0, done.stderr
    found = duckdb.sql(
        f"SELECT request_id, true_label FROM '{target}' WHERE true_label IS NOT NULL"
    ).fetchall()
    assert found == [("r3", "virginica")]


def test_labels_are_refused_when_a_column_is_missing(
    tmp_path: Path, records: Path
) -> None:
    (tmp_path / "labels.csv").write_text("id,label\nr1,setosa\n")
    done = run(str(records), "--labels", str(tmp_path / "labels.csv"))
    assert done.returncode == 78
    assert "needs once each request_id, row, label" in done.stderr


MARK = "\ufeff"


@pytest.mark.parametrize(
    ("name", "text", "labels", "damaged"),
    [
        ("labels.csv", MARK + "request_id,row,label\r\n{}\r\n\r\n", 2, 0),
        ("labels.csv", "request_id,row,label\r\r\n{}\r\r\n", 2, 0),
        ("labels.csv", "label,row,request_id,by\n{},me\n", 0, 2),
        ("labels.csv", "request_id,row,label\n{},surplus\nr1\n", 1, 2),
        ("labels.csv", 'request_id,row,label\n"' + "x" * 140_000 + '",0,a\n{}\n', 2, 1),
        ("labels.csv", "request_id,row,label\nr1," + "9" * 5000 + ",a\n{}\n", 2, 1),
        ("labels.jsonl", MARK + "{}\n\n\n" + MARK + "\n", 2, 0),
        ("labels.ndjson", "{}\r\n \r\n", 2, 0),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_each_label_is_judged_alone_whatever_stands_around_it(
    tmp_path: Path, records: Path, name: str, text: str, labels: int, damaged: int
) -> None:
    rows = [("r3", "setosa"), ("r4", "virginica")]
    if name.endswith(".csv"):
        lines = [f"{request_id},0,{label}" for request_id, label in rows]
    else:
        lines = [
            json.dumps({"request_id": request_id, "row": 0, "label": label})
            for request_id, label in rows
        ]
    end = "\r\n" if "\r\n" in text else "\n"
    (tmp_path / name).write_bytes(text.replace("{}", end.join(lines)).encode())
    done = run(str(records), "--labels", str(tmp_path / name), "--json")
    assert done.returncode == (3 if damaged else 0), done.stderr
    assert sum(one["labelled"] for one in json.loads(done.stdout)) == labels
    assert f"{labels} labels read" in done.stderr
    assert not damaged or f"{damaged}  no label" in done.stderr


def test_records_are_read_when_files_with_marks_were_joined(
    tmp_path: Path, lines: list[str]
) -> None:
    (tmp_path / "r.jsonl").write_text(f"{MARK}{lines[0]}\n{MARK}{lines[1]}\n\n")
    assert ids(run(str(tmp_path / "r.jsonl")).stdout) == ["r0", "r1"]
    piped = run("-", stdin=f"{MARK}{lines[0]}\r\n")
    assert ids(piped.stdout) == ["r0"]


def test_record_is_printed_as_one_line_when_it_holds_carriage_returns(
    tmp_path: Path, lines: list[str]
) -> None:
    line = lines[0].replace(",", ",\r").replace("{", "{\r")
    (tmp_path / "r.jsonl").write_bytes(f"{line}\r\r\n".encode())
    printed = run(str(tmp_path / "r.jsonl")).stdout
    assert printed.splitlines() == [printed[:-1]]
    assert json.loads(printed) == json.loads(lines[0])


def test_label_is_said_to_be_ambiguous_when_a_request_id_occurs_twice(
    tmp_path: Path, lines: list[str]
) -> None:
    (tmp_path / "r.jsonl").write_text(lines[0] + "\n" + lines[0])
    (tmp_path / "labels.csv").write_text("request_id,row,label\nr0,0,setosa\n")
    done = run(str(tmp_path / "r.jsonl"), "--labels", str(tmp_path / "labels.csv"))
    assert "1  of a request id that several records have" in done.stderr


@pytest.mark.parametrize(
    ("period", "begin"),
    [
        ("hour", "2026-11-25T13:00Z"),
        ("day", "2026-11-25"),
        ("week", "2026-11-23"),
        ("month", "2026-11-01"),
    ],
)
def test_period_begins_where_the_calendar_says(period: str, begin: str) -> None:
    from datetime import UTC, datetime

    assert begin_of(datetime(2026, 11, 25, 13, 7, tzinfo=UTC), period) == begin
    assert AccuracyTally(period).result() == []


# ---- size and place ---------------------------------------------------------


@pytest.mark.slow
def test_memory_does_not_grow_when_there_are_many_records(
    tmp_path: Path, lines: list[str]
) -> None:
    peaks = []
    for times in (300, 1500):
        path = tmp_path / f"{times}.jsonl"
        path.write_text("\n".join(lines * times))
        code = (
            "import sys\nfrom iris_model.cli import main\n"
            f"main(['records', '{path}', '--output', '{path}.parquet'])\n"
            f"main(['drift', '{path}'])\n"
            # Not getrusage, whose peak begins with that of the parent.
            "status = open('/proc/self/status').read()\n"
            "print(status.split('VmHWM:')[1].split()[0], file=sys.stderr)"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
        peaks.append(int(done.stderr.splitlines()[-1]) / 1024)
    # 120,000 more records are 60 MB of lines.
    assert peaks[1] - peaks[0] < 40, peaks


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Run moto's S3 over HTTP; return the URL of an empty bucket."""
    port = free_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with running("-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)):
        wait_for(port)
        files = fsspec.filesystem("s3")
        files.clear_instance_cache()
        fsspec.filesystem("s3").mkdir("records")
        yield "s3://records"
        fsspec.filesystem("s3").clear_instance_cache()


@pytest.mark.slow
def test_records_are_read_and_written_when_in_an_object_store(
    tmp_path: Path, bucket: str, lines: list[str]
) -> None:
    with fsspec.open(f"{bucket}/day/1.jsonl", "wb") as source:
        source.write("\n".join(lines).encode())
    done = run(f"{bucket}/day/*.jsonl", "--output", f"{bucket}/rows.parquet")
    assert done.returncode == 0, done.stderr
    with fsspec.open(f"{bucket}/rows.parquet", "rb") as written:
        assert pq.read_table(written).num_rows == 100
