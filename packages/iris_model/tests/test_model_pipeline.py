from pathlib import Path

import pytest

from iris_model.config import PACKAGED_CONFIG, parse_config
from iris_model.errors import ConfigError
from iris_model.pipeline import build_pipeline

GOOD = PACKAGED_CONFIG.read_text()


def build(old: str, new: str) -> None:
    build_pipeline(parse_config(GOOD.replace(old, new).encode(), Path("bad.yml")))


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (
            "transformer: Winsorizer",
            "transformer: Winsoriser",
            "unknown name 'Winsoriser', did you mean 'Winsorizer'?",
        ),
        (
            "name: LinearDiscriminantAnalysis",
            "name: RidgeClassifier",
            "RidgeClassifier gives no class probabilities",
        ),
        ("fold: 3", "flod: 3", "did you mean 'fold'?"),
    ],
)
def test_pipeline_is_refused_when_a_step_is_unknown(
    old: str, new: str, says: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        build(old, new)
    assert says in str(caught.value)
    line = GOOD[: GOOD.index(old)].count("\n") + 1
    assert caught.value.line == line


def test_pipeline_steps_share_the_seed_when_they_take_one() -> None:
    content = GOOD.replace(
        "name: LinearDiscriminantAnalysis", "name: RandomForestClassifier"
    )
    content = content.replace("max_iter: 2000", "n_estimators: 5")
    pipeline = build_pipeline(parse_config(content.encode(), Path("forest.yml")))
    assert pipeline[-1].random_state == 1936
