"""The command that sends true labels to the collector; `cli` puts it on the console."""

import csv
import http.client
import json
import sys
from collections.abc import Iterator
from contextlib import closing
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
    from shadow_router.controls import KEY_NAME, read_keys
    from shadow_router.settings import load_settings

    settings = load_settings()
    keys = read_keys(settings.control_key_file or settings.data_dir / KEY_NAME)
    where = (settings.private_host, settings.private_port)
    key = next(iter(keys.values()))
    if str(file) == "-":
        counts = _send_all(sys.stdin, where, key)
    else:
        try:
            with file.open(newline="", encoding="utf-8-sig") as lines:
                counts = _send_all(lines, where, key)
        except OSError as error:
            raise LabelsRefused(f"{file}: {error.strerror}") from None
    typer.echo(", ".join(f"{name} {n:,}" for name, n in counts.items()))
    raise typer.Exit(1 if counts["conflicting"] else 0)


def _send_all(lines: IO[str], where: tuple[str, int], key: str) -> dict[str, int]:
    counts = dict.fromkeys(("joined", "repeated", "unused", "conflicting"), 0)
    for first, chunk in _chunks(lines):
        answer = _send(chunk, where, key)
        for name in ("joined", "repeated", "unused"):
            counts[name] += answer[name]
        for place in answer["conflicting"]:
            if counts["conflicting"] < _SHOWN:
                typer.echo(f"line {first + place}: has another label", err=True)
            counts["conflicting"] += 1
    return counts


def _chunks(lines: IO[str]) -> Iterator[tuple[int, list[dict[str, object]]]]:
    """Yield labels as the collector takes them, with the line of the first."""
    try:
        reader = csv.reader(lines, strict=True)
        if next(reader, None) != _HEADER:
            raise LabelsRefused(f"line 1: must be {','.join(_HEADER)}")
        first, chunk = 2, []
        for number, row in enumerate(reader, 2):
            chunk.append(_parsed(number, row))
            if len(chunk) == _CHUNK:
                yield first, chunk
                first, chunk = number + 1, []
        if chunk:
            yield first, chunk
    except (csv.Error, UnicodeDecodeError):
        raise LabelsRefused("the file is not CSV in UTF-8") from None


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
