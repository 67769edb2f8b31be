import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import onnxruntime
import pandas as pd
import pytest
from converter_tables import GAPS, NUMBERS, TARGET, TEXT_GAPS, TEXTS
from feature_engine import (
    creation,
    discretisation,
    encoding,
    imputation,
    outliers,
    preprocessing,
    selection,
    transformation,
)
from feature_engine.wrappers import SklearnTransformerWrapper
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn import preprocessing as sk
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier
from sklearn.impute import KNNImputer, SimpleImputer
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline
from sklearn.tree import DecisionTreeClassifier, ExtraTreeClassifier

from iris_model import converters
from iris_model.artefact import load_artefact
from iris_model.compile import (
    PROBABILITIES,
    compile_pipeline,
    compile_transformer,
    inputs_of,
    text_features,
)
from iris_model.config import load_config
from iris_model.converters import CONVERTERS, MISSING_TEXT, Columns
from iris_model.data import Table, load_table
from iris_model.errors import InvalidRows, NoConverter, ParityBroken
from iris_model.model import IrisModel
from iris_model.parity import check_parity, compare_faces
from iris_model.train import train

TABLE = load_table(load_config())
PETALS = ["petal_length_cm", "petal_width_cm"]

NUMERIC_STEPS: dict[str, list[BaseEstimator]] = {
    "packaged": [
        outliers.Winsorizer(tail="both", fold=3),
        creation.MathFeatures(PETALS, "prod", ["petal_area_cm2"]),
        creation.RelativeFeatures(PETALS, ["sepal_length_cm"], ["div"], fill_value=0),
    ],
    "made, then chosen": [
        creation.MathFeatures(PETALS, ["sum", "std", "median"], drop_original=True),
        selection.DropFeatures(["sepal_width_cm"]),
    ],
    "columns reordered": [
        discretisation.EqualWidthDiscretiser(variables=["petal_width_cm"]),
        creation.RelativeFeatures(PETALS, PETALS, ["sub"], drop_original=True),
    ],
}
TEXT_STEPS: dict[str, list[BaseEstimator]] = {
    "one-hot": [imputation.CategoricalImputer(), encoding.OneHotEncoder()],
    "ordinal": [
        imputation.AddMissingIndicator(variables=["kind"]),
        encoding.RareLabelEncoder(0.1, 1, missing_values="ignore"),
        encoding.OrdinalEncoder("arbitrary", missing_values="ignore", unseen="encode"),
    ],
    "binned": [
        imputation.CategoricalImputer(),
        discretisation.EqualWidthDiscretiser(["a"], 3, return_boundaries=True),
        encoding.CountFrequencyEncoder(unseen="encode"),
    ],
}


def fit(
    steps: list[BaseEstimator],
    frame: pd.DataFrame = TABLE.rows,
    target: pd.Series = TABLE.labels,
    classifier: ClassifierMixin | None = None,
) -> Pipeline:
    scale = sk.StandardScaler().set_output(transform="pandas")
    classify = LogisticRegression(max_iter=2000) if classifier is None else classifier
    named = [(f"made_{place}", step) for place, step in enumerate(steps)]
    pipeline = Pipeline([*named, ("scale", scale), ("classify", classify)])
    return pipeline.fit(frame, target)


def answer(model_bytes: bytes, frame: pd.DataFrame) -> np.ndarray:
    session = onnxruntime.InferenceSession(model_bytes)
    return session.run([PROBABILITIES], inputs_of(frame))[0]


FITTED = {name: fit(steps) for name, steps in NUMERIC_STEPS.items()}
COMPILED = {name: compile_pipeline(pipeline) for name, pipeline in FITTED.items()}


@pytest.mark.parametrize("name", NUMERIC_STEPS)
def test_compiled_pipeline_agrees_when_rows_are_of_the_table(name: str) -> None:
    differing, distance = compare_faces(FITTED[name], COMPILED[name], TABLE.rows)
    assert differing == 0
    assert distance < 1e-12


@pytest.mark.slow
@settings(max_examples=50, deadline=None)
@given(
    st.sampled_from(sorted(NUMERIC_STEPS)),
    arrays(np.float64, (3, 4), elements=st.floats(0.0, 60.0, width=32)),
)
def test_compiled_pipeline_agrees_when_rows_are_any_lengths(
    name: str, values: np.ndarray
) -> None:
    frame = pd.DataFrame(values, columns=TABLE.rows.columns)
    _, distance = compare_faces(FITTED[name], COMPILED[name], frame)
    assert distance < 1e-9


