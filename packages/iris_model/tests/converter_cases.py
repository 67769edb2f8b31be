"""
Every transformer with a converter, in every option.
"""

from __future__ import annotations

from collections.abc import Callable

import converter_cases_columns as columns
import converter_cases_numbers as numbers
from converter_tables import Case

MAKERS: list[Callable[[], dict[str, Case]]] = [
    numbers.imputers,
    numbers.outliers,
    numbers.transformations,
    numbers.creations,
    numbers.discretisers,
    columns.encoders,
    columns.selectors,
    columns.wrappers,
    columns.matchers,
]
CASES = {
    f"{maker.__name__}: {name}": case
    for maker in MAKERS
    for name, case in maker().items()
}
