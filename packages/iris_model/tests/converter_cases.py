"""
Every transformer with a converter, in every option, on tables that suit it.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnxruntime
import pandas as pd
from feature_engine import creation as fc
from feature_engine import discretisation as fd
from feature_engine import encoding as fe
from feature_engine import imputation as fi
from feature_engine import outliers as fo
from feature_engine import preprocessing as fp
from feature_engine import scaling as fsc
from feature_engine import selection as fs
from feature_engine import transformation as ft
from feature_engine.wrappers import SklearnTransformerWrapper as Wrap
from sklearn import feature_selection as sks
from sklearn import preprocessing as skp
from sklearn.base import BaseEstimator
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression

from iris_model.compile import compile_transformer, inputs_of, text_features
from iris_model.converters import CONVERTERS

ROWS = 60
GENERATOR = np.random.default_rng(7)
NUMBERS = pd.DataFrame(
    {
        "a": GENERATOR.gamma(2.0, 3.0, ROWS) + 0.25,
        "b": GENERATOR.normal(0.0, 2.0, ROWS),
        "c": GENERATOR.integers(1, 9, ROWS),
        "flag": GENERATOR.integers(0, 2, ROWS),
    }
)
PAIR = ["a", "c"]
GAPS = NUMBERS.astype(float).mask(GENERATOR.random((ROWS, 4)) < 0.2)
TEXTS = pd.DataFrame(
    {
        "kind": GENERATOR.choice(["red", "blue", "", "nan", "Ünï"], ROWS),
        "place": GENERATOR.choice(["x", "y"], ROWS, p=[0.7, 0.3]),
        "a": NUMBERS["a"],
    }
)
TEXTS.loc[:15, "kind"] = "red"
TEXT_GAPS = TEXTS.copy()
TEXT_GAPS.loc[GENERATOR.random(ROWS) < 0.2, "kind"] = None
SCORES = NUMBERS["a"] * 2.0 + NUMBERS["b"]
TARGET = pd.Series((NUMBERS["a"] + NUMBERS["b"] > 6.0).astype(int))

ANY_NUMBER = [0.0, -0.0, 1.0, -1.0, 0.5, -2.5, 3.0, 8.0, 1e-9, -1e-9, 1e-300, 1e12]
ANY_NUMBER += [-1e12, 1e150, -1e150, 6.25, 1e8, 12345.678, np.nan]
ANY_TEXT = ["red", "blue", "", "nan", "Ünï", "x", "y", "Rare", "unseen", "RED", None]


@dataclass(frozen=True)
class Case:
    """
    A transformer, what it is fitted on, and values worth trying on it.

    Attributes
    ----------
    step : BaseEstimator
        Unfitted.
    table : DataFrame
        To fit on; its kinds are those of the columns tried.
    values : list of float
        Numbers beside ANY_NUMBER, such as exact edges.
    """

    step: BaseEstimator
    table: pd.DataFrame = field(default_factory=lambda: NUMBERS)
    values: tuple[float, ...] = ()
    target: pd.Series = field(default_factory=lambda: TARGET)


def _imputers() -> dict[str, Case]:
    return {
        "mean": Case(fi.MeanMedianImputer("mean"), GAPS),
        "median, some": Case(fi.MeanMedianImputer("median", ["a", "flag"]), GAPS),
        "number": Case(fi.ArbitraryNumberImputer(-1), GAPS),
        "number, dict": Case(
            fi.ArbitraryNumberImputer(imputer_dict={"c": 3, "b": 0.5}), GAPS
        ),
        **{
            f"tail {method} {tail}": Case(fi.EndTailImputer(method, tail), GAPS)
            for method in ("gaussian", "iqr", "max")
            for tail in ("left", "right")
        },
        "indicator": Case(fi.AddMissingIndicator(), GAPS),
        "indicator, all": Case(fi.AddMissingIndicator(missing_only=False), TEXT_GAPS),
        "text": Case(fi.CategoricalImputer(), TEXT_GAPS),
        "text, frequent": Case(
            fi.CategoricalImputer("frequent", variables=["kind"]), TEXT_GAPS
        ),
        "text, object": Case(
            fi.CategoricalImputer(fill_value="", return_object=True), TEXT_GAPS
        ),
        "text, numbers too": Case(
            fi.CategoricalImputer(
                fill_value=7, variables=["a"], ignore_format=True, return_object=False
            ),
            TEXT_GAPS,
        ),
    }


def _outliers() -> dict[str, Case]:
    cases = {
        f"cap {method} {tail}{' with indicators' if add else ''}": Case(
            fo.Winsorizer(
                method, tail, 0.1 if method == "quantiles" else 1, add, ["c", "a"]
            )
        )
        for method in ("gaussian", "iqr", "quantiles", "mad")
        for tail in ("left", "right", "both")
        for add in (False, True)
    }
    cases["cap gaps"] = Case(
        fo.Winsorizer(tail="both", add_indicators=True, missing_values="ignore"), GAPS
    )
    cases["cap all"] = Case(fo.Winsorizer(tail="both"), values=(6.0,))
    both = {"a": 5, "b": 1.5}
    cases["caps given"] = Case(fo.ArbitraryOutlierCapper(both, {"a": 1, "c": 2.5}))
    cases["caps given, crossed"] = Case(fo.ArbitraryOutlierCapper({"a": 1}, {"a": 2}))
    cases["caps given, low, gaps"] = Case(
        fo.ArbitraryOutlierCapper(None, both, missing_values="ignore"), GAPS
    )
    return cases


def _transformations() -> dict[str, Case]:
    return {
        **{f"log {base}": Case(ft.LogTransformer(PAIR, base)) for base in ("e", "10")},
        "log plus, auto": Case(ft.LogCpTransformer(["b", "a", "c"])),
        "log plus, number": Case(ft.LogCpTransformer(PAIR, "10", 2)),
        "log plus, dict": Case(ft.LogCpTransformer(C={"c": 1.5, "b": 20})),
        **{
            f"power {exponent}": Case(ft.PowerTransformer(exp=exponent))
            for exponent in (0.5, 2, 3, -1, 1 / 3, -0.5, 0)
        },
        "reciprocal": Case(ft.ReciprocalTransformer(PAIR)),
        "box-cox": Case(ft.BoxCoxTransformer(PAIR)),
        "yeo-johnson": Case(ft.YeoJohnsonTransformer()),
        "arcsinh": Case(ft.ArcSinhTransformer()),
        "arcsinh, moved": Case(ft.ArcSinhTransformer(["b"], loc=1.5, scale=0.25)),
        "normalise": Case(fsc.MeanNormalizationScaler(["b", "c"])),
    }


STATISTICS = ["sum", "prod", "mean", "min", "max", "std", "var", "median"]
RELATIONS = ["add", "sub", "mul", "div", "truediv", "floordiv", "mod", "pow"]


def _creations() -> dict[str, Case]:
    cases: dict[str, Case] = {}
    for name in STATISTICS:
        cases[f"math {name}"] = Case(fc.MathFeatures(["c", "a", "b"], name))
        cases[f"math {name}, gaps"] = Case(
            fc.MathFeatures(["a", "b", "c", "flag"], name, missing_values="ignore"),
            GAPS,
        )
    for name in RELATIONS:
        cases[f"relative {name}"] = Case(
            fc.RelativeFeatures(["a", "b"], ["b", "c"], [name])
        )
        cases[f"relative {name}, fill, gaps"] = Case(
            fc.RelativeFeatures(
                ["a", "b"], ["b", "c"], [name], -1.5, missing_values="ignore"
            ),
            GAPS,
        )
    return {
        **cases,
        "math, all": Case(fc.MathFeatures(PAIR, STATISTICS, drop_original=True)),
        "math, named": Case(fc.MathFeatures(PAIR, ["sum"], ["together"])),
        "relative, all": Case(
            fc.RelativeFeatures(
                ["a", "b"], ["c"], RELATIONS, fill_value=0.0, drop_original=True
            )
        ),
        "cyclical": Case(fc.CyclicalFeatures(PAIR)),
        "cyclical, given": Case(
            fc.CyclicalFeatures(max_values={"c": 12, "a": 2.5}, drop_original=True)
        ),
    }


EDGES = {"a": [0, 1, 2.5, 6.25, 40], "c": [0, 3, 8]}


def _discretisers() -> dict[str, Case]:
    cases = {
        "arbitrary": Case(fd.ArbitraryDiscretiser(EDGES)),
        "arbitrary, raise": Case(fd.ArbitraryDiscretiser(EDGES, errors="raise")),
        "arbitrary, object": Case(fd.ArbitraryDiscretiser(EDGES, return_object=True)),
        "arbitrary, text": Case(fd.ArbitraryDiscretiser(EDGES, return_boundaries=True)),
    }
    for kind in (
        fd.EqualWidthDiscretiser,
        fd.EqualFrequencyDiscretiser,
        fd.GeometricWidthDiscretiser,
    ):
        count = {"q" if kind is fd.EqualFrequencyDiscretiser else "bins": 4}
        for name, options in {
            "": {},
            ", object": {"return_object": True},
            ", text": {"return_boundaries": True},
            ", text, precise": {"return_boundaries": True, "precision": 1},
        }.items():
            step = kind(["a", "b"], **count, **options)
            edges = kind(["a", "b"], **count).fit(NUMBERS).binner_dict_
            values = tuple(float(edge) for edge in [*edges["a"], *edges["b"]])
            finite = tuple(value for value in values if np.isfinite(value))
            cases[f"{kind.__name__}{name}"] = Case(step, values=finite)
    for output in ("prediction", "bin_number", "boundaries"):
        for is_regression in (True, False):
            step = fd.DecisionTreeDiscretiser(
                ["a", "b"],
                output,
                3 if output == "boundaries" else None,
                scoring="neg_mean_squared_error" if is_regression else "accuracy",
                regression=is_regression,
                random_state=0,
            )
            target = SCORES if is_regression else TARGET
            cases[f"tree {output} {is_regression}"] = Case(step, target=target)
    return cases


def _encoders() -> dict[str, Case]:
    cases: dict[str, Case] = {}
    for unseen in ("ignore", "raise", "encode"):
        for gaps in ("raise", "ignore"):
            table = TEXTS if gaps == "raise" else TEXT_GAPS
            options = {"unseen": unseen, "missing_values": gaps}
            end = f"{unseen} {gaps}"
            cases[f"ordinal {end}"] = Case(
                fe.OrdinalEncoder("arbitrary", **options), table
            )
            cases[f"ordered {end}"] = Case(fe.OrdinalEncoder(**options), table)
            cases[f"count {end}"] = Case(fe.CountFrequencyEncoder(**options), table)
            cases[f"share {end}"] = Case(
                fe.CountFrequencyEncoder("frequency", **options), table
            )
            cases[f"mean {end}"] = Case(fe.MeanEncoder(**options), table)
        cases[f"mean smooth {unseen}"] = Case(
            fe.MeanEncoder(unseen=unseen, smoothing="auto"), TEXTS
        )
        cases[f"numbers {unseen}"] = Case(
            fe.OrdinalEncoder("arbitrary", ["c"], "raise", True, unseen)
        )
    for unseen in ("ignore", "raise"):
        cases[f"weight {unseen}"] = Case(
            fe.WoEEncoder(unseen=unseen, fill_value=0.01), TEXTS
        )
    for name, options in {
        "all": {},
        "top": {"top_categories": 2},
        "last dropped": {"drop_last": True},
        "binary dropped": {"drop_last_binary": True},
    }.items():
        cases[f"one-hot {name}"] = Case(fe.OneHotEncoder(**options), TEXTS)
    cases["one-hot numbers"] = Case(
        fe.OneHotEncoder(variables=["c"], ignore_format=True), NUMBERS
    )
    rare = {"tol": 0.2, "n_categories": 1}
    cases["rare"] = Case(fe.RareLabelEncoder(**rare), TEXTS)
    cases["rare, gaps"] = Case(
        fe.RareLabelEncoder(**rare, missing_values="ignore"), TEXT_GAPS
    )
    cases["rare, named"] = Case(
        fe.RareLabelEncoder(**rare, max_n_categories=1, replace_with="other"), TEXTS
    )
    cases["rare, numbers"] = Case(
        fe.RareLabelEncoder(
            **rare, replace_with=-1, variables=["c"], ignore_format=True
        )
    )
    return cases


def _selectors() -> dict[str, Case]:
    model = LogisticRegression()
    doubled = NUMBERS.assign(d=NUMBERS["b"] * 2.0, one=1.0, e=NUMBERS["a"])
    scored = {"estimator": model, "scoring": "accuracy", "cv": 2}
    steps: list[BaseEstimator] = [
        fs.DropFeatures(["b"]),
        fs.DropConstantFeatures(),
        fs.DropDuplicateFeatures(),
        fs.DropCorrelatedFeatures(),
        fs.SmartCorrelatedSelection(),
        fs.SelectByShuffling(**scored, random_state=0),
        fs.SelectBySingleFeaturePerformance(**scored),
        fs.RecursiveFeatureElimination(**scored),
        fs.RecursiveFeatureAddition(**scored),
        fs.DropHighPSIFeatures(),
        fs.SelectByInformationValue(["kind", "place"], threshold=0.1),
        fs.ProbeFeatureSelection(**scored, random_state=0),
        fs.SelectByTargetMeanPerformance(bins=2, scoring="accuracy", cv=2),
        fs.MRMR(max_features=2),
    ]
    tables = {
        fs.SelectByInformationValue: TEXTS,
        fs.DropFeatures: TEXT_GAPS.assign(b=1.0),
    }
    return {
        f"select {type(step).__name__}": Case(step, tables.get(type(step), doubled))
        for step in steps
    }


def _wrappers() -> dict[str, Case]:
    gaps: list[BaseEstimator] = [
        SimpleImputer(strategy="mean"),
        SimpleImputer(strategy="constant", fill_value=-1.0),
    ]
    plain: list[BaseEstimator] = [
        skp.StandardScaler(),
        skp.RobustScaler(),
        skp.MinMaxScaler(),
        skp.MinMaxScaler(clip=True),
        skp.MaxAbsScaler(),
        skp.Normalizer(),
        skp.Normalizer("l1"),
        skp.Normalizer("max"),
        skp.Binarizer(threshold=1.0),
        skp.KBinsDiscretizer(
            4, encode="ordinal", quantile_method="averaged_inverted_cdf"
        ),
        skp.PowerTransformer(),
        skp.PowerTransformer(standardize=False),
        skp.QuantileTransformer(n_quantiles=20),
        skp.PolynomialFeatures(3),
        skp.PolynomialFeatures(2, interaction_only=True, include_bias=False),
        skp.FunctionTransformer(),
        sks.SelectKBest(k=1),
        sks.VarianceThreshold(),
    ]
    cases = {
        f"wrap {step!r}": Case(Wrap(step, ["a", "b"]), table)
        for steps, table in ((plain, NUMBERS), (gaps, GAPS))
        for step in steps
    }
    box_cox = skp.PowerTransformer("box-cox")
    cases["wrap box-cox"] = Case(Wrap(box_cox, ["a", "c"]))
    frequent = SimpleImputer(strategy="most_frequent")
    cases["wrap text imputer"] = Case(Wrap(frequent, ["kind", "a"]), TEXT_GAPS)
    for step in [skp.Normalizer(), skp.PolynomialFeatures(2), skp.Binarizer()]:
        whole = step.set_output(transform="pandas")
        cases[f"sklearn {step!r}"] = Case(whole)
    cases["sklearn scaler"] = Case(skp.StandardScaler().set_output(transform="pandas"))
    encoders = {
        "one-hot": skp.OneHotEncoder(sparse_output=False),
        "one-hot, ignore": skp.OneHotEncoder(
            sparse_output=False, handle_unknown="ignore", drop="if_binary"
        ),
        "ordinal": skp.OrdinalEncoder(),
        "ordinal, unknown": skp.OrdinalEncoder(
            handle_unknown="use_encoded_value", unknown_value=-1
        ),
    }
    for name, step in encoders.items():
        cases[f"wrap {name}"] = Case(Wrap(step, ["kind", "place"]), TEXTS)
        cases[f"wrap {name}, numbers"] = Case(Wrap(step, ["c", "flag"]))
        plain_step = step.__class__(**step.get_params()).set_output(transform="pandas")
        cases[f"sklearn {name}"] = Case(plain_step, TEXTS[["kind", "place"]])
    return cases


def _matchers() -> dict[str, Case]:
    return {
        "match": Case(fp.MatchVariables(verbose=False), TEXTS),
        "match, gaps": Case(
            fp.MatchVariables(missing_values="ignore", verbose=False), TEXT_GAPS
        ),
        "match, kinds": Case(
            fp.MatchVariables(match_dtypes=True, verbose=False), TEXTS
        ),
        "categories": Case(fp.MatchCategories(), TEXTS),
        "categories, gaps": Case(
            fp.MatchCategories(missing_values="ignore"), TEXT_GAPS
        ),
        "categories, numbers": Case(fp.MatchCategories(["c"], ignore_format=True)),
    }


def _all_cases() -> dict[str, Case]:
    found: dict[str, Case] = {}
    makers: list[Callable[[], dict[str, Case]]] = [
        _imputers, _outliers, _transformations, _creations, _discretisers,
        _encoders, _selectors, _wrappers, _matchers,
    ]  # fmt: skip
    for maker in makers:
        found.update({f"{maker.__name__[1:]}: {k}": v for k, v in maker().items()})
    return found


CASES = _all_cases()


class Fitted:
    """A fitted transformer and its compiled twin."""

    def __init__(self, case: Case) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.step = case.step.fit(case.table, case.target)
        self.case = case
        self.compiled = compile_transformer(self.step, text_features(case.table))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(
            self.compiled.model_bytes, options, providers=["CPUExecutionProvider"]
        )

    def pool(self, name: str) -> list[Any]:
        """Return the values worth trying in one column."""
        column = self.case.table[name]
        seen = column.dropna().iloc[:12].tolist()
        if name in text_features(self.case.table):
            return [*ANY_TEXT, *seen]
        return [*ANY_NUMBER, *self.case.values, *seen]

    def frame(self, rows: list[tuple[Any, ...]]) -> pd.DataFrame:
        """Return rows as a table of the kinds that were fitted, but for gaps."""
        texts = text_features(self.case.table)
        columns = {
            name: pd.Series(
                [row[i] for row in rows],
                dtype=self.case.table[name].dtype if name in texts else float,
            )
            for i, name in enumerate(self.case.table)
        }
        return pd.DataFrame(columns)

    @property
    def kinds(self) -> list[type[BaseEstimator]]:
        """Class of the transformer, and of the one it wraps if that has a converter."""
        inner = getattr(self.step, "transformer", self.step)
        return [k for k in {type(self.step), type(inner)} if k in CONVERTERS]

    def drawn_frame(self, count: int, seed: int) -> pd.DataFrame:
        """Return rows drawn from the pools, always the same."""
        generator = np.random.default_rng(seed)
        pools = [self.pool(name) for name in self.case.table]
        places = [generator.integers(0, len(pool), count) for pool in pools]
        drawn = [
            [pool[i] for i in place] for pool, place in zip(pools, places, strict=True)
        ]
        return self.frame(list(zip(*drawn, strict=True)))

    def expected(self, frame: pd.DataFrame) -> pd.DataFrame | None:
        """Return what the transformer makes, or None where it raises."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                return pd.DataFrame(self.step.transform(frame))
            except ValueError:
                return None

    def found(self, frame: pd.DataFrame) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """Return the graph's columns by name, and which rows it refuses."""
        given = {entry.name for entry in self.session.get_inputs()}
        inputs = {k: v for k, v in inputs_of(frame).items() if k in given}
        names = [entry.name for entry in self.session.get_outputs()]
        outputs = dict(zip(names, self.session.run(names, inputs), strict=True))
        columns = dict(
            [
                *zip(self.compiled.numbers, outputs.get("numbers", np.empty(0)).T),
                *zip(self.compiled.texts, outputs.get("made_texts", np.empty(0)).T),
            ]
        )
        no_refusal = np.zeros((len(frame), 1))
        refused = np.isnan(outputs.get("refusals", no_refusal)).any(axis=1)
        return columns, refused
