import hashlib
from pathlib import Path

import pytest

from iris_model.config import load_config
from iris_model.data import load_table
from iris_model.errors import TableError


def write_table(workspace: Path, content: bytes) -> None:
    """Replace the table and state its digest, as its owner would."""
    path = workspace / "datasets" / "iris.csv"
    old = hashlib.sha256(path.read_bytes()).hexdigest()
    path.write_bytes(content)
    config = workspace / "config.yml"
    new = hashlib.sha256(content).hexdigest()
    config.write_text(config.read_text().replace(old, new))


def test_table_has_150_rows_of_three_classes_when_it_is_the_packaged_one() -> None:
    table = load_table(load_config())
    assert table.rows.shape == (150, 4)
    assert table.labels.value_counts().to_dict() == {
        "setosa": 50,
        "versicolor": 50,
        "virginica": 50,
    }


def test_table_is_fishers_variant_when_the_two_disputed_flowers_are_read() -> None:
    rows = load_table(load_config()).rows.to_numpy()
    assert rows[34].tolist() == [4.9, 3.1, 1.5, 0.2]
    assert rows[37].tolist() == [4.9, 3.6, 1.4, 0.1]


def test_table_is_refused_when_one_byte_changed(workspace: Path) -> None:
    path = workspace / "datasets" / "iris.csv"
    path.write_bytes(path.read_bytes().replace(b"5.1", b"5.2", 1))
    with pytest.raises(TableError, match="sha256"):
        load_table(load_config(workspace / "config.yml"))


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (b"petal_width_cm", b"petal_width", "'petal_width_cm' is missing"),
        (b"species\n", b"species,extra\n", "'extra' is not in config.yml"),
        (b"5.1,3.5", b"x,3.5", "'sepal_length_cm' holds something but numbers"),
        (b"5.1,3.5", b",3.5", "'sepal_length_cm' has missing"),
        (b"0.2,setosa", b"0.2,", "'species' has missing"),
        (b"0.2,setosa", b"0.2,lily", "needs 5 rows or more"),
    ],
)
def test_table_is_refused_when_its_content_is_bad(
    workspace: Path, old: bytes, new: bytes, says: str
) -> None:
    content = (workspace / "datasets" / "iris.csv").read_bytes()
    write_table(workspace, content.replace(old, new, 1))
    with pytest.raises(TableError, match=says):
        load_table(load_config(workspace / "config.yml"))


def test_table_is_refused_when_the_file_is_missing(workspace: Path) -> None:
    (workspace / "datasets" / "iris.csv").unlink()
    with pytest.raises(TableError, match="No such file"):
        load_table(load_config(workspace / "config.yml"))
