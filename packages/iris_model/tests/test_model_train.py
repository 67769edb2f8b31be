import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

import iris_model
from iris_model.artefact import TRAINED
from iris_model.compile import compile_pipeline
from iris_model.config import load_config
from iris_model.data import load_table
from iris_model.errors import ConfigError, ParityBroken, QualityTooLow
from iris_model.parity import check_parity
from iris_model.pipeline import build_pipeline
from iris_model.report import find_mistakes, write_report
from iris_model.train import Training, train

FILES = ["MODEL_CARD.md", "manifest.json", "model.onnx", "pipeline.joblib"]


def quiet(done: int, total: int) -> None:
    """Report no progress."""


@pytest.mark.skipif(
    iris_model.load().manifest.python != platform.python_version(),
    reason="bytes are promised on the Python that trained, which CI tests too",
)
def test_training_gives_the_bytes_of_the_wheel_when_run_again(
    trained: tuple[Training, Path],
) -> None:
    _, folder = trained
    for name in FILES:
        assert (folder / name).read_bytes() == (TRAINED / name).read_bytes(), name


@pytest.mark.slow
def test_training_gives_the_same_bytes_when_the_hash_seed_differs(
    tmp_path: Path,
) -> None:
    for seed in ("1", "12"):
        subprocess.run(
            [sys.executable, "-m", "iris_model", "train"]
            + ["--output", str(tmp_path / seed)],
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
        )
    for name in FILES:
        assert (tmp_path / "1" / name).read_bytes() == (
            tmp_path / "12" / name
        ).read_bytes()


def test_training_measures_by_cross_validation_when_it_ends(
    trained: tuple[Training, Path],
) -> None:
    manifest = trained[0].manifest
    assert 0.94 < manifest.metrics.accuracy.mean < 1.0
    assert manifest.metrics.classes["setosa"].f1 == 1.0
    assert sum(sum(row) for row in manifest.metrics.confusion) == pytest.approx(150)
    assert manifest.parity.rows == 10_150
    assert manifest.parity.largest_difference < 1e-9
    assert sum(manifest.features[0].histogram.counts) == 150


@pytest.mark.slow
@pytest.mark.parametrize(
    ("old", "new", "metric"),
    [
        ("minimum_accuracy: 0.96", "minimum_accuracy: 0.99", "accuracy"),
        ("minimum_macro_f1: 0.96", "minimum_macro_f1: 0.99", "macro-F1"),
        ("maximum_log_loss: 0.08", "maximum_log_loss: 0.01", "log-loss"),
    ],
)
def test_training_fails_and_writes_nothing_when_quality_is_too_low(
    workspace: Path, old: str, new: str, metric: str
) -> None:
    path = workspace / "config.yml"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(QualityTooLow) as caught:
        train(load_config(path), workspace / "out", quiet)
    assert caught.value.metric == metric
    assert not (workspace / "out").exists()


def test_training_fails_when_the_configuration_has_no_card(workspace: Path) -> None:
    path = workspace / "config.yml"
    text = path.read_text()
    without = text[: text.index("card:")] + text[text.index("table:") :]
    path.write_text(without)
    with pytest.raises(ConfigError, match="card: say what the model is for"):
        train(load_config(path), workspace / "out", quiet)


def test_mistakes_are_the_flowers_that_are_misjudged_out_of_fold(
    trained: tuple[Training, Path],
) -> None:
    mistakes = find_mistakes(trained[0])
    assert [mistake.row for mistake in mistakes[:3]] == [70, 83, 133]
    assert {(m.label, m.taken_for) for m in mistakes} <= {
        ("versicolor", "virginica"),
        ("virginica", "versicolor"),
    }


def test_card_states_what_the_manifest_states(trained: tuple[Training, Path]) -> None:
    training, folder = trained
    card = (folder / "MODEL_CARD.md").read_text()
    manifest = training.manifest
    for needed in (
        f"# iris_model {iris_model.__version__}",
        manifest.purpose,
        manifest.limits,
        f"| accuracy | {manifest.metrics.accuracy.mean:.4f} |",
        "| sepal_length_cm | cm | 4.3 | 7.9 |",
        manifest.faces["model.onnx"].sha256,
        f"| scikit-learn | {manifest.libraries['scikit-learn']} |",
    ):
        assert needed in card


def test_parity_is_broken_when_the_compiled_model_learnt_something_else() -> None:
    config = load_config()
    table = load_table(config)
    pipeline = build_pipeline(config).fit(table.rows, table.labels)
    other = build_pipeline(config).set_params(classify__priors=[0.3, 0.3, 0.4])
    compiled = compile_pipeline(other.fit(table.rows, table.labels))
    with pytest.raises(ParityBroken) as caught:
        check_parity(pipeline, compiled, table, config.seed)
    assert caught.value.largest_difference > 1e-9


def test_parity_is_broken_when_classes_are_swapped() -> None:
    config = load_config()
    table = load_table(config)
    pipeline = build_pipeline(config).fit(table.rows, table.labels)
    swapped = table.labels.replace(
        {"setosa": "virginica", "virginica": "setosa"}, regex=False
    )
    compiled = compile_pipeline(build_pipeline(config).fit(table.rows, swapped))
    with pytest.raises(ParityBroken) as caught:
        check_parity(pipeline, compiled, table, config.seed)
    assert caught.value.labels_differing > 90


@pytest.mark.slow
def test_report_is_self_contained_when_written(
    trained: tuple[Training, Path], tmp_path: Path
) -> None:
    path = tmp_path / "made" / "report.html"
    write_report(trained[0], path)
    page = path.read_text()
    for needed in (
        "Pipeline",
        "Confusion matrix",
        "Reliability",
        "Learning curve",
        "Importances",
        "Coefficients",
        "Misjudged rows",
        "prefers-color",
        "@media print",
        trained[0].manifest.table_sha256,
    ):
        assert needed in page
    assert page.count("<svg") == 5
    for forbidden in ("<script", "<link", "src=", "@import"):
        assert forbidden not in page
