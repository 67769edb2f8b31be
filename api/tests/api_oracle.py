"""
What the answer to any body must be, found out without the code under test.

The rules are written once more, for the standard library's parser; the predictions
are those of the model in this process.
"""

import json
import math
import re
from functools import cache

import iris_model

CAP = 256 * 1024
load_model = cache(iris_model.load)


class NotPredictable(Exception):
    """Raised when a body is not rows that the model has an answer to."""


def find_broken_promises(body, answer, secrets=()):
    """Return what is wrong with the answer to a body, in words."""
    try:
        expected = predict(body)
    except NotPredictable:
        return find_faults_of_refusal(body, answer, secrets)
    if answer.status != 200:
        return [f"{answer.status} to rows that can be predicted"]
    found = answer.json["predictions"]
    return [] if agree(found, expected) else ["not what the model answers"]


def find_faults_of_refusal(body, answer, secrets):
    """Return what is wrong with the answer to a body that is to be refused."""
    status = answer.status
    promises = {
        f"{status} to what cannot be predicted": status in (400, 413, 415, 422),
        "413, or not": (status == 413) == (len(body) > CAP),
        "more than 4 KiB": len(answer.body) <= 4096,
        # What is shorter may be there by chance.
        "an echo": not any(one in answer.body for one in secrets if len(one) > 5),
    }
    faults = [fault for fault, kept in promises.items() if not kept]
    if answer.headers["Content-Type"] != "application/problem+json":
        return [*faults, "not a problem"]
    return faults + find_faults_of_problem(status, answer.json)


def find_faults_of_problem(status, problem):
    """Return what is wrong with the document of a problem."""
    places = problem.get("errors", [])
    names = [part for place in places for part in place["pointer"].split("/")]
    names += re.findall("`(.*)`", "\n".join(place["detail"] for place in places))
    promises = {
        "another status within": problem["status"] == status,
        "more than 20 places": len(places) <= 20,
        "no place, or one without reason": (status == 422) == bool(places),
        "an odd name": all(one.isprintable() and len(one) <= 130 for one in names),
    }
    return [fault for fault, kept in promises.items() if not kept]


def agree(found, expected):
    """Return whether predictions are the same, but for the last digits."""
    return len(found) == len(expected) and all(
        one["label"] == other.label
        and one["out_of_range"] == list(other.out_of_range)
        and one["probabilities"].keys() == other.probabilities.keys()
        and all(
            abs(one["probabilities"][name] - share) < 1e-12
            for name, share in other.probabilities.items()
        )
        for one, other in zip(found, expected, strict=True)
    )


def predict(body):
    """Return the model's predictions for a body, or raise NotPredictable."""
    try:
        return load_model().predict(read_rows(body))
    except iris_model.InvalidRows:
        raise NotPredictable from None


def read_rows(body):
    """Return the rows of a body, or raise NotPredictable."""
    try:
        document = json.loads(
            body.decode("utf-8", "strict"),
            object_pairs_hook=read_object,
            parse_constant=refuse,
        )
    except (ValueError, RecursionError):
        raise NotPredictable from None
    if len(body) > CAP or not isinstance(document, dict):
        raise NotPredictable
    rows = document.get("inputs")
    if document.keys() != {"inputs"} or not isinstance(rows, list):
        raise NotPredictable
    if not 1 <= len(rows) <= 1_000:
        raise NotPredictable
    return [read_row(row) for row in rows]


def read_row(row):
    """Return a row of floats, or raise NotPredictable."""
    if not isinstance(row, dict) or row.keys() != set(load_model().feature_names):
        raise NotPredictable
    return {name: read_number(value) for name, value in row.items()}


def read_number(value):
    """Return a finite float, or raise NotPredictable."""
    if type(value) not in (int, float):
        raise NotPredictable
    try:
        number = float(value)
    except OverflowError:
        raise NotPredictable from None
    if not math.isfinite(number):
        raise NotPredictable
    return number


def read_object(pairs):
    """Return an object, or raise NotPredictable if a name is there twice."""
    if len({name for name, _ in pairs}) != len(pairs):
        raise NotPredictable
    return dict(pairs)


def refuse(name):
    """Raise: NaN and its like are not JSON."""
    raise NotPredictable
