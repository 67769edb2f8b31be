"""Scoring as it is run: the command, a cluster, an object store, a full disk."""

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

import iris_model.files as files
from iris_model.errors import ScoringFailed
from iris_model.score import score

FEATURES = ["sepal_length_cm", "sepal_width_cm", "petal_length_cm", "petal_width_cm"]
GOOD = "5.1,3.5,1.4,0.2"


def run(*arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "iris_model", "score", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=120, **options
    )


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the same 150,000 rows as CSV and as Parquet."""
    folder = tmp_path_factory.mktemp("large")
    values = np.random.default_rng(1936).uniform(0.1, 8.0, (150_000, 4))
    values[::1000, 2] = np.nan
    columns = dict(zip(FEATURES, values.T, strict=True))
    table = pa.table({"id": np.arange(len(values)), **columns})
    pyarrow.csv.write_csv(table, folder / "rows.csv")
    pq.write_table(table, folder / "rows.parquet", row_group_size=50_000)
    return folder


@contextlib.contextmanager
def running(*command: str, **options: object) -> Iterator[subprocess.Popen[bytes]]:
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen([sys.executable, *command], **{**quiet, **options})
    try:
        yield process
    finally:
        process.terminate()
        process.wait(timeout=30)


def free_port() -> int:
    while True:
        # Below the ports that the kernel gives to clients: none takes it meanwhile.
        port = random.SystemRandom().randrange(10_000, 32_000)
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port


def wait_for(port: int) -> None:
    for _ in range(300):
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        time.sleep(0.1)
    raise AssertionError(f"nothing listens on port {port}")


@pytest.fixture(scope="module")
def scheduler() -> Iterator[str]:
    """Run a Dask scheduler and two worker processes; return the address."""
    port = free_port()
    address = f"tcp://127.0.0.1:{port}"
    worker = ["-m", "distributed.cli.dask_worker", address, "--nthreads", "1"]
    quiet = ["--no-dashboard"]
    with contextlib.ExitStack() as stack:
        head = ["-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1"]
        places = ["--port", str(port), "--dashboard-address", "127.0.0.1:0"]
        stack.enter_context(running(*head, *places, *quiet))
        wait_for(port)
        for _ in range(2):
            stack.enter_context(running(*worker, *quiet, "--no-nanny"))
        yield address


@pytest.mark.slow
@pytest.mark.parametrize("source", ["rows.csv", "rows.parquet"])
@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_score_writes_the_same_bytes_when_a_cluster_does_the_work(
    tmp_path: Path, large: Path, scheduler: str, source: str, suffix: str
) -> None:
    here, there = tmp_path / f"here.{suffix}", tmp_path / f"there.{suffix}"
    summary = score(str(large / source), str(here))
    assert score(str(large / source), str(there), scheduler).rows == 150_000
    assert here.read_bytes() == there.read_bytes()
    assert list(summary.refused.values()) == [150]


@pytest.mark.slow
def test_score_says_so_in_one_line_when_no_scheduler_answers(
    tmp_path: Path, large: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("iris_model.cluster.CONNECT_SECONDS", 1)
    address = f"tcp://127.0.0.1:{free_port()}"
    with pytest.raises(ScoringFailed, match=f"Dask scheduler {address}"):
        score(str(large / "rows.csv"), str(tmp_path / "out.csv"), address)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Run moto's S3 over HTTP; return the URL of an empty bucket."""
    import fsspec

    port = free_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with running("-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)):
        wait_for(port)
        files = fsspec.filesystem("s3")
        files.clear_instance_cache()
        fsspec.filesystem("s3").mkdir("tables")
        yield "s3://tables"
        fsspec.filesystem("s3").clear_instance_cache()


@pytest.mark.slow
def test_score_reads_and_writes_objects_when_given_s3_urls(
    tmp_path: Path, large: Path, bucket: str
) -> None:
    import fsspec

    for suffix in ("csv", "parquet"):
        with fsspec.open(f"{bucket}/rows.{suffix}", "wb") as target:
            target.write((large / f"rows.{suffix}").read_bytes())
        local = tmp_path / f"out.{suffix}"
        score(str(large / f"rows.{suffix}"), str(local))
        score(f"{bucket}/rows.{suffix}", f"{bucket}/out.{suffix}")
        with fsspec.open(f"{bucket}/out.{suffix}", "rb") as found:
            assert found.read() == local.read_bytes()
    with pytest.raises(ScoringFailed, match="is there already"):
        score(f"{bucket}/rows.csv", f"{bucket}/out.csv")


@pytest.mark.slow
def test_score_leaves_no_object_when_it_fails_under_way(
    large: Path, bucket: str
) -> None:
    import fsspec

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        score(str(large / "rows.csv"), f"{bucket}/out.csv", progress=stop)
    files = fsspec.filesystem("s3")
    files.invalidate_cache()
    assert files.ls("tables") == []
    for name in ("none.csv", "none.parquet"):
        with pytest.raises(ScoringFailed, match=name):
            score(f"{bucket}/{name}", f"{bucket}/out.csv")


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_score_leaves_nothing_when_it_is_stopped(tmp_path: Path, number: int) -> None:
    (tmp_path / "temporary").mkdir()
    with open(tmp_path / "rows.csv", "w") as file:
        file.write(",".join(FEATURES) + "\n")
        for _ in range(40):
            file.write(f"{GOOD}\n" * 100_000)
    out = tmp_path / "out"
    out.mkdir()
    # Tests that a shell runs in the background ignore it, and so would the command.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    environment = {**os.environ, "TMPDIR": str(tmp_path / "temporary")}
    command = ["-m", "iris_model", "score", str(tmp_path / "rows.csv")]
    with running(*command, str(out / "out.csv"), env=environment) as process:
        for _ in range(1000):
            if any(path.stat().st_size for path in out.iterdir()):
                break
            time.sleep(0.01)
        process.send_signal(number)
        code = process.wait(timeout=30)
    assert code == {signal.SIGINT: 130, signal.SIGTERM: 143}[number]
    assert list(out.iterdir()) == []
    left = {path.name for path in (tmp_path / "temporary").iterdir()}
    assert left <= {".ses"}  # onnxruntime's own, made by every load


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_score_leaves_nothing_when_the_disk_is_full(
    tmp_path: Path, large: Path, suffix: str
) -> None:
    # A limit on the size of files stops writing half way, as a full disk does.
    code = (
        "import resource, signal, sys\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, 2_000_000))\n"
        "from iris_model.cli import main\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    target = tmp_path / f"out.{suffix}"
    done = subprocess.run(
        [sys.executable, "-c", code, "score", large / "rows.csv", target],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 78
    assert done.stderr == f"iris-model: {target}: cannot be written: File too large\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_score_writes_the_same_bytes_when_they_go_to_the_disk_under_way(
    tmp_path: Path, large: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    score(str(large / "rows.csv"), str(tmp_path / "at_end.csv"))
    settled, settle = [], files.settle
    monkeypatch.setattr(files, "SETTLED_BYTES", 1 << 20)
    monkeypatch.setattr(files, "settle", lambda file: settled.append(settle(file)))
    score(str(large / "rows.csv"), str(tmp_path / "under_way.csv"))
    at_end, under_way = tmp_path / "at_end.csv", tmp_path / "under_way.csv"
    assert len(settled) > 3
    assert at_end.read_bytes() == under_way.read_bytes()


@pytest.mark.slow
def test_score_says_why_when_the_folder_of_the_output_is_missing(
    tmp_path: Path, large: Path
) -> None:
    done = run(str(large / "rows.csv"), str(tmp_path / "none" / "out.csv"))
    assert done.returncode == 78
    assert "cannot be written: No such file or directory" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.slow
def test_score_ends_with_0_when_every_row_has_an_answer(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text(f"{','.join(FEATURES)}\n{GOOD}\n")
    done = run(str(tmp_path / "rows.csv"), str(tmp_path / "out.csv"))
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.startswith("1 rows, 1 scored, 0 refused\n")
    assert done.stderr.rstrip().endswith("rows/s")
    assert "\x1b" not in done.stderr


@pytest.mark.slow
def test_score_ends_with_3_and_counts_reasons_when_rows_are_refused(
    tmp_path: Path,
) -> None:
    bad = "5.1,3.5,1.4,\n" * 2 + "5.1,3.5,x,0.2\n"
    (tmp_path / "rows.csv").write_text(f"{','.join(FEATURES)}\n{GOOD}\n{bad}")
    done = run(str(tmp_path / "rows.csv"), str(tmp_path / "out.csv"))
    assert (done.returncode, done.stdout) == (3, "")
    lines = done.stderr.splitlines()
    assert lines[0] == "4 rows, 1 scored, 3 refused"
    assert lines[2].split(maxsplit=1) == ["2", "petal_width_cm must be a number"]
    assert lines[3].split(maxsplit=1) == ["1", "petal_length_cm must be a number"]


def test_score_names_the_extra_when_it_is_not_installed(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['dask'] = None\n"
        "from iris_model.cli import main\n"
        "sys.exit(main(['score', 'a.csv', 'b.csv']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 78
    says = "scoring files needs dask: install iris_model's extra `score`"
    assert done.stderr == f"iris-model: {says}\n"


@pytest.mark.slow
def test_score_stays_small_when_the_input_is_large(tmp_path: Path) -> None:
    rows = 2_000_000
    values = {name: np.linspace(0.1, 8.0, rows) for name in FEATURES}
    pq.write_table(pa.table(values), tmp_path / "rows.parquet")
    code = (
        "import resource, sys\n"
        "from iris_model.cli import main\n"
        "main(sys.argv[1:])\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "score"]
        + [str(tmp_path / "rows.parquet"), str(tmp_path / "out.parquet")],
        capture_output=True,
        text=True,
    )
    assert int(done.stdout) < 1_000_000  # KiB
