"""
Over FastAPI: what the model is, how the process is, and the documentation.
"""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi_offline import FastAPIOffline
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from iris_api import __version__
from iris_api.docs.openapi import NOT_READY, describe_api, problem_response
from iris_api.errors import IrisApiError
from iris_api.lifecycle import Lifecycle
from iris_api.predict.predictor import Predictor
from iris_api.predict.readiness import check_ready, is_ready
from iris_api.problems import MEDIA_TYPE, Problem, problem_of, problem_of_status
from iris_api.schemas import Health, ModelCard, Schemas, Status
from iris_api.telemetry.metrics import OPENMETRICS, TEXT, Metrics

METRICS_EXAMPLE = """\
# HELP model_records_failed_total Requests refused because of their record.
# TYPE model_records_failed_total counter
model_records_failed_total 0.0
"""


def build_app(
    predictor: Predictor,
    schemas: Schemas,
    lifecycle: Lifecycle,
    metrics: Metrics,
    keyed: bool = False,
) -> FastAPI:
    """
    Return the application for all that is not hot.

    Parameters
    ----------
    predictor : Predictor
        The model to tell about.
    schemas : Schemas
        Documents of the prediction route, for the documentation.
    lifecycle : Lifecycle
        Decides on readiness.
    metrics : Metrics
        What there is to tell Prometheus.
    keyed : bool
        Whether clients need a key, for the documentation to say so.
    """
    card = predictor.card
    app = FastAPIOffline(
        title=f"{card.name} {card.version}",
        version=__version__,
        description=f"Predicts {card.target}: {', '.join(card.classes)}.",
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,
    )
    _add_routes(app, predictor, lifecycle)
    _add_metrics(app, metrics, predictor, lifecycle)
    document = describe_api(app, schemas, predictor, keyed)
    app.openapi = lambda: document  # type: ignore[method-assign]
    app.add_exception_handler(HTTPException, _answer_http_exception)
    app.add_exception_handler(IrisApiError, _answer_our_error)
    app.add_exception_handler(Exception, _answer_unexpected)
    return app


def _add_routes(app: FastAPI, predictor: Predictor, lifecycle: Lifecycle) -> None:
    card = predictor.card
    identity = Health(
        name="iris_api", api_version=__version__, model_version=card.version
    )
    when = "The model or the process is not ready."
    not_ready = problem_response(when, 503, NOT_READY)

    @app.get("/v1/model", tags=["model"], summary="What the model is")
    async def model() -> ModelCard:
        return card

    @app.get("/health", tags=["process"], summary="Who is answering")
    async def health() -> Health:
        return identity

    @app.get("/livez", tags=["process"], summary="Whether the process is alive")
    async def livez() -> Status:
        return Status(status="alive")

    @app.get(
        "/readyz",
        tags=["process"],
        summary="Whether predictions are right, proved now",
        responses={503: not_ready},
    )
    async def readyz() -> Status:
        check_ready(predictor, lifecycle)
        return Status(status="ready")


def _add_metrics(
    app: FastAPI, metrics: Metrics, predictor: Predictor, lifecycle: Lifecycle
) -> None:
    page = {"schema": {"type": "string"}, "example": METRICS_EXAMPLE}
    described = {
        "description": "In the text format, or OpenMetrics where `Accept` names it.",
        "content": {TEXT.split(";")[0]: page, OPENMETRICS.split(";")[0]: page},
    }

    @app.get(
        "/metrics",
        tags=["process"],
        summary="What was counted, for Prometheus",
        response_class=Response,
        responses={200: described},
        name="metrics",
    )
    async def tell(request: Request) -> Response:
        accept = request.headers.get("accept", "")
        page, media_type = metrics.render(accept, is_ready(predictor, lifecycle))
        return Response(page, media_type=media_type)


async def _answer_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    headers = dict(error.headers or {})
    if "Allow" in headers:
        methods = {method.strip() for method in headers["Allow"].split(",")}
        methods |= {"HEAD", "OPTIONS"} if "GET" in methods else {"OPTIONS"}
        headers["Allow"] = ", ".join(sorted(methods))
        if request.method == "OPTIONS":
            return Response(status_code=204, headers=headers)
    return _respond(problem_of_status(error.status_code, headers), request)


async def _answer_our_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, IrisApiError)
    return _respond(problem_of(error), request)


async def _answer_unexpected(request: Request, error: Exception) -> Response:
    # Starlette raises the error again; the gateway logs it, once.
    return _respond(problem_of_status(500, {}), request)


def _respond(problem: Problem, request: Request) -> Response:
    state: dict[str, Any] = request.scope["state"]
    return Response(
        problem.body(state["request_id"]),
        status_code=problem.status,
        headers=problem.headers,
        media_type=MEDIA_TYPE,
    )
