"""The command that sends true labels to the collector; `cli` puts it on the console."""

import csv
import http.client
import json
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import islice
from pathlib import Path
from typing import IO, Annotated, Any

import typer

from shadow_router.errors import LabelsRefused

_HEADER = ["request_id", "row", "label"]
_CHUNK = 1000
_TIMEOUT_S = 30.0
_SHOWN = 20


def label(
    file: Annotated[Path, typer.Argument(help="CSV of request_id,row,label; - reads.")],
) -> None:
    """Send true labels to the running collector; exit code 1 if some contradict."""
    from shadow_router.private.controls import KEY_NAME, read_keys
    from shadow_router.settings import load_settings

    settings = load_settings()
    keys = read_keys(settings.control_key_file or settings.data_dir / KEY_NAME)
    where = (settings.private_host, settings.private_port)
    key = next(iter(keys.values()))
    with _opened(file) as lines:
        counts = _send_all(lines, where, key)
    typer.echo(", ".join(f"{name} {n:,}" for name, n in counts.items()))
    raise typer.Exit(1 if counts["conflicting"] else 0)


@contextmanager
def _opened(file: Path) -> Iterator[IO[str]]:
    """Open a file or standard input; both may begin with a byte order mark."""
    try:
        source = sys.stdin.fileno() if str(file) == "-" else file
        with open(source, newline="", encoding="utf-8-sig") as lines:
            yield lines
    except OSError as error:
        raise LabelsRefused(f"{file}: {error.strerror}") from None


def _send_all(lines: IO[str], where: tuple[str, int], key: str) -> dict[str, int]:
    counts = dict.fromkeys(("joined", "repeated", "unused", "conflicting"), 0)
    for chunk in _chunks(lines):
        answer = _send([one for _, one in chunk], where, key)
        for name in ("joined", "repeated", "unused"):
            counts[name] += answer[name]
        for place in answer["conflicting"]:
            if counts["conflicting"] < _SHOWN:
                typer.echo(f"line {chunk[place][0]}: has another label", err=True)
            counts["conflicting"] += 1
    return counts


def _chunks(lines: IO[str]) -> Iterator[list[tuple[int, dict[str, object]]]]:
    """Yield labels as the collector takes them, each with the line where it ends."""
    reader = csv.reader(lines, strict=True)
    try:
        rows = (row for row in reader if not _is_blank(row))
        if next(rows, None) != _HEADER:
            raise LabelsRefused(f"line 1: must be {','.join(_HEADER)}")
        parsed = ((reader.line_num, _parsed(reader.line_num, row)) for row in rows)
        while chunk := list(islice(parsed, _CHUNK)):
            yield chunk
    except UnicodeDecodeError:
        raise LabelsRefused("the file is not CSV in UTF-8") from None
    except csv.Error as error:
        raise LabelsRefused(f"line {reader.line_num}: {error}") from None


def _is_blank(row: list[str]) -> bool:
    # Editors leave such lines at the end.
    return len(row) < 2 and not "".join(row).strip()


def _parsed(number: int, row: list[str]) -> dict[str, object]:
    if len(row) != len(_HEADER):
        raise LabelsRefused(f"line {number}: {len(row)} fields, not {len(_HEADER)}")
    if not (row[1].isascii() and row[1].isdecimal() and len(row[1]) < 10):
        raise LabelsRefused(f"line {number}: row must be a whole number from 0")
    return {"request_id": row[0], "row": int(row[1]), "label": row[2]}


def _send(chunk: list[dict[str, object]], where: tuple[str, int], key: str) -> Any:
    # `Any` is what json.loads can honestly promise; the collector is ours.
    headers = {"content-type": "application/json", "authorization": f"Bearer {key}"}
    body = json.dumps({"labels": chunk}).encode()
    connection = http.client.HTTPConnection(*where, timeout=_TIMEOUT_S)
    try:
        with closing(connection):
            connection.request("POST", "/labels", body, headers)
            answer = connection.getresponse()
            document = json.loads(answer.read())
    except (OSError, http.client.HTTPException, ValueError):
        host, port = where
        raise LabelsRefused(
            f"no collector answers on {host}:{port} (SHADOW_ROUTER_PRIVATE_PORT)"
        ) from None
    if answer.status != 200:
        raise LabelsRefused(f"{answer.status}: {document.get('detail')}")
    return document
