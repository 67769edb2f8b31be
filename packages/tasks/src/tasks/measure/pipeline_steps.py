"""
Run the installed iris_model's pipeline step by step; for the environments of blame.

Reads a JSON array of rows, writes one JSON object a step: its name and, by column, its
output. It imports nothing but what ``iris_model[train]`` brings.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import pandas as pd

from iris_model.artefact import load_pipeline


def main() -> None:
    """Answer on stdout; what libraries print goes elsewhere."""
    output, sys.stdout = sys.stdout, sys.stderr
    rows = pd.DataFrame(json.load(sys.stdin))
    pipeline = load_pipeline()
    rows = rows[list(pipeline.feature_names_in_)]
    json.dump([as_json(name, table) for name, table in outputs(pipeline, rows)], output)


def outputs(pipeline: Any, rows: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """Return each step's name and output; the classifier's are probabilities."""
    found = []
    *transformers, (last, classifier) = pipeline.steps
    for name, transformer in transformers:
        rows = transformer.transform(rows)
        found.append((name, rows))
    shares = classifier.predict_proba(rows)
    found.append((last, pd.DataFrame(shares, columns=classifier.classes_)))
    return found


def as_json(name: str, table: pd.DataFrame) -> dict[str, object]:
    """Return one step's output as plain values."""
    return {
        "name": name,
        "columns": {str(column): table[column].tolist() for column in table},
    }


if __name__ == "__main__":
    main()
