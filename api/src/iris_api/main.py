"""
Start here: settings, model, records and server, wired together.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping
from socket import socket

from loguru import logger

from iris_api import __version__
from iris_api.access.access import Access, build_access
from iris_api.access.keys import make_key
from iris_api.access.permissions import UMASK
from iris_api.docs.page import add_page
from iris_api.errors import CannotStart, DescriptorsTooFew, ModelUnusable
from iris_api.exit_codes import REFUSED, exit_code
from iris_api.gateway import Gateway
from iris_api.hosts import HostGuard, guard_listener, url_of
from iris_api.http.descriptors import Room, make_room
from iris_api.http.server import build_server, open_listener
from iris_api.lifecycle import Lifecycle
from iris_api.predict.inputs import InputParser
from iris_api.predict.prediction import Prediction
from iris_api.predict.predictor import Predictor, load_predictor
from iris_api.predict.turn import Turn
from iris_api.routes import build_app
from iris_api.schemas import build_schemas
from iris_api.settings import Settings, load_settings
from iris_api.systems import refuse_other_systems
from iris_api.telemetry.metrics import Metrics
from iris_api.telemetry.records import Records, open_records
from iris_api.telemetry.redaction import Redaction
from iris_api.telemetry.spans import Spans, open_spans
from iris_api.telemetry.talk import set_up_talk
from iris_api.v2.open_inference import OpenInference

# Two listeners, the event loop, files of keys and of the page, a collector of spans.
RESERVED_DESCRIPTORS = 26

CODES: dict[type[Exception], int] = {CannotStart: REFUSED, ModelUnusable: REFUSED}


def create_app(
    predictor: Predictor,
    records: Records,
    lifecycle: Lifecycle,
    access: Access | None = None,
    redaction: Redaction | None = None,
    spans: Spans | None = None,
    guards: Mapping[int, HostGuard] | None = None,
) -> Gateway:
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
    access : Access or None
        Who may come in; None for everybody, everywhere.
    redaction : Redaction or None
        What to record in place of the inputs; None records their values.
    spans : Spans or None
        Where each request gets a span; None for none.
    guards : mapping of int to HostGuard or None
        By port: which hosts are answered for where not all are.
    """
    schemas = build_schemas(predictor.card)
    metrics = Metrics(predictor.card, predictor.reference, redaction is None)
    parser = InputParser(schemas.request, [f.name for f in predictor.card.features])
    turn = Turn(predictor, records, metrics, redaction)
    prediction = Prediction(turn, parser, predictor.card)
    open_inference = OpenInference(prediction, predictor, lifecycle)
    keyed = access is not None and access.keyed
    app = build_app(predictor, schemas, lifecycle, metrics, keyed)
    add_page(app, predictor)
    return Gateway(
        *(prediction, open_inference, app, lifecycle, metrics),
        *(access, spans, guards),
    )


def main() -> None:
    """Serve until stopped, or make a key; end with one line if that cannot be."""
    refuse_other_systems("iris-api")
    os.umask(UMASK)
    sys.exit(exit_code("iris-api", _run, CODES))


def _run() -> int:
    arguments = _parse_arguments()
    if arguments.command == "key":
        print_key(arguments.name)
    else:
        _start()
    return 0


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="iris-api", description="Serve the installed model until stopped."
    )
    commands = parser.add_subparsers(dest="command", title="instead of serving")
    key = commands.add_parser("key", help="make an API key")
    key.add_argument("name", metavar="NAME", help="whose it is, for records and logs")
    return parser.parse_args()


def print_key(name: str) -> None:
    """
    Print the line for the file of keys; the key itself goes to standard error.

    Raises
    ------
    KeysUnusable
        If the name cannot be that of a key.
    """
    key, line = make_key(name)
    print(line, flush=True)
    print(f"the key of {name}, shown this once: {key}", file=sys.stderr)


def _start() -> None:
    # Read when onnxruntime is imported, which loading the model does: otherwise it
    # writes telemetry below the home and the temporary folder at every start.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    set_up_talk(whole=False)
    settings = load_settings()
    set_up_talk(whole=settings.record_inputs == "values")
    access = build_access(settings)
    predictor = load_predictor()
    records = open_records(settings.records)
    serve(settings, predictor, records, access)


def serve(
    settings: Settings, predictor: Predictor, records: Records, access: Access | None
) -> None:
    """
    Serve one model until a signal arrives.

    Raises
    ------
    ListenerBusy
        If host and port are taken.
    DescriptorsTooFew
        If this process may not open enough.
    """
    room = _make_room(settings)
    listeners = _listen(settings)
    guards = {
        listener.getsockname()[1]: guard
        for listener, host in listeners
        if (guard := guard_listener(listener, host, settings.allowed_hosts))
    }
    lifecycle = Lifecycle()
    redaction = _build_redaction(settings, predictor)
    spans = open_spans(predictor.card)
    gateway = create_app(
        *(predictor, records, lifecycle, access, redaction, spans, guards)
    )
    card = predictor.card
    logger.info(
        "iris_api {} serves {} {} on {}",
        *(__version__, card.name, card.version, url_of(settings.host, settings.port)),
    )
    server = build_server(gateway, lifecycle, settings, room)
    server.run(sockets=[listener for listener, _ in listeners])
    records.close()
    if spans is not None:
        spans.close()
    logger.info("stopped")


def _listen(settings: Settings) -> list[tuple[socket, str]]:
    """Return the sockets that listen, each with its host as it was set."""
    listeners = [(open_listener(settings.host, settings.port), settings.host)]
    if settings.private_port is not None:
        host, port = settings.private_host, settings.private_port
        listeners.append((open_listener(host, port, "PRIVATE_"), host))
        logger.info("documentation and metrics are on {}", url_of(host, port))
    return listeners


def _make_room(settings: Settings) -> Room:
    room = make_room(settings.connections, reserved=RESERVED_DESCRIPTORS)
    if not room.connections:
        raise DescriptorsTooFew(
            f"a limit of {room.limit} descriptors leaves none for connections; "
            "raise it (ulimit -n)"
        )
    if room.connections < settings.connections:
        logger.warning(
            "a limit of {} descriptors allows {} connections, not {}",
            *(room.limit, room.connections, settings.connections),
        )
    return room


def _build_redaction(settings: Settings, predictor: Predictor) -> Redaction | None:
    if settings.record_inputs == "values":
        return None
    salt = settings.record_salt
    if salt is None:
        logger.info(
            "records hold hashes of inputs, salted for this process alone; "
            "set IRIS_API_RECORD_SALT to compare them with those of another"
        )
    names = [feature.name for feature in predictor.card.features]
    return Redaction(names, None if salt is None else salt.get_secret_value())
