"""
Write the model card: what a manifest says, for people, as Markdown.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from iris_model.artefact import Manifest

CARD = "MODEL_CARD.md"


def build_card(manifest: Manifest) -> str:
    """
    Return the model card of an artefact.

    Parameters
    ----------
    manifest : Manifest
        Checked; everything in the card is from it.
    """
    metrics = manifest.metrics
    scores = [
        (name, f"{score.mean:.4f}", f"{score.standard_deviation:.4f}")
        for name, score in (
            ("accuracy", metrics.accuracy),
            ("macro-F1", metrics.macro_f1),
            ("log-loss", metrics.log_loss),
        )
    ]
    classes = [
        (name, row.rows, f"{row.precision:.4f}", f"{row.recall:.4f}", f"{row.f1:.4f}")
        for name, row in metrics.classes.items()
    ]
    features = [(f.name, f.unit, f.minimum, f.maximum) for f in manifest.features]
    digests = [(name, f"`{face.sha256}`") for name, face in manifest.faces.items()]
    digests += [
        ("table", f"`{manifest.table_sha256}`"),
        ("configuration", f"`{manifest.config_sha256}`"),
        ("source", f"`{manifest.source_sha256}`"),
    ]
    libraries = sorted({"Python": manifest.python, **manifest.libraries}.items())
    return "\n".join(
        [
            f"# {manifest.model_name} {manifest.model_version}",
            "",
            manifest.purpose,
            "",
            "## Limits",
            "",
            manifest.limits,
            "Outside the ranges below an answer is an extrapolation; "
            "it is marked `out_of_range`.",
            "",
            "## Data",
            "",
            f"{manifest.table_rows} rows of `{manifest.table}`; "
            f"the label is `{manifest.target}`.",
            "",
            *_table(("feature", "unit", "minimum", "maximum"), features),
            "",
            "## Pipeline",
            "",
            *(f"{i}. {step}" for i, step in enumerate(manifest.steps, start=1)),
            "",
            "## Scores",
            "",
            f"Means over {metrics.repeats} repeats of {metrics.folds}-fold "
            "cross-validation.",
            "",
            *_table(("score", "mean", "standard deviation"), scores),
            "",
            *_table(("class", "rows", "precision", "recall", "F1"), classes),
            "",
            "## Parity",
            "",
            f"Pipeline and compiled model agree on {manifest.parity.rows:,} rows; "
            f"the largest difference is {manifest.parity.largest_difference:.1e}.",
            "",
            "## Environment",
            "",
            *_table(("library", "version"), libraries),
            "",
            *_table(("bytes of", "sha256"), digests),
            "",
        ]
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """Return the lines of a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return [f"| {' | '.join(str(cell) for cell in line)} |" for line in lines]
