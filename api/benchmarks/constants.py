"""
The two limits that the API is measured against: the server, and the framework.

Both answer every prediction request with the same bytes or the same objects, and
neither predicts or records anything.

    python constants.py raw|fastapi PORT REQUEST ANSWER
"""

import json
import sys
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict, Field, create_model


def main(kind: str, port: str, request: str, answer: str) -> None:
    """Serve one of them as the API is served."""
    app = (
        create_raw(Path(answer))
        if kind == "raw"
        else create_fastapi(Path(request), Path(answer))
    )
    uvicorn.run(
        app,
        port=int(port),
        http="httptools",
        loop="uvloop",
        ws="none",
        lifespan="off",
        access_log=False,
        log_level="critical",
    )


def create_raw(answer: Path) -> Any:
    """Return the least ASGI there is: read the body, answer the same bytes."""
    body = answer.read_bytes()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
    ]
    start = {"type": "http.response.start", "status": 200, "headers": headers}
    end = {"type": "http.response.body", "body": body}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        while (await receive()).get("more_body"):
            pass
        await send(start)
        await send(end)

    return app


def create_fastapi(request: Path, answer: Path) -> FastAPI:
    """Return the usual endpoint, with the schemas of the request and the answer."""
    row = json.loads(request.read_bytes())["inputs"][0]
    content = json.loads(answer.read_bytes())
    strict = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)
    fields: Any = {name: (float, ...) for name in row}
    shares: Any = {name: float for name in content["predictions"][0]["probabilities"]}
    Row = create_model("Row", __config__=strict, **fields)
    Shares = create_model("Shares", **shares)

    class Request(BaseModel):
        inputs: list[Row] = Field(min_length=1, max_length=1000)

    class Prediction(BaseModel):
        label: str
        probabilities: Shares
        out_of_range: list[str]

    class Model(BaseModel):
        name: str
        version: str

    class Answer(BaseModel):
        model: Model
        predictions: list[Prediction]

    app = FastAPI()
    constant = Answer.model_validate(content)

    @app.post("/v1/predict")
    async def predict(request: Request) -> Answer:
        return constant

    return app


if __name__ == "__main__":
    main(*sys.argv[1:])
