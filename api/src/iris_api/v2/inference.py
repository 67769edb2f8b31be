"""
Requests and answers of the Open Inference Protocol: bytes to rows, answers to bytes.

As strict as ``/v1/predict``: what a tensor announces is what it must hold.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import ValidationError

from iris_api import __version__
from iris_api.errors import Fault, InvalidInputs, MalformedJson, Reason
from iris_api.predict.inputs import (
    check_brackets,
    check_duplicates,
    describe_syntax,
    pointer_to,
)
from iris_api.predict.predictor import Answers
from iris_api.schemas import MAX_FAULTS, MAX_ROWS, ModelCard
from iris_api.v2.tensor_schemas import (
    INFERENCE_REQUEST,
    INFERENCE_RESPONSE,
    MAX_ID,
    InferenceRequest,
    RequestInput,
)
from iris_api.v2.tensors import DTYPES, Binary, Matrix, Tensor, refusal

_WRONG: dict[str, tuple[Reason, str]] = {
    "missing": ("missing", "required field is missing; add it"),
    "extra_forbidden": ("unknown", "unknown field; remove it"),
    "too_short": ("wrong_size", "must not be empty"),
    "too_long": ("wrong_size", "must have fewer entries"),
    "string_too_long": ("wrong_size", f"must have at most {MAX_ID} characters"),
    "int_type": ("wrong_type", "must be a whole number"),
    "string_type": ("wrong_type", "must be a string"),
    "list_type": ("wrong_type", "must be a list"),
    "dict_type": ("wrong_type", "must be an object"),
    "literal_error": ("invalid", "is none of those in the model's metadata"),
}
_WRONG_DATATYPE = f"must be one of {', '.join(DTYPES)}"

# The protocol's metadata of the server.
SERVER = {
    "name": "iris_api",
    "version": __version__,
    "extensions": ["binary_tensor_data"],
}


@dataclass(frozen=True, slots=True)
class Output:
    """A tensor that is wanted, and whether in binary."""

    name: str
    binary: bool


@dataclass(frozen=True, slots=True)
class Inference:
    """
    A request that can be predicted.

    Attributes
    ----------
    matrix : array of shape (n, features)
        Finite rows, in the model's order of features.
    outputs : tuple of Output
        In the order in which they are wanted.
    id : str or None
        The client's own name for the request.
    """

    matrix: Matrix
    outputs: tuple[Output, ...]
    id: str | None


def parse_inference(
    body: bytes, json_bytes: int | None, features: Sequence[str]
) -> Inference:
    """
    Return what a request asks.

    Parameters
    ----------
    body : bytes
        JSON, and after it the values of binary tensors.
    json_bytes : int or None
        Length of the JSON; None when there is nothing after it.
    features : sequence of str
        The model's, in its order.

    Raises
    ------
    MalformedJson
        If the JSON is none.
    InvalidInputs
        If it asks nothing that can be answered.
    """
    document = body[:json_bytes]
    # Twice what nested data of all rows can have.
    check_brackets(document, 2 * (MAX_ROWS + 8) * (1 + len(features)))
    request = _validate(document)
    check_duplicates(document)
    binary = Binary(b"" if json_bytes is None else body[json_bytes:])
    held = _assign(request["inputs"], features)
    tensors = [
        Tensor(f"/inputs/{position}", names, request["inputs"][position])
        for position, names in enumerate(held)
    ]
    blocks = {tensor.names: tensor.read(binary) for tensor in tensors}
    binary.check_empty()
    if len({len(block) for block in blocks.values()}) > 1:
        raise refusal("/inputs", "all tensors must have as many rows", "wrong_size")
    order = sorted(blocks, key=lambda names: features.index(names[0]))
    matrix = np.hstack([blocks[names] for names in order])
    return Inference(matrix, _outputs_of(request), request.get("id"))


def _validate(document: bytes) -> InferenceRequest:
    try:
        return INFERENCE_REQUEST.validate_json(document)
    except ValidationError as error:
        found = error.errors(include_input=False, include_url=False)
    if found[0]["type"] == "json_invalid":
        raise MalformedJson(describe_syntax(found[0]["ctx"]["error"]))
    faults = [_fault(one["type"], list(one["loc"])) for one in found[:MAX_FAULTS]]
    raise InvalidInputs(tuple(faults), len(found) - len(faults))


def _fault(kind: str, place: list[str | int]) -> Fault:
    reason, detail = _WRONG.get(kind, ("invalid", "is not valid"))
    if kind == "literal_error" and place[-1] == "datatype":
        reason, detail = "wrong_type", _WRONG_DATATYPE
    return Fault(pointer_to(place), detail, reason)


def _assign(
    inputs: list[RequestInput], features: Sequence[str]
) -> list[tuple[str, ...]]:
    """Return the features that each tensor holds."""
    names = [tensor["name"] for tensor in inputs]
    if len(names) == 1 and names[0] not in features:
        # The protocol gives no name to a tensor of all features, nor do we.
        return [tuple(features)]
    for position, name in enumerate(names):
        pointer = f"/inputs/{position}/name"
        if name not in features:
            detail = "is no feature; the model's metadata lists them"
            raise refusal(pointer, detail, "unknown")
        if name in names[:position]:
            raise refusal(
                pointer, "is there more than once; keep one", "repeated", name
            )
    for name in features:
        if name not in names:
            detail = f'the tensor "{name}" is missing; add it'
            raise refusal("/inputs", detail, "missing", name)
    return [(name,) for name in names]


def _outputs_of(request: InferenceRequest) -> tuple[Output, ...]:
    usual = request.get("parameters", {}).get("binary_data_output") is True
    wanted = request.get("outputs") or [{"name": "label"}, {"name": "probabilities"}]
    outputs: list[Output] = []
    for position, one in enumerate(wanted):
        if any(one["name"] == output.name for output in outputs):
            pointer = f"/outputs/{position}/name"
            raise refusal(pointer, "is there more than once; keep one", "repeated")
        stated = one.get("parameters", {}).get("binary_data")
        outputs.append(Output(one["name"], usual if stated is None else stated is True))
    return tuple(outputs)


def serialise_answers(
    inference: Inference, name: str, version: str, answers: Answers
) -> tuple[bytes, bytes]:
    """
    Return the JSON of an answer, and the values that follow it in binary.

    Parameters
    ----------
    inference : Inference
        The request.
    name, version : str
        The model's.
    answers : Answers
        To the rows of the request.
    """
    response: dict[str, Any] = {"model_name": name, "model_version": version}
    if inference.id is not None:
        response["id"] = inference.id
    response["outputs"] = []
    rest = b""
    for output in inference.outputs:
        tensor = _tensor_of(output.name, answers)
        if output.binary:
            content = _to_binary(tensor.pop("data"))
            tensor["parameters"] = {"binary_data_size": len(content)}
            rest += content
        response["outputs"].append(tensor)
    return INFERENCE_RESPONSE.serializer.to_json(response), rest


def _tensor_of(name: str, answers: Answers) -> dict[str, Any]:
    if name == "label":
        shape = [len(answers.labels)]
        return _tensor(name, "BYTES", shape, answers.labels)
    shares = answers.shares
    return _tensor(name, "FP64", list(shares.shape), shares.ravel().tolist())


def _tensor(name: str, datatype: str, shape: list[int], data: Any) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": shape, "data": data}


def _to_binary(data: list[str] | list[float]) -> bytes:
    encoded = [one.encode() for one in data if isinstance(one, str)]
    if encoded:
        return b"".join(len(one).to_bytes(4, "little") + one for one in encoded)
    return np.array(data, dtype="<f8").tobytes()


def describe_model(card: ModelCard) -> dict[str, object]:
    """Return the protocol's metadata of a model."""
    features = [feature.name for feature in card.features]
    return {
        "name": card.name,
        "versions": [card.version],
        "platform": "onnxruntime_onnx",
        "inputs": [
            {
                "name": "features",
                "datatype": "FP64",
                "shape": [-1, len(features)],
                "parameters": {"columns": features},
            }
        ],
        "outputs": [
            {
                "name": "label",
                "datatype": "BYTES",
                "shape": [-1],
                "parameters": {"classes": card.classes},
            },
            {
                "name": "probabilities",
                "datatype": "FP64",
                "shape": [-1, len(card.classes)],
                "parameters": {"columns": card.classes},
            },
        ],
    }