@pytest.mark.parametrize("name", TEXT_STEPS)
def test_compiled_pipeline_agrees_when_features_are_texts(name: str) -> None:
    pipeline = fit(TEXT_STEPS[name], TEXT_GAPS, TARGET)
    compiled = compile_pipeline(pipeline, ["kind", "place"])
    differing, distance = compare_faces(pipeline, compiled, TEXT_GAPS)
    assert differing == 0
    assert distance < 1e-12


def test_inputs_are_rows_alone_when_no_feature_is_text() -> None:
    session = onnxruntime.InferenceSession(COMPILED["packaged"])
    assert [(i.name, i.type, i.shape[1]) for i in session.get_inputs()] == [
        ("rows", "tensor(double)", 4)
    ]
    assert [(o.name, o.type) for o in session.get_outputs()] == [
        ("probabilities", "tensor(double)")
    ]


def test_inputs_are_rows_and_texts_when_features_are_of_both_kinds() -> None:
    compiled = compile_pipeline(
        fit(TEXT_STEPS["one-hot"], TEXT_GAPS, TARGET), ["kind", "place"]
    )
    session = onnxruntime.InferenceSession(compiled)
    found = {i.name: (i.type, i.shape[1]) for i in session.get_inputs()}
    assert found == {"rows": ("tensor(double)", 1), "texts": ("tensor(string)", 2)}


def test_text_features_are_found_when_kinds_are_mixed() -> None:
    frame = pd.DataFrame(
        {
            "text": ["a", None],
            "number": [1, 2],
            "truth": [True, False],
            "object": pd.Series([1, 2], dtype=object),
            "levels": pd.Categorical(["a", "b"]),
            "ranks": pd.Categorical([1, 2]),
        }
    )
    assert text_features(frame) == ["text", "levels"]
    assert inputs_of(frame)["texts"].tolist() == [["a", "a"], [MISSING_TEXT, "b"]]


@pytest.mark.parametrize(
    "classifier",
    [
        LogisticRegression(),
        GaussianNB(),
        KNeighborsClassifier(1),
        DecisionTreeClassifier(random_state=0),
        RandomForestClassifier(5, random_state=0),
    ],
    ids=lambda classifier: type(classifier).__name__,
)
def test_compiled_pipeline_refuses_the_row_when_the_pipeline_would_raise(
    classifier: ClassifierMixin,
) -> None:
    step = transformation.ReciprocalTransformer(PETALS)
    pipeline = fit([step], classifier=classifier)
    compiled = compile_pipeline(pipeline)
    assert compare_faces(pipeline, compiled, TABLE.rows)[1] < 1e-12
    frame = TABLE.rows.head(5).copy()
    before = answer(compiled, frame)
    frame.iloc[1, 3] = 0.0
    frame.iloc[3, 0] = np.inf
    frame.iloc[4, 2] = np.nan
    after = answer(compiled, frame)
    assert np.isnan(after[[1, 3, 4]]).all()
    assert (after[[0, 2]] == before[[0, 2]]).all()


def test_compiled_pipeline_refuses_the_row_when_the_bad_column_is_dropped_later() -> (
    None
):
    steps = [
        transformation.LogTransformer(["petal_width_cm"]),
        selection.DropFeatures(["petal_width_cm"]),
    ]
    compiled = compile_pipeline(fit(steps, classifier=DecisionTreeClassifier()))
    frame = TABLE.rows.head(2).copy()
    frame.iloc[0, 3] = -1.0
    found = answer(compiled, frame)
    assert np.isnan(found[0]).all()
    assert np.isfinite(found[1]).all()


@pytest.mark.parametrize(
    "classifier",
    [
        DecisionTreeClassifier(max_depth=3),
        ExtraTreeClassifier(max_depth=4, random_state=1),
        RandomForestClassifier(30, max_depth=4, random_state=1),
        ExtraTreesClassifier(30, max_depth=5, random_state=1),
    ],
    ids=lambda classifier: type(classifier).__name__,
)
def test_parity_holds_when_the_classifier_is_of_trees(
    classifier: ClassifierMixin,
) -> None:
    pipeline = fit([], classifier=classifier)
    compiled = compile_pipeline(pipeline)
    assert check_parity(pipeline, compiled, TABLE, 0).largest_difference < 1e-12
    # Exactly on the thresholds, too.
    scale, tree = pipeline[0], getattr(classifier, "estimators_", [classifier])[0]
    edges = scale.mean_ + scale.scale_ * tree.tree_.threshold[:, None]
    frame = pd.DataFrame(edges, columns=TABLE.rows.columns)
    assert compare_faces(pipeline, compiled, frame) == (
        0,
        pytest.approx(0.0, abs=1e-12),
    )


