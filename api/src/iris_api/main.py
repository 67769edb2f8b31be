"""
Start here: settings, model, records and server, wired together.
"""

from __future__ import annotations

import logging
import os
import sys
import traceback
from typing import TYPE_CHECKING

from loguru import logger

from iris_api import __version__
from iris_api.errors import CannotStart, ModelUnusable
from iris_api.gateway import Gateway
from iris_api.inputs import InputParser
from iris_api.prediction import Prediction
from iris_api.predictor import Predictor, load_predictor
from iris_api.records import Records, open_records
from iris_api.routes import Lifecycle, build_app
from iris_api.schemas import build_schemas
from iris_api.server import build_server, open_listener
from iris_api.settings import Settings, load_settings
from iris_api.turn import Turn

if TYPE_CHECKING:
    from loguru import Record


def create_app(predictor: Predictor, records: Records, lifecycle: Lifecycle) -> Gateway:
    """
    Return the application; the one place where its parts meet.

    Parameters
    ----------
    predictor : Predictor
        The model; every document and all documentation come from its manifest.
    records : Records
        Where predictions are put on record.
    lifecycle : Lifecycle
        Shared with the server that will stop it.
    """
    schemas = build_schemas(predictor.card)
    parser = InputParser(schemas.request, [f.name for f in predictor.card.features])
    prediction = Prediction(Turn(predictor, records), parser, predictor.card)
    return Gateway(prediction, build_app(predictor, schemas, lifecycle), lifecycle)


def main() -> None:
    """Serve until stopped; end with one line if there is nothing to serve."""
    _set_up_talk()
    # Read when onnxruntime is imported, which loading the model does: otherwise it
    # writes telemetry below the home and the temporary folder at every start.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    try:
        settings = load_settings()
        predictor = load_predictor()
        records = open_records(settings.records)
        serve(settings, predictor, records)
    except (CannotStart, ModelUnusable) as error:
        sys.exit(f"iris-api: {error}")
    except KeyboardInterrupt:  # before the server handles signals
        sys.exit(130)


def serve(settings: Settings, predictor: Predictor, records: Records) -> None:
    """
    Serve one model until a signal arrives.

    Raises
    ------
    ListenerBusy
        If host and port are taken.
    """
    lifecycle = Lifecycle()
    gateway = create_app(predictor, records, lifecycle)
    listener = open_listener(settings.host, settings.port)
    card = predictor.card
    logger.info(
        "iris_api {} serves {} {} on http://{}:{}",
        *(__version__, card.name, card.version, settings.host, settings.port),
    )
    build_server(gateway, lifecycle, settings).run(sockets=[listener])
    records.close()
    logger.info("stopped")


class _ToLoguru(logging.Handler):
    """Hand what uvicorn logs to loguru."""

    def emit(self, record: logging.LogRecord) -> None:
        """Log one message of the standard library's logging."""
        logger.opt(exception=record.exc_info).log(
            record.levelname, "{}", record.getMessage()
        )


def _set_up_talk() -> None:
    logger.remove()
    logger.add(sys.stderr, level="INFO", format=format_talk, catch=False)
    logging.basicConfig(handlers=[_ToLoguru()], level=logging.WARNING)


def format_talk(record: Record) -> str:
    """Return a loguru format that shows one event as one line, whatever is in it."""
    text = record["message"]
    if record["exception"] is not None:
        kind, value, trace = record["exception"]
        text += "\n" + "".join(traceback.format_exception(kind, value, trace))
    line = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
    record["extra"]["line"] = line
    return "{time:YYYY-MM-DDTHH:mm:ss.SSSZ} {level} {extra[line]}\n"
