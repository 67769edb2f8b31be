import re
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import iris_model
from iris_model.config import load_config
from iris_model.errors import VersionTooSmall, WorseThanPublished
from iris_model.quality import fold_losses
from iris_model.release import (
    check_not_worse,
    check_version,
    corrected_p_value,
    newest_published,
)
from iris_model.train import Training, train

SHELF = Path(__file__).parents[2] / "index" / "iris_model"


def quiet(done: int, total: int) -> None:
    """Report no progress."""


def test_newest_is_the_highest_version_not_above_the_given_one() -> None:
    for version in ("1.0.0", "1.1.0"):
        published = newest_published(SHELF, version)
        assert published is not None and published.name == version
    assert newest_published(SHELF, "0.9.0") is None
    newest = newest_published(SHELF, "1.1.7")
    assert newest is not None and newest.name == "1.1.0"


def test_newest_orders_versions_by_number_when_they_have_two_digits(
    tmp_path: Path,
) -> None:
    source = SHELF / "iris_model-1.1.0-py3-none-any.whl"
    for version in ("1.9.0", "1.10.0"):
        shutil.copy(source, tmp_path / f"iris_model-{version}-py3-none-any.whl")
    newest = newest_published(tmp_path, "2.0.0")
    assert newest is not None and newest.version == (1, 10, 0)


@pytest.mark.slow
def test_this_version_may_follow_the_newest_published_one(
    trained: tuple[Training, Path],
) -> None:
    training, folder = trained
    published = newest_published(SHELF, iris_model.__version__)
    assert published is not None
    config, table = training.config, training.table
    check_not_worse(config, table, training.cross_validation, published)
    content = (folder / "model.onnx").read_bytes()
    check_version(training.manifest, content, table, published)


@pytest.mark.slow
def test_training_fails_and_writes_nothing_when_it_is_worse_than_published(
    workspace: Path,
) -> None:
    path = workspace / "config.yml"
    text = re.sub(
        r"classifier:\n  name: .*\n",
        "classifier:\n  name: LogisticRegression\n  options:\n    C: 0.01\n",
        path.read_text(),
    )
    # Floors out of the way: this is about the other gate.
    text = re.sub(r"minimum_(\w+): .*", r"minimum_\1: 0.0", text)
    path.write_text(re.sub(r"maximum_log_loss: .*", "maximum_log_loss: 9.0", text))
    with pytest.raises(WorseThanPublished) as caught:
        train(load_config(path), workspace / "out", quiet, SHELF)
    assert caught.value.p_value < 0.001
    assert caught.value.difference > 0.2
    assert not (workspace / "out").exists()


@pytest.mark.parametrize(
    ("version", "change", "least"),
    [
        ("1.0.1", {}, "1.1.0"),
        ("1.9.0", {"classes": ["a", "b", "c"]}, "2.0.0"),
        ("1.9.0", {"features": "renamed"}, "2.0.0"),
        ("1.9.0", {"features": "unit"}, "2.0.0"),
    ],
)
def test_version_is_too_small_when_the_model_changed_more(
    trained: tuple[Training, Path],
    version: str,
    change: dict[str, object],
    least: str,
) -> None:
    training, folder = trained
    published = newest_published(SHELF, "1.0.0")
    assert published is not None
    manifest = replace(training.manifest, model_version=version)
    if "classes" in change:
        manifest = replace(manifest, **change)
    elif "features" in change:
        key, value = {"renamed": ("name", "x"), "unit": ("unit", "mm")}[
            str(change["features"])
        ]
        first = replace(manifest.features[0], **{key: value})
        features = [first, *manifest.features[1:]]
        manifest = replace(manifest, features=features)
    content = (folder / "model.onnx").read_bytes()
    with pytest.raises(VersionTooSmall) as caught:
        check_version(manifest, content, training.table, published)
    assert caught.value.least == least


def test_version_may_be_a_patch_when_answers_are_identical(
    trained: tuple[Training, Path],
) -> None:
    published = newest_published(SHELF, "1.1.0")
    assert published is not None
    with zipfile.ZipFile(SHELF / "iris_model-1.1.0-py3-none-any.whl") as archive:
        same = archive.read("iris_model/trained/model.onnx")
    manifest = replace(trained[0].manifest, model_version="1.1.1")
    check_version(manifest, same, trained[0].table, published)


def test_p_value_is_small_only_when_the_difference_is_above_zero() -> None:
    generator = np.random.default_rng(1)
    noise = generator.normal(0.0, 0.01, 50)
    assert corrected_p_value(noise + 0.1, 5) < 1e-6
    assert corrected_p_value(noise - 0.1, 5) > 0.999
    assert corrected_p_value(np.zeros(50), 5) == 1.0


def test_correction_keeps_the_false_alarm_rate_when_models_are_equal() -> None:
    # 1,000 pairs of equal models whose fold differences are correlated as those of
    # overlapping training sets are (Nadeau and Bengio: test share / train share).
    generator = np.random.default_rng(2)
    folds, repeats = 5, 10
    correlation = 1 / folds
    shared = generator.normal(0, np.sqrt(correlation), (1000, 1))
    own = generator.normal(0, np.sqrt(1 - correlation), (1000, folds * repeats))
    alarms = [corrected_p_value(row, folds) < 0.05 for row in shared + own]
    assert np.mean(alarms) < 0.07


def test_fold_losses_average_to_the_stated_log_loss(
    trained: tuple[Training, Path],
) -> None:
    training = trained[0]
    losses = fold_losses(training.config, training.table, training.cross_validation)
    assert len(losses) == 50
    assert losses.mean() == pytest.approx(training.manifest.metrics.log_loss.mean)