def test_converters_know_nothing_of_the_package_around_them() -> None:
    folder = Path(converters.__file__).parent
    assert len(list(folder.glob("*.py"))) > 10
    assert not [f.name for f in folder.glob("*.py") if "iris_model" in f.read_text()]


def test_model_refuses_the_row_when_a_step_would_raise(workspace: Path) -> None:
    path = workspace / "config.yml"
    log = "  - name: log\n    transformer: LogTransformer\n    options:\n"
    log += "      variables:\n        - petal_width_cm\n"
    text = path.read_text()
    for old, new in {
        "steps:\n": f"steps:\n{log}",
        "name: LinearDiscriminantAnalysis": "name: DecisionTreeClassifier",
        "minimum_accuracy: 0.96": "minimum_accuracy: 0.9",
        "minimum_macro_f1: 0.96": "minimum_macro_f1: 0.9",
        "maximum_log_loss: 0.08": "maximum_log_loss: 5.0",
        "repeats: 10": "repeats: 1",
    }.items():
        assert old in text
        text = text.replace(old, new)
    path.write_text(text)
    train(load_config(path), workspace / "out", lambda done, total: None)
    model = IrisModel(load_artefact(workspace / "out"))
    with pytest.raises(InvalidRows) as caught:
        model.predict([[5.1, 3.5, 1.4, 0.2], [5.1, 3.5, 1.4, 0.0]])
    assert [problem.row for problem in caught.value.problems] == [1]


def test_compiled_bytes_are_the_same_when_compiled_again() -> None:
    pipeline = fit(NUMERIC_STEPS["packaged"])
    assert compile_pipeline(pipeline) == compile_pipeline(pipeline)


