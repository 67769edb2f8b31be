"""
Transformers of categories and of whole columns, in every option.
"""

from __future__ import annotations

from converter_tables import GAPS, NUMBERS, TEXT_GAPS, TEXTS, Case
from feature_engine import encoding as fe
from feature_engine import preprocessing as fp
from feature_engine import selection as fs
from feature_engine.wrappers import SklearnTransformerWrapper as Wrap
from sklearn import feature_selection as sks
from sklearn import preprocessing as skp
from sklearn.base import BaseEstimator
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression


def encoders() -> dict[str, Case]:
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


def selectors() -> dict[str, Case]:
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


def wrappers() -> dict[str, Case]:
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


def matchers() -> dict[str, Case]:
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
