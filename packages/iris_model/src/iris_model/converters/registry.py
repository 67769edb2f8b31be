"""
Which converter writes which transformer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from feature_engine import creation as fe_creation
from feature_engine import discretisation as fe_discretisation
from feature_engine import encoding as fe_encoding
from feature_engine import imputation as fe_imputation
from feature_engine import outliers as fe_outliers
from feature_engine import preprocessing as fe_preprocessing
from feature_engine import scaling as fe_scaling
from feature_engine import selection as fe_selection
from feature_engine import transformation as fe_transformation
from feature_engine import wrappers as fe_wrappers
from sklearn.base import BaseEstimator

from . import (
    creation,
    discretisation,
    encoding,
    imputation,
    outliers,
    preprocessing,
    scaling,
    scikit,
    selection,
    transformation,
    wrappers,
)
from .columns import Columns
from .errors import Unsupported

Converter = Callable[[Any, Columns], None]  # Any: each takes its own transformer

CONVERTERS: dict[type[BaseEstimator], Converter] = {
    fe_creation.CyclicalFeatures: creation.convert_cyclical,
    fe_creation.MathFeatures: creation.convert_math,
    fe_creation.RelativeFeatures: creation.convert_relative,
    fe_discretisation.ArbitraryDiscretiser: discretisation.convert_arbitrary,
    fe_discretisation.DecisionTreeDiscretiser: discretisation.convert_decision_tree,
    fe_discretisation.EqualFrequencyDiscretiser: discretisation.convert_bins,
    fe_discretisation.EqualWidthDiscretiser: discretisation.convert_bins,
    fe_discretisation.GeometricWidthDiscretiser: discretisation.convert_bins,
    fe_encoding.CountFrequencyEncoder: encoding.convert_numbers,
    fe_encoding.MeanEncoder: encoding.convert_numbers,
    fe_encoding.OneHotEncoder: encoding.convert_one_hot,
    fe_encoding.OrdinalEncoder: encoding.convert_numbers,
    fe_encoding.RareLabelEncoder: encoding.convert_rare_label,
    fe_encoding.WoEEncoder: encoding.convert_woe,
    fe_imputation.AddMissingIndicator: imputation.convert_indicator,
    fe_imputation.ArbitraryNumberImputer: imputation.convert_numbers,
    fe_imputation.CategoricalImputer: imputation.convert_categorical,
    fe_imputation.EndTailImputer: imputation.convert_numbers,
    fe_imputation.MeanMedianImputer: imputation.convert_numbers,
    fe_outliers.ArbitraryOutlierCapper: outliers.convert_capper,
    fe_outliers.Winsorizer: outliers.convert_winsorizer,
    fe_preprocessing.MatchCategories: preprocessing.convert_match_categories,
    fe_preprocessing.MatchVariables: preprocessing.convert_match_variables,
    fe_scaling.MeanNormalizationScaler: scaling.convert_mean_normalization,
    fe_transformation.ArcSinhTransformer: transformation.convert_arcsinh,
    fe_transformation.BoxCoxTransformer: transformation.convert_box_cox,
    fe_transformation.LogCpTransformer: transformation.convert_log_cp,
    fe_transformation.LogTransformer: transformation.convert_log,
    fe_transformation.PowerTransformer: transformation.convert_power,
    fe_transformation.ReciprocalTransformer: transformation.convert_reciprocal,
    fe_transformation.YeoJohnsonTransformer: transformation.convert_yeo_johnson,
    fe_wrappers.SklearnTransformerWrapper: wrappers.convert_wrapper,
    **dict.fromkeys(scikit.WRITERS, scikit.convert_whole),
    **{
        getattr(fe_selection, name): selection.convert_selector
        for name in fe_selection.__all__
    },
}


def write_step(step: BaseEstimator, columns: Columns) -> None:
    """
    Write a fitted transformer that has a converter here.

    Parameters
    ----------
    step : BaseEstimator
        Its type is a key of ``CONVERTERS``.
    columns : Columns
        What the transformer gets; afterwards, what it gives.

    Raises
    ------
    Unsupported
        If there is no converter, or not for one of its options; names the option.
    """
    if type(step) not in CONVERTERS:
        raise Unsupported(f"there is no converter for {type(step).__name__}")
    is_matcher = type(step) is fe_preprocessing.MatchVariables
    if hasattr(step, "feature_names_in_") and not is_matcher:
        columns.arrange(list(step.feature_names_in_))
    CONVERTERS[type(step)](step, columns)
