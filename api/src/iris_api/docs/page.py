"""
The page at ``/``: static files from the package, and one document of this model.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from math import ceil, floor, log10, sqrt
from typing import Any

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from iris_api import __version__
from iris_api.predict.predictor import Background, Predictor
from iris_api.problems import MAX_BODY_BYTES
from iris_api.schemas import MAX_ROWS, Feature, ModelCard

START = "index.html"
DATA = "data.json"
EXAMPLES = 3

# Nothing inline, nothing from elsewhere, no frame around it, no form sent from it.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
_HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    # Kept by the browser, asked for every time: another release, another page.
    "Cache-Control": "no-cache",
}
# Our own table: the standard library's depends on the machine.
_TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
    "json": "application/json",
}


@dataclass(frozen=True, slots=True)
class _File:
    content: bytes
    media_type: str
    etag: str


def add_page(app: FastAPI, predictor: Predictor) -> None:
    """
    Serve the page at ``/`` and what belongs to it below ``/page/``.

    Parameters
    ----------
    app : FastAPI
        Answers an unknown path with a problem.
    predictor : Predictor
        The model that the page is about.
    """
    files = _read_files()
    data = build_page_data(predictor.card, predictor.read_background())
    files[DATA] = _file(DATA, json.dumps(data, separators=(",", ":")).encode())
    start = files.pop(START)

    @app.get("/", include_in_schema=False)
    async def page(request: Request) -> Response:
        return _answer(start, request)

    @app.get("/page/{name}", include_in_schema=False)
    async def part(name: str, request: Request) -> Response:
        if name not in files:
            raise HTTPException(404)
        return _answer(files[name], request)


def build_page_data(card: ModelCard, background: Background) -> dict[str, Any]:
    """
    Return all that the page knows of the model, ready for JSON.

    Parameters
    ----------
    card : ModelCard
        Names, classes, features and metrics.
    background : Background
        Sentences, golden rows and training rows.
    """
    table = background.table
    known = {name: position for position, name in enumerate(card.classes)}
    labels = [known.get(label, -1) for label in table.labels]
    return {
        "api_version": __version__,
        "model": {"name": card.name, "version": card.version, "engine": card.engine},
        "target": " ".join(card.target.replace("_", " ").split()),
        "purpose": background.purpose,
        "limits": background.limits,
        "accuracy": _accuracy(card, background.table_rows),
        "classes": card.classes,
        "features": [_describe(feature) for feature in card.features],
        "examples": choose_examples(background.golden),
        "rows": table.rows if -1 not in labels else (),
        "labels": labels if -1 not in labels else (),
        "max_rows": MAX_ROWS,
        "max_bytes": MAX_BODY_BYTES,
    }


def _accuracy(card: ModelCard, rows: int) -> dict[str, float] | None:
    """Return the accuracy, and by how much as many other rows would change it."""
    score = card.metrics.get("accuracy")
    mean = score.get("mean") if isinstance(score, dict) else None
    if not isinstance(mean, float) or not 0 <= mean <= 1 or rows < 1:
        return None
    # Not the deviation over repeats, which asks the same rows again.
    return {
        "mean": mean,
        "sampling_error": sqrt(mean * (1 - mean) / rows),
        "rows": rows,
    }


def choose_examples(golden: Sequence[tuple[str, list[float]]]) -> list[dict[str, Any]]:
    """Return up to three golden rows: one a class first, then others."""
    labels = [label for label, _ in golden]
    # Sorting is stable: False, the first of its label, comes before True.
    order = sorted(range(len(golden)), key=lambda i: labels[i] in labels[:i])
    chosen = [golden[position] for position in order[:EXAMPLES]]
    return [{"label": label, "values": values} for label, values in chosen]


def humanise(name: str, unit: str = "") -> str:
    """
    Return a name as a label: words, and without the unit that it ends in.

    >>> humanise("wing_length_mm", "mm")
    'Wing length'
    """
    words = name.replace("_", " ").split()
    if len(words) > 1 and unit and words[-1].lower() == unit.lower():
        words.pop()
    label = " ".join(words) or name
    return label[:1].upper() + label[1:]


def _describe(feature: Feature) -> dict[str, Any]:
    step, lowest, highest = slider_scale(feature.minimum, feature.maximum)
    label = humanise(feature.name, feature.unit)
    scale = {"step": step, "lowest": lowest, "highest": highest}
    return {**feature.model_dump(), "label": label, **scale}


def slider_scale(minimum: float, maximum: float) -> tuple[float, float, float]:
    """
    Return step, lowest and highest value of a slider for a training range.

    A quarter of the range beyond either end, so that a visitor can leave the data;
    not below zero where no training row is.

    Parameters
    ----------
    minimum, maximum : float
        The training range; finite, equal for a constant.
    """
    width = (maximum - minimum) or abs(maximum) or 1.0
    exponent = floor(log10(width / 20))
    step = 10.0**exponent
    lowest, highest = minimum - width / 4, maximum + width / 4
    if minimum >= 0:
        lowest = max(0.0, lowest)
    # Whole steps, and no more digits than those: 3.4 / 0.1 is not 34.
    first, last = floor(round(lowest / step, 6)), ceil(round(highest / step, 6))
    ends = (round(first * step, -exponent), round(last * step, -exponent))
    return (round(step, -exponent), *ends)


def _read_files() -> dict[str, _File]:
    folder = resources.files("iris_api.docs") / "static"
    return {one.name: _file(one.name, one.read_bytes()) for one in folder.iterdir()}


def _file(name: str, content: bytes) -> _File:
    digest = hashlib.sha256(content).hexdigest()[:32]
    return _File(content, _TYPES[name.rsplit(".", 1)[-1]], f'"{digest}"')


def _answer(file: _File, request: Request) -> Response:
    headers = {**_HEADERS, "ETag": file.etag}
    known = request.headers.get("If-None-Match", "")
    if file.etag in (tag.strip().removeprefix("W/") for tag in known.split(",")):
        return Response(status_code=304, headers=headers)
    return Response(file.content, headers=headers, media_type=file.media_type)
