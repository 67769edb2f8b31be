"""Whether the process should get requests, asked of the model itself."""

from __future__ import annotations

from iris_api.errors import ModelUnusable, Stopping
from iris_api.lifecycle import Lifecycle
from iris_api.predict.predictor import Predictor


def check_ready(predictor: Predictor, lifecycle: Lifecycle) -> None:
    """
    Return when the process should get requests: the model is right, proved now.

    Raises
    ------
    Stopping
        If the process is about to end.
    ModelUnusable
        If the model does not answer its golden rows as it should.
    """
    if lifecycle.draining:
        raise Stopping
    predictor.check_ready()


def is_ready(predictor: Predictor, lifecycle: Lifecycle) -> bool:
    """Return whether the process should get requests."""
    try:
        check_ready(predictor, lifecycle)
    except (Stopping, ModelUnusable):
        return False
    return True
