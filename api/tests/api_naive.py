"""The service that everybody writes first, to see that our checks notice it."""

import logging
import threading
import time
from contextlib import contextmanager
from dataclasses import asdict

import uvicorn
from api_oracle import load_model
from api_server import ROW, free_port
from fastapi import FastAPI
from pydantic import BaseModel, create_model

Row = create_model("Row", **{name: (float, ...) for name in ROW})


class Request(BaseModel):
    """Rows, as lenient as pydantic is unless told."""

    inputs: list[Row]


def build_naive_app():
    """Return a plain FastAPI application around the model."""
    app = FastAPI()

    @app.post("/v1/predict")
    def predict(request: Request) -> dict:
        rows = [row.model_dump() for row in request.inputs]
        predictions = [asdict(one) for one in load_model().predict(rows)]
        return {"model": {}, "predictions": predictions}

    return app


@contextmanager
def serve_naively():
    """Serve it in a thread until the block ends; gives the port."""
    port = free_port()
    config = uvicorn.Config(build_naive_app(), port=port, log_config=None)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    logging.disable()  # it logs a traceback for each of its faults
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        yield port
    finally:
        server.should_exit = True
        thread.join()
        logging.disable(logging.NOTSET)
