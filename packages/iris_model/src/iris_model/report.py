"""
Draw what training found as one self-contained HTML page.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import numpy.typing as npt
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.base import clone
from sklearn.inspection import permutation_importance
from sklearn.model_selection import StratifiedKFold, learning_curve

from iris_model.quality import CrossValidation
from iris_model.train import Training

# Drawn as text colour of the page, so that a chart is readable in dark mode too.
_INK = "#010203"
_BARS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00")
_RELIABILITY_BINS = 10


def write_report(training: Training, path: Path) -> None:
    """
    Write a report of a training; needs no network to be read.

    Parameters
    ----------
    training : Training
        From :func:`iris_model.train.train`.
    path : Path
        HTML file; its folder is made if missing.
    """
    charts = {
        "confusion": _draw(training, _confusion, (4.6, 4.0)),
        "reliability": _draw(training, _reliability, (4.6, 4.0)),
        "learning": _draw(training, _learning_curve, (4.6, 3.6)),
        "importances": _draw(training, _importances, (4.6, 3.6)),
        "weights": _draw(training, _weights, (9.4, 3.6)),
    }
    environment = Environment(
        loader=PackageLoader("iris_model", "."),
        autoescape=select_autoescape(default=True),
        undefined=StrictUndefined,
    )
    page = environment.get_template("report.html.jinja").render(
        manifest=training.manifest,
        charts=charts,
        mistakes=find_mistakes(training),
        weights_title=_weights_title(training),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page, encoding="utf-8")


def _draw(
    training: Training,
    chart: Callable[[Training, Axes], None],
    size: tuple[float, float],
) -> Markup:
    """Return one chart as inline SVG with the same bytes at every run."""
    settings: Any = {  # Any: matplotlib types the keys as one long Literal
        "axes.edgecolor": _INK,
        "axes.labelcolor": _INK,
        "axes.spines.right": False,
        "axes.spines.top": False,
        "font.size": 10,
        "svg.fonttype": "none",
        "svg.hashsalt": "report",
        "text.color": _INK,
        "xtick.color": _INK,
        "ytick.color": _INK,
    }
    with matplotlib.rc_context(settings):
        figure = Figure(figsize=size, layout="constrained")
        chart(training, figure.add_subplot())
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    svg = buffer.getvalue()
    return Markup(svg[svg.index("<svg") :].replace(_INK, "currentColor"))


def _confusion(training: Training, axes: Axes) -> None:
    manifest = training.manifest
    counts = np.array(manifest.metrics.confusion)
    axes.imshow(counts / counts.sum(axis=1, keepdims=True), cmap="Blues", vmin=0)
    for (row, column), count in np.ndenumerate(counts):
        share = count / counts[row].sum()
        ink = "white" if share > 0.5 else "#14213d"
        axes.text(column, row, f"{count:.1f}", ha="center", va="center", color=ink)
    places = range(len(manifest.classes))
    axes.set_xticks(places, manifest.classes)
    axes.set_yticks(places, manifest.classes)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")


def _reliability(training: Training, axes: Axes) -> None:
    """Share of right answers against the confidence they were given with."""
    confidence, right = _confidence(training.cross_validation)
    edges = np.linspace(1 / len(training.manifest.classes), 1.0, _RELIABILITY_BINS + 1)
    place = np.clip(np.digitize(confidence, edges) - 1, 0, _RELIABILITY_BINS - 1)
    filled = [i for i in range(_RELIABILITY_BINS) if (place == i).any()]
    mean_confidence = [confidence[place == i].mean() for i in filled]
    share_right = [right[place == i].mean() for i in filled]
    weight = [float((place == i).mean()) for i in filled]
    axes.plot([edges[0], 1], [edges[0], 1], color=_INK, lw=0.8, ls=":")
    axes.plot(mean_confidence, share_right, color=_BARS[0], lw=1.2)
    sizes = [30 + 300 * share for share in weight]
    axes.scatter(mean_confidence, share_right, s=sizes, color=_BARS[0], alpha=0.8)
    axes.set_xlabel("confidence of the answer")
    axes.set_ylabel("share of right answers")
    axes.set_ylim(0, 1.05)


def _confidence(
    validation: CrossValidation,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    flat = validation.probabilities.reshape(-1, len(validation.classes))
    truth = np.tile(validation.labels, len(validation.probabilities))
    return flat.max(axis=1), validation.classes[flat.argmax(axis=1)] == truth


def _learning_curve(training: Training, axes: Axes) -> None:
    """Log-loss on unseen rows against the number of rows learnt from."""
    config, table = training.config, training.table
    sizes, _, scores = learning_curve(
        clone(training.pipeline),
        table.rows,
        table.labels,
        train_sizes=np.linspace(0.2, 1.0, 6),
        cv=StratifiedKFold(config.folds, shuffle=True, random_state=config.seed),
        scoring="neg_log_loss",
        shuffle=True,
        random_state=config.seed,
    )
    mean, spread = -scores.mean(axis=1), scores.std(axis=1, ddof=1)
    axes.fill_between(sizes, mean - spread, mean + spread, color=_BARS[0], alpha=0.15)
    axes.plot(sizes, mean, color=_BARS[0], marker="o")
    axes.set_xlabel("rows learnt from")
    axes.set_ylabel("log-loss on unseen rows")
    axes.set_ylim(0, None)


def _importances(training: Training, axes: Axes) -> None:
    """Rise of log-loss on unseen rows when one measurement is shuffled."""
    config, table = training.config, training.table
    folds = StratifiedKFold(config.folds, shuffle=True, random_state=config.seed)
    found = [
        permutation_importance(
            clone(training.pipeline).fit(
                table.rows.iloc[seen], table.labels.iloc[seen]
            ),
            table.rows.iloc[unseen],
            table.labels.iloc[unseen],
            scoring="neg_log_loss",
            n_repeats=5,
            random_state=config.seed,
        ).importances
        for seen, unseen in folds.split(table.rows, table.labels)
    ]
    rise = np.concatenate(found, axis=1)
    places = np.arange(len(rise))
    spread = rise.std(axis=1, ddof=1)
    axes.barh(places, rise.mean(axis=1), xerr=spread, color=_BARS[0], ecolor=_INK)
    axes.set_yticks(places, config.feature_names)
    axes.invert_yaxis()
    axes.set_xlabel("rise of log-loss when shuffled")


@dataclass(frozen=True, slots=True)
class Mistake:
    """A row that is misjudged out of fold, and in what share of the repeats."""

    row: int
    values: list[float]
    label: str
    taken_for: str
    share: float


def find_mistakes(training: Training) -> list[Mistake]:
    """Return the rows misjudged in at least one repeat, the most often first."""
    validation = training.cross_validation
    winners = validation.probabilities.argmax(axis=2)
    wrong = (validation.classes[winners] != validation.labels).mean(axis=0)
    mean = validation.probabilities.mean(axis=0)
    found = [
        Mistake(
            row=int(row),
            values=training.table.rows.iloc[row].tolist(),
            label=str(validation.labels[row]),
            taken_for=_other(mean[row], validation, int(row)),
            share=float(wrong[row]),
        )
        for row in np.flatnonzero(wrong)
    ]
    return sorted(found, key=lambda mistake: -mistake.share)


def _other(mean: npt.NDArray[np.float64], validation: CrossValidation, row: int) -> str:
    """Return the most probable class but the true one."""
    rivals = np.where(validation.classes == validation.labels[row], -1.0, mean)
    return str(validation.classes[rivals.argmax()])


def _weights_title(training: Training) -> str:
    classifier = training.pipeline[-1]
    if hasattr(classifier, "coef_"):
        return "Coefficients"
    if hasattr(classifier, "feature_importances_"):
        return "Importances"
    return ""


def _weights(training: Training, axes: Axes) -> None:
    """Coefficients by class, or importances, of the columns the classifier sees."""
    classifier = training.pipeline[-1]
    if not _weights_title(training):
        return
    names = [str(name) for name in classifier.feature_names_in_]
    if hasattr(classifier, "coef_"):
        rows = classifier.coef_
        several = len(rows) == len(training.manifest.classes)
        titles = training.manifest.classes if several else training.manifest.classes[1:]
    else:
        rows, titles = [classifier.feature_importances_], ["importance"]
    height = 0.8 / len(rows)
    places = np.arange(len(names))
    for i, (row, title) in enumerate(zip(rows, titles, strict=True)):
        colour = _BARS[i % len(_BARS)]
        axes.barh(places + i * height, row, height, label=title, color=colour)
    axes.axvline(0, color=_INK, lw=0.8)
    axes.set_yticks(places + 0.4 - height / 2, names)
    axes.invert_yaxis()
    axes.legend(frameon=False)
