"""
Other model servers, each in an environment of its own, with a plain model.

A scaler and a logistic regression, fitted on the table of the installed package by
the scikit-learn of that environment. Nothing here is tuned but what their documents
tell a user to set: one worker, no extra processes.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from tasks.measure.load import Server

ENVIRONMENTS = Path(".tox/bench-peers")

FIT = """
import csv, sys, joblib
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
rows = list(csv.reader(open(sys.argv[1])))[1:]
X = [[float(value) for value in row[:-1]] for row in rows]
y = [row[-1] for row in rows]
model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(X, y)
"""
SAVE = FIT + 'joblib.dump(model, sys.argv[2] + "/model.joblib")\n'
SAVE_MLFLOW = FIT + (
    "import mlflow, shutil; shutil.rmtree(sys.argv[2] + '/model', True)\n"
    "mlflow.sklearn.save_model(model, sys.argv[2] + '/model', "
    "serialization_format='cloudpickle')\n"
)
BENTO = """
import bentoml, joblib, pathlib

@bentoml.service(workers=1)
class Plain:
    def __init__(self):
        self.model = joblib.load(pathlib.Path(__file__).with_name("model.joblib"))

    @bentoml.api
    def predict(self, inputs: list[list[float]]) -> list[list[float]]:
        return self.model.predict_proba(inputs).tolist()
"""


@dataclass(frozen=True)
class Peer:
    """
    A model server: what to install, how to give it the model, how to call it.

    ``write`` puts what the server needs beside the model into its folder and
    returns the command, the path and the body of one request.
    """

    name: str
    requirements: tuple[str, ...]
    save: str
    write: Callable[[Path, list[float]], tuple[list[str], str, object]]


def _mlserver(folder: Path, row: list[float]) -> tuple[list[str], str, object]:
    (folder / "settings.json").write_text(
        '{"parallel_workers": 0, "metrics_endpoint": null}'
    )
    model = {
        "name": "plain",
        "implementation": "mlserver_sklearn.SKLearnModel",
        "parameters": {"uri": "./model.joblib"},
    }
    (folder / "model-settings.json").write_text(json.dumps(model))
    rows = {"name": "rows", "shape": [1, len(row)], "datatype": "FP64", "data": row}
    body = {"inputs": [rows], "outputs": [{"name": "predict_proba"}]}
    return ["mlserver", "start", str(folder)], "/v2/models/plain/infer", body


def _mlflow(folder: Path, row: list[float]) -> tuple[list[str], str, object]:
    command = ["mlflow", "models", "serve", "--model-uri", str(folder / "model")]
    command += ["--port", "{port}", "--env-manager", "local", "--workers", "1"]
    return command, "/invocations", {"inputs": [row]}


def _bentoml(folder: Path, row: list[float]) -> tuple[list[str], str, object]:
    (folder / "service.py").write_text(BENTO)
    command = ["bentoml", "serve", "service:Plain", "--working-dir", str(folder)]
    command += ["--host", "127.0.0.1", "--port", "{port}"]
    return command, "/predict", {"inputs": [row]}


PEERS = (
    Peer("MLServer", ("mlserver==1.7.1", "mlserver-sklearn==1.7.1"), SAVE, _mlserver),
    Peer("MLflow", ("mlflow==3.17.0", "scikit-learn==1.9.1"), SAVE_MLFLOW, _mlflow),
    Peer("BentoML", ("bentoml==1.4.39", "scikit-learn==1.9.1"), SAVE, _bentoml),
)


def prepare_peer(peer: Peer, row: list[float]) -> Server:
    """
    Return a peer ready to be run; installed on the first call.

    Parameters
    ----------
    peer : Peer
        One of `PEERS`.
    row : list of float
        What is predicted.
    """
    folder = ENVIRONMENTS.absolute() / peer.name.lower()
    binaries = folder / "venv" / "bin"
    if not (folder / "installed").exists():
        print(f"installing {peer.name} ...", file=sys.stderr, flush=True)
        uv = [sys.executable, "-m", "uv"]
        run([*uv, "venv", "--quiet", "--clear", str(folder / "venv")])
        install = [*uv, "pip", "install", "--quiet", *peer.requirements]
        run([*install, "--python", str(binaries / "python")])
        (folder / "installed").touch()
    run([str(binaries / "python"), "-c", peer.save, _table(), str(folder)])
    command, path, body = peer.write(folder, row)
    (folder / "body.json").write_text(json.dumps(body))
    command[0] = str(binaries / command[0])
    settings = (
        ("PATH", f"{binaries}:{os.environ['PATH']}"),
        ("MLSERVER_HTTP_PORT", "{port}"),
        ("MLSERVER_GRPC_PORT", "0"),
        ("BENTOML_DO_NOT_TRACK", "True"),
    )
    return Server(peer.name, command, path, folder / "body.json", settings)


def run(command: list[str]) -> None:
    """Run a command to its end, or stop the benchmark."""
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{command[:4]} failed:\n{done.stdout}{done.stderr}")


def _table() -> str:
    (table,) = Path(str(files("iris_model") / "datasets")).glob("*.csv")
    return str(table)
