"""A client that others wrote for the Open Inference Protocol works unchanged."""

import warnings

import numpy as np
import pytest
from api_server import ROW

import iris_model

with warnings.catch_warnings():
    # Those of its own dependencies are not ours to mend.
    warnings.simplefilter("ignore")
    from tritonclient import http
    from tritonclient.utils import InferenceServerException

VERSION = iris_model.__version__
MATRIX = np.array([[*ROW.values()], [6.3, 3.3, 6.0, 2.5]])


@pytest.fixture
def client(server):
    """The client, connected."""
    opened = http.InferenceServerClient(f"127.0.0.1:{server.port}")
    yield opened
    opened.close()


def tensor_of(values, name="features", datatype="FP64", binary=True):
    """Return an input of the client."""
    tensor = http.InferInput(name, list(values.shape), datatype)
    return tensor.set_data_from_numpy(values, binary_data=binary)


def shares_of(server):
    """Return what /v1/predict answers to the same rows."""
    rows = [dict(zip(ROW, row)) for row in MATRIX.tolist()]
    predictions = server.predict({"inputs": rows}).json["predictions"]
    return [list(one["probabilities"].values()) for one in predictions]


def test_client_finds_everything_ready_when_it_asks(client):
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("iris_model")
    assert client.is_model_ready("iris_model", VERSION)
    assert not client.is_model_ready("iris_model", "9.9.9")


def test_client_reads_metadata_when_it_asks(client):
    assert client.get_server_metadata()["extensions"] == ["binary_tensor_data"]
    metadata = client.get_model_metadata("iris_model")
    assert metadata["versions"] == [VERSION]
    assert metadata["inputs"][0]["shape"] == [-1, 4]


@pytest.mark.parametrize("sent", [True, False], ids=["binary", "json"])
@pytest.mark.parametrize("wanted", [True, False, None], ids=["binary", "json", "all"])
def test_client_gets_what_predict_answers_when_it_infers(server, client, sent, wanted):
    outputs = None
    if wanted is not None:
        names = ("probabilities", "label")
        outputs = [http.InferRequestedOutput(n, binary_data=wanted) for n in names]
    result = client.infer(
        "iris_model",
        [tensor_of(MATRIX, binary=sent)],
        VERSION,
        outputs,
        request_id="order-66",
    )
    labels = [
        label.decode() if isinstance(label, bytes) else label
        for label in result.as_numpy("label").tolist()
    ]
    assert labels == ["setosa", "virginica"]
    shares = result.as_numpy("probabilities")
    assert shares.dtype == np.float64
    assert shares.tolist() == [pytest.approx(s, abs=1e-12) for s in shares_of(server)]
    assert result.get_response()["id"] == "order-66"


@pytest.mark.parametrize("datatype", ["FP64", "FP32"])
def test_client_gets_an_answer_when_it_sends_columns(client, datatype):
    kind = {"FP64": np.float64, "FP32": np.float32}[datatype]
    columns = [
        tensor_of(column.astype(kind).reshape(-1, 1), name, datatype)
        for name, column in zip(ROW, MATRIX.T)
    ]
    result = client.infer("iris_model", columns)
    assert result.as_numpy("label").tolist() == [b"setosa", b"virginica"]


def test_client_is_told_why_when_it_is_refused(client):
    with pytest.raises(InferenceServerException) as refused:
        client.infer("iris_model", [tensor_of(MATRIX[:, :3])])
    assert refused.value.status() == "400"
    text = "the inputs cannot be predicted: /inputs/0/shape must be [n, 4]"
    assert refused.value.message() == text
    with pytest.raises(InferenceServerException, match="the one model here is iris_m"):
        client.infer("other", [tensor_of(MATRIX)])
