"""One training shared by the tests that only look at its result."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import iris_model
from iris_model.artefact import TRAINED
from iris_model.config import PACKAGED_CONFIG, load_config
from iris_model.train import Training, train


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Training, Path]:
    """Train with the packaged configuration; return the result and its folder."""
    folder = tmp_path_factory.mktemp("trained")
    return train(load_config(), folder, lambda done, total: None), folder


@pytest.fixture
def artefact(tmp_path: Path) -> Path:
    """Return a copy of the installed artefact that a test may damage."""
    return Path(shutil.copytree(TRAINED, tmp_path / "artefact"))


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """Return a folder with copies of config.yml and the table, free to change."""
    shutil.copy(PACKAGED_CONFIG, tmp_path / "config.yml")
    shutil.copytree(PACKAGED_CONFIG.parent / "datasets", tmp_path / "datasets")
    return tmp_path


@pytest.fixture(scope="session")
def model() -> iris_model.IrisModel:
    """Return the model of the installed wheel."""
    return iris_model.load()
