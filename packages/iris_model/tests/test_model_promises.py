"""What the documents promise about this package."""

import re
import subprocess
import sys
from pathlib import Path

import iris_model

UNIT = Path(__file__).parent.parent


def run_python(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_import_loads_nothing_when_only_imported() -> None:
    code = "import sys, iris_model; print('numpy' in sys.modules, len(dir(iris_model)))"
    assert run_python(code) == f"False {len(iris_model.__all__)}"


def test_help_loads_no_numerics_when_printed() -> None:
    code = (
        "import sys\nfrom iris_model.cli import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "print('numpy' in sys.modules or 'onnxruntime' in sys.modules)"
    )
    assert run_python(code).splitlines()[-1] == "False"


def test_predicting_needs_no_training_library_when_none_can_be_imported() -> None:
    training_only = "sklearn feature_engine pandas joblib strictyaml skl2onnx onnx"
    code = (
        "import sys\n"
        f"for name in '{training_only} scipy rich matplotlib'.split():\n"
        "    sys.modules[name] = None\n"
        "import iris_model\n"
        "print(iris_model.load().predict([[5.1, 3.5, 1.4, 0.2]])[0].label)"
    )
    assert run_python(code) == "setosa"


def test_public_names_are_the_documented_ones() -> None:
    assert sorted(iris_model.__all__) == [
        "ArtefactMismatch",
        "InvalidRows",
        "IrisModel",
        "IrisModelError",
        "Manifest",
        "Prediction",
        "RowProblem",
        "__version__",
        "load",
        "load_pipeline",
    ]
    for name in iris_model.__all__:
        assert getattr(iris_model, name) is not None


def test_changelog_begins_with_the_version_when_released() -> None:
    changelog = (UNIT / "CHANGELOG.md").read_text()
    newest = re.search(r"^## \[(\d+\.\d+\.\d+)\]", changelog, re.M)
    assert newest is not None
    assert newest.group(1) == iris_model.__version__


def test_manifest_speaks_of_this_package_when_loaded() -> None:
    manifest = iris_model.load().manifest
    assert manifest.model_name == "iris_model"
    assert manifest.model_version == iris_model.__version__
