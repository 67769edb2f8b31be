from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iris_model.config import PACKAGED_CONFIG, load_config, parse_config
from iris_model.errors import ConfigError

GOOD = PACKAGED_CONFIG.read_text()


def line_of(text: str) -> int:
    return GOOD[: GOOD.index(text)].count("\n") + 1


def test_config_is_read_when_it_is_the_packaged_one() -> None:
    config = load_config()
    assert config.feature_names == (
        "sepal_length_cm",
        "sepal_width_cm",
        "petal_length_cm",
        "petal_width_cm",
    )
    assert config.table.target == "species"
    assert config.classifier.kind == "LinearDiscriminantAnalysis"
    assert config.steps[0].options == {
        "capping_method": "gaussian",
        "tail": "both",
        "fold": 3,
    }
    assert (config.folds, config.repeats, config.seed) == (5, 10, 1936)


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("seed: 1936", "seed: minus one", "seed"),
        ("seed: 1936", "seed: -1", "seed"),
        ("seed: 1936", "seed: 4294967296", "seed"),
        ("  folds: 5", "  folds: 1", "folds"),
        ("minimum_accuracy: 0.96", "minimum_accuracy: nan", "minimum_accuracy"),
        ("minimum_accuracy: 0.96", "minimum_accuracy: inf", "minimum_accuracy"),
        ("minimum_accuracy: 0.96", "minimum_accuracy: 1e400", "minimum_accuracy"),
        ("minimum_accuracy: 0.96", "minimum_accuracy: 94", "minimum_accuracy"),
        ("  file: iris.csv", "  file: ../../etc/passwd", "file"),
        ("      fold: 3", "      fold: inf", "fold"),
        ("      fold: 3", "      fold: 1e999", "fold"),
    ],
)
def test_config_error_names_line_and_key_when_a_value_is_bad(
    old: str, new: str, key: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(GOOD.replace(old, new).encode(), Path("bad.yml"))
    assert caught.value.file == "bad.yml"
    assert caught.value.line == line_of(old)
    assert caught.value.key == key


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("seed: 1936", "seed: 1936\nsede: 1", "sede"),
        ("seed: 1936\n", "", "seed"),
        ("seed: 1936", "seed: 1936\nseed: 1937", "seed"),
        ("- name: sepal_width_cm", "- name: sepal_length_cm", "occurs twice"),
        ("  target: species", "  target: petal_width_cm", "occurs twice"),
        ("seed: 1936", "seed: {a: b}", "flow"),
        ("seed: 1936", "seed: &x 1936", "anchor"),
        ("seed: 1936", "seed: !!int 1936", "tag"),
        ("seed: 1936", "\tseed: 1936", "bad.yml"),
        ("seed: 1936", "seed: 1936" + " " * 90 + "x", "longer than 80 characters"),
    ],
)
def test_config_error_says_why_when_the_document_is_bad(
    old: str, new: str, says: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(GOOD.replace(old, new).encode(), Path("bad.yml"))
    assert says in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00",
        b"\xff\xfe",
        b"[" * 5000,
        b"- " * 5000,
        b"a: " * 5000,
        b"? ",
        b"%YAML 9.9\n---\n",
        b"x" * (64 * 1024 + 1),
        "a: \ud800".encode("utf-8", "surrogatepass"),
    ],
)
def test_config_error_is_the_only_error_when_bytes_are_hostile(content: bytes) -> None:
    with pytest.raises(ConfigError):
        parse_config(content, Path("bad.yml"))


@given(st.binary(max_size=200), st.integers(0, len(GOOD)))
def test_config_gives_a_value_or_config_error_when_bytes_are_inserted(
    inserted: bytes, place: int
) -> None:
    content = GOOD.encode()[:place] + inserted + GOOD.encode()[place:]
    try:
        parse_config(content, Path("any.yml"))
    except ConfigError as error:
        assert error.line >= 1


def test_config_error_is_raised_when_the_file_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        load_config(tmp_path / "none.yml")
