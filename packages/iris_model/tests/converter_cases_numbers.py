"""
Transformers of numbers, in every option.
"""

from __future__ import annotations

import numpy as np
from converter_tables import (
    GAPS,
    NUMBERS,
    PAIR,
    SCORES,
    TARGET,
    TEXT_GAPS,
    Case,
)
from feature_engine import creation as fc
from feature_engine import discretisation as fd
from feature_engine import imputation as fi
from feature_engine import outliers as fo
from feature_engine import scaling as fsc
from feature_engine import transformation as ft


def imputers() -> dict[str, Case]:
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


def outliers() -> dict[str, Case]:
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


def transformations() -> dict[str, Case]:
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


def creations() -> dict[str, Case]:
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


def discretisers() -> dict[str, Case]:
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