@pytest.mark.slow
def test_compiled_bytes_are_the_same_when_the_hash_seed_differs() -> None:
    code = (
        "import hashlib, sys; sys.path.insert(0, sys.argv[1])\n"
        "from test_model_compile import *\n"
        "found = compile_pipeline(FITTED['packaged'])\n"
        "for steps in TEXT_STEPS.values():\n"
        "    pipeline = fit(steps, TEXT_GAPS, TARGET)\n"
        "    found += compile_pipeline(pipeline, ['kind', 'place'])\n"
        "print(hashlib.sha256(found).hexdigest())\n"
    )
    folder = str(Path(__file__).parent)
    digests = {
        subprocess.run(
            [sys.executable, "-c", code, folder],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("0", "7")
    }
    assert len(digests) == 1


def wrong_logarithm(step: transformation.LogTransformer, columns: Columns) -> None:
    columns.check_finite(step.variables_)
    made = columns.graph.apply("Sqrt", columns.pick(step.variables_))
    columns.put(step.variables_, made)


def trusting_logarithm(step: transformation.LogTransformer, columns: Columns) -> None:
    matrix = columns.pick(step.variables_)
    least = columns.graph.constant(1e-9)
    made = columns.graph.apply("Log", columns.graph.apply("Max", matrix, least))
    columns.put(step.variables_, made)


def timid_logarithm(step: transformation.LogTransformer, columns: Columns) -> None:
    matrix = columns.pick(step.variables_)
    small = columns.graph.apply("Less", matrix, columns.graph.constant(0.15))
    columns.refuse_where(small, len(step.variables_))
    columns.put(step.variables_, columns.graph.apply("Log", matrix))


@pytest.mark.slow(after=1)
@pytest.mark.parametrize(
    "converter", [wrong_logarithm, trusting_logarithm, timid_logarithm]
)
def test_parity_is_broken_when_a_converter_is_wrong(
    converter: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = fit([transformation.LogTransformer(["petal_width_cm"])])
    check_parity(pipeline, compile_pipeline(pipeline), TABLE, 0)
    monkeypatch.setitem(CONVERTERS, transformation.LogTransformer, converter)
    with pytest.raises(ParityBroken):
        check_parity(pipeline, compile_pipeline(pipeline), TABLE, 0)


def test_parity_holds_when_features_are_texts() -> None:
    pipeline = fit(TEXT_STEPS["ordinal"], TEXT_GAPS, TARGET)
    compiled = compile_pipeline(pipeline, ["kind", "place"])
    table = Table(rows=TEXT_GAPS, labels=TARGET, sha256="")
    assert check_parity(pipeline, compiled, table, 0).largest_difference < 1e-12


BINS_AS_COLUMNS = sk.KBinsDiscretizer(
    3, encode="onehot-dense", quantile_method="averaged_inverted_cdf"
)
WRAP = SklearnTransformerWrapper
UNSUPPORTED: list[tuple[BaseEstimator, pd.DataFrame, str]] = [
    (creation.MathFeatures(["a", "b"], "skew"), NUMBERS, "func='skew'"),
    (creation.MathFeatures(["a", "b"], [np.sum]), NUMBERS, "func=<function sum"),
    (
        creation.MathFeatures(["a", "b"], "sem", missing_values="ignore"),
        NUMBERS,
        "func='sem'",
    ),
    (imputation.CategoricalImputer(fill_value=7), TEXT_GAPS, "fill_value=7"),
    (
        imputation.CategoricalImputer(variables=["a"], ignore_format=True),
        GAPS,
        "fill_value='Missing'",
    ),
    (encoding.RareLabelEncoder(0.1, 1, replace_with=-1), TEXTS, "replace_with=-1"),
    (
        encoding.RareLabelEncoder(0.1, 1, variables=["c"], ignore_format=True),
        NUMBERS,
        "replace_with='Rare'",
    ),
    (preprocessing.MatchVariables(match_dtypes=True), NUMBERS, "match_dtypes=True"),
    (WRAP(KNNImputer()), GAPS, "transformer=KNNImputer"),
    (WRAP(SimpleImputer(missing_values=-1), ["a"]), NUMBERS, "missing_values=-1"),
    (SimpleImputer(add_indicator=True), GAPS, "add_indicator=True"),
    (WRAP(sk.FunctionTransformer(np.log1p), ["a"]), NUMBERS, "func"),
    (BINS_AS_COLUMNS, NUMBERS, "encode='onehot-dense'"),
    (sk.OneHotEncoder(min_frequency=3), TEXTS, "min_frequency"),
    (sk.OrdinalEncoder(max_categories=3), TEXTS, "max_categories"),
    (sk.OneHotEncoder(handle_unknown="infrequent_if_exist"), TEXTS, "handle_unknown"),
    (imputation.RandomSampleImputer(), GAPS, "RandomSampleImputer"),
    (imputation.DropMissingData(), GAPS, "DropMissingData"),
    (outliers.OutlierTrimmer(), NUMBERS, "OutlierTrimmer"),
    (encoding.DecisionTreeEncoder(regression=False), TEXTS, "DecisionTreeEncoder"),
    (sk.StandardScaler(), NUMBERS.assign(a=TEXTS["kind"]), "hold text"),
]


@pytest.mark.parametrize(
    ("step", "frame", "says"), UNSUPPORTED, ids=[says for _, _, says in UNSUPPORTED]
)
def test_compile_names_step_and_option_when_there_is_no_converter(
    step: BaseEstimator, frame: pd.DataFrame, says: str
) -> None:
    texts = text_features(frame)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted = step.fit(NUMBERS if says == "hold text" else frame, TARGET)
    with pytest.raises(NoConverter) as caught:
        compile_transformer(fitted, texts)
    assert caught.value.step == type(step).__name__
    assert says in caught.value.reason


def test_compile_names_the_step_of_the_pipeline_when_it_has_no_converter() -> None:
    pipeline = fit([creation.MathFeatures(PETALS, "sem")])
    with pytest.raises(NoConverter, match="func='sem'") as caught:
        compile_pipeline(pipeline)
    assert caught.value.step == "made_0"


def test_compile_names_the_classifier_when_it_gives_no_probabilities() -> None:
    with pytest.raises(NoConverter, match="gives no class probabilities") as caught:
        compile_pipeline(fit([], classifier=RidgeClassifier()))
    assert caught.value.step == "classify"


def test_compile_asks_for_the_texts_when_they_were_not_named() -> None:
    pipeline = fit(TEXT_STEPS["one-hot"], TEXT_GAPS, TARGET)
    with pytest.raises(NoConverter, match="in the number column 'kind'"):
        compile_pipeline(pipeline)
