"""
The Open Inference Protocol's REST description, transcribed as JSON schemas.

From its OpenAPI document, version 2.0: kserve/open-inference-protocol,
specification/protocol/open_inference_rest.yaml. Written down from there by hand, so
that answers are held to the protocol and not to our own description of it.
"""

import jsonschema

STRING = {"type": "string"}
STRINGS = {"type": "array", "items": STRING}
SHAPE = {"type": "array", "items": {"type": "integer"}}
PARAMETERS = {"type": "object"}


def _object(required, **properties):
    names = required.split()
    return {"type": "object", "required": names, "properties": properties}


DATA = {
    "$defs": {
        "data": {
            "type": "array",
            "items": {
                "anyOf": [
                    {"$ref": "#/$defs/data"},
                    {"type": "number"},
                    {"type": "string"},
                    {"type": "boolean"},
                ]
            },
        }
    }
}
TENSOR = _object(
    "name shape datatype data",
    name=STRING,
    shape=SHAPE,
    datatype=STRING,
    parameters=PARAMETERS,
    data={"$ref": "#/$defs/data"},
)
TENSOR_METADATA = _object(
    "name datatype shape", name=STRING, datatype=STRING, shape=SHAPE
)

SERVER_METADATA = _object(
    "name version extensions", name=STRING, version=STRING, extensions=STRINGS
)
MODEL_METADATA = _object(
    "name platform",
    name=STRING,
    versions=STRINGS,
    platform=STRING,
    inputs={"type": "array", "items": TENSOR_METADATA},
    outputs={"type": "array", "items": TENSOR_METADATA},
)
REQUEST = DATA | _object(
    "inputs",
    id=STRING,
    parameters=PARAMETERS,
    inputs={"type": "array", "items": TENSOR},
    outputs={
        "type": "array",
        "items": _object("name", name=STRING, parameters=PARAMETERS),
    },
)
RESPONSE = DATA | _object(
    "model_name outputs",
    model_name=STRING,
    model_version=STRING,
    id=STRING,
    parameters=PARAMETERS,
    outputs={"type": "array", "items": TENSOR},
)
# The document forgets to require it; its text does not.
ERROR = _object("error", error=STRING)


def check_document(document, schema):
    """Assert that a document is what the protocol says."""
    jsonschema.Draft202012Validator(schema).validate(document)
