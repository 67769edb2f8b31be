"""Stand-ins for a model, and a server of them inside the test's process."""

import threading
import time
from contextlib import contextmanager

import numpy as np
from api_server import free_port

import iris_model
from iris_api.http.descriptors import make_room
from iris_api.http.server import build_server, open_listener
from iris_api.lifecycle import Lifecycle
from iris_api.main import create_app
from iris_api.predict.predictor import Predictor
from iris_api.settings import Settings
from iris_api.telemetry.records import open_records

NAMES = ("alcohol", "ash", "_id", "model_config", "h\u00f6he m", 'a"b', "a/b") + tuple(
    f"x{number}" for number in range(6)
)
CLASSES = ("barolo", "grignolino")
HOSTILE_NAMES = (
    "<script>document.title='owned'</script>",
    "<img src=x onerror=\"document.title='owned'\">",
    "'; touch owned; echo '",
    '"""; import os; """',
    "$(touch owned)`touch owned`",
)
HOSTILE_CLASSES = ("<script>document.title='owned'</script>", "=1+1</textarea>")


class WineModel:
    """Two classes, thirteen features with awkward names; the first one decides."""

    feature_names = NAMES
    classes = CLASSES

    def __init__(self):
        manifest = iris_model.load().manifest
        feature = manifest.features[0]
        golden = manifest.golden_rows[0]
        shares = dict(zip(CLASSES, manifest.metrics.classes.values()))
        row = {"values": [1.0] * 13, "label": "barolo", "probabilities": [1.0, 0.0]}
        self.manifest = manifest.model_copy(
            update={
                "model_name": "wine_model",
                "model_version": "7.0.1",
                "target": "grower",
                "classes": list(CLASSES),
                "metrics": manifest.metrics.model_copy(update={"classes": shares}),
                "features": [feature.model_copy(update={"name": n}) for n in NAMES],
                "golden_rows": [golden.model_copy(update=row)],
            }
        )

    def probabilities(self, matrix):
        """Give the first feature's sign, and nothing for what is extreme."""
        extreme = np.flatnonzero(np.abs(matrix).max(axis=1) > 1e300).tolist()
        if extreme:
            reason = "the model has no answer for values this extreme"
            problems = [iris_model.RowProblem(row, None, reason) for row in extreme]
            raise iris_model.InvalidRows(tuple(problems))
        positive = (matrix[:, 0] > 0).astype(float)
        return np.column_stack([positive, 1 - positive])

    def out_of_range(self, matrix):
        """Find nothing outside."""
        return [()] * len(matrix)

    def check_golden_rows(self):
        """Find nothing wrong."""


class HostileModel(WineModel):
    """Every name in its manifest is markup or breaks out of quotes."""

    feature_names = HOSTILE_NAMES
    classes = HOSTILE_CLASSES

    def __init__(self):
        super().__init__()
        feature = self.manifest.features[0]
        golden = self.manifest.golden_rows[0]
        row = {"values": [1.0] * len(HOSTILE_NAMES), "label": HOSTILE_CLASSES[0]}
        names = [feature.model_copy(update={"name": n}) for n in HOSTILE_NAMES]
        update = {
            "model_name": "<b>model</b>",
            "target": "<i>target</i>",
            "classes": list(HOSTILE_CLASSES),
            "features": names,
            "golden_rows": [golden.model_copy(update=row)],
        }
        self.manifest = self.manifest.model_copy(update=update)


class BrokenModel(WineModel):
    """Loads, but fails whatever it is asked."""

    def check_golden_rows(self):
        """Fail as a model whose answers have changed."""
        raise iris_model.ArtefactMismatch("golden row 0", "secret", "found")

    def probabilities(self, matrix):
        """Fail in a way nobody thought of, after the example was answered."""
        if matrix[0, 0] == 1.0:
            return super().probabilities(matrix)
        raise ZeroDivisionError("secret\nforged line")


@contextmanager
def serve_model(model, records, wrap=lambda app: app):
    """Serve a model in a thread until the block ends; gives the port."""
    lifecycle = Lifecycle()
    kept = open_records(records)
    gateway = wrap(create_app(Predictor(model), kept, lifecycle))
    port = free_port()
    listener = open_listener("127.0.0.1", port)
    settings = Settings(grace_s=1)
    room = make_room(settings.connections, reserved=8)
    server = build_server(gateway, lifecycle, settings, room)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        yield port
    finally:
        server.should_exit = True
        thread.join()
        kept.close()
