"""
The table inside the graph: where each named column is, and which rows are refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import TensorProto

from .errors import Unsupported
from .graph import Graph

# A text that is missing. Unicode keeps this code point for use inside a program:
# no text that is meant to be read holds it, where "" or "nan" may be a category.
MISSING_TEXT = "\ufdd0"

# feature-engine allows both; a graph only knows text.
Name = str | int

_DOUBLE, _STRING = TensorProto.DOUBLE, TensorProto.STRING


@dataclass(frozen=True, slots=True)
class Place:
    """
    Where a column is.

    Attributes
    ----------
    tensor : str
        A matrix of the graph.
    index : int
        The column in it, from 0.
    is_text : bool
        True for text, False for float64.
    """

    tensor: str
    index: int
    is_text: bool


class Columns:
    """
    A DataFrame inside the graph, as far as a converter sees it.

    Behaves as the DataFrame does in feature-engine: ``put`` is ``X[names] = ...``,
    ``drop`` is ``X.drop``, and the order of the names is that of the DataFrame.
    Only the places of columns are kept: a matrix is gathered when one is needed.

    A row that feature-engine would not transform is refused, not answered: the
    matrices in ``refusals`` hold a number that is not finite in just those rows.

    Parameters
    ----------
    graph : Graph
        Takes the nodes.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._places: dict[str, Place] = {}
        self._widths: dict[str, int] = {}
        self._finite: set[Place] = set()
        self._refusals: dict[str, int] = {}

    @property
    def names(self) -> list[str]:
        """Names of the columns in the order of the DataFrame."""
        return list(self._places)

    def is_text(self, name: Name) -> bool:
        """Tell whether a column holds text."""
        return self._places[str(name)].is_text

    def put(
        self,
        names: Sequence[Name],
        tensor: str,
        *,
        is_text: bool = False,
        is_finite: bool = False,
    ) -> None:
        """Make the columns of a matrix the named columns, new or replaced."""
        self._widths[tensor] = len(names)
        for index, name in enumerate(names):
            place = Place(tensor, index, is_text)
            self._places[str(name)] = place
            if is_finite:
                self._finite.add(place)

    def drop(self, names: Sequence[Name]) -> None:
        """Remove columns."""
        for name in {str(name) for name in names}:
            del self._places[name]

    def arrange(self, names: Sequence[Name]) -> None:
        """Bring the columns into another order; the names must be the same."""
        wanted = [str(name) for name in names]
        if sorted(wanted) != sorted(self._places):
            raise Unsupported(f"it was fitted on {wanted} and gets {self.names}")
        self._places = {name: self._places[name] for name in wanted}

    def pick(self, names: Sequence[Name]) -> str:
        """Return a float64 matrix of the named columns."""
        texts = [str(name) for name in names if self.is_text(name)]
        if texts:
            raise Unsupported(f"{texts} hold text where numbers are needed")
        return self._gather([self._places[str(name)] for name in names])

    def pick_text(self, name: Name) -> str:
        """Return a one-column text matrix."""
        if not self.is_text(name):
            raise Unsupported(f"{name!r} holds numbers where text is needed")
        return self._gather([self._places[str(name)]])

    def pick_texts(self, names: Sequence[Name]) -> str:
        """Return a text matrix of the named columns."""
        for name in names:
            self.pick_text(name)
        return self._gather([self._places[str(name)] for name in names])

    def _gather(self, places: list[Place]) -> str:
        parts: list[tuple[str, list[int]]] = []
        for place in places:
            if parts and parts[-1][0] == place.tensor:
                parts[-1][1].append(place.index)
            else:
                parts.append((place.tensor, [place.index]))
        matrices = [
            (
                tensor
                if indices == list(range(self._widths[tensor]))
                else self.graph.apply(
                    "Gather", tensor, self.graph.indices(indices), axis=1
                )
            )
            for tensor, indices in parts
        ]
        if len(matrices) == 1:
            return matrices[0]
        return self.graph.apply("Concat", *matrices, axis=1)

    def missing(self, name: Name) -> str:
        """Return a boolean column: True where the value is missing."""
        if self.is_text(name):
            return self.graph.apply(
                "Equal", self.pick_text(name), self.graph.text([MISSING_TEXT])
            )
        return self.graph.apply("IsNaN", self.pick([name]))

    def index(self, name: Name, keys: Sequence[Any]) -> str:
        """
        Return, as an int64 column, which key each value is; -1 when none.

        Parameters
        ----------
        name : str or int
            A column of text or of numbers.
        keys : sequence
            Of the column's kind, each once; what is missing is never a key.

        Raises
        ------
        Unsupported
            If a key is not of the column's kind.
        """
        if self.is_text(name):
            return self._index_texts(name, keys)
        return self._index_numbers(name, keys)

    def _index_texts(self, name: Name, keys: Sequence[Any]) -> str:
        for key in keys:
            if not isinstance(key, str):
                raise Unsupported(f"category {key!r} of {name!r} is not text")
        return self.graph.apply(
            "LabelEncoder",
            self.pick_text(name),
            domain="ai.onnx.ml",
            keys_strings=[*keys, MISSING_TEXT],  # never empty
            values_int64s=[*range(len(keys)), -1],
            default_int64=-1,
        )

    def _index_numbers(self, name: Name, keys: Sequence[Any]) -> str:
        for key in keys:
            if isinstance(key, str):
                raise Unsupported(f"category {key!r} of {name!r} is not a number")
        graph = self.graph
        column = self.pick([name])
        equal = graph.apply("Equal", column, graph.constant([[*keys, np.nan]]))
        ranks = graph.constant([[float(rank)] for rank in range(1, len(keys) + 2)])
        rank = graph.apply("MatMul", graph.cast(equal), ranks)
        rank = graph.apply("Sub", rank, graph.constant(1.0))
        return graph.cast(rank, TensorProto.INT64)

    def check_finite(self, names: Sequence[Name]) -> None:
        """Refuse rows where a named column is missing or infinite."""
        places = [self._places[str(name)] for name in names]
        unknown = [place for place in places if place not in self._finite]
        if unknown:
            self.pick(names)  # text cannot be finite
            self.refuse_unless_finite(self._gather(unknown), len(unknown))
            self._finite.update(unknown)

    def check_present(self, names: Sequence[Name]) -> None:
        """Refuse rows where a named column is missing."""
        for name in names:
            if self._places[str(name)] not in self._finite:
                self.refuse_where(self.missing(name), 1)

    def refuse_unless_finite(self, matrix: str, width: int) -> None:
        """Refuse rows where a float64 matrix is not finite."""
        self._refusals[matrix] = width

    def refuse_where(self, mask: str, width: int) -> None:
        """Refuse rows where a boolean matrix holds True."""
        fault, fine = self.graph.constant(np.nan), self.graph.constant(0.0)
        self._refusals[self.graph.apply("Where", mask, fault, fine)] = width

    @property
    def can_refuse(self) -> bool:
        """Tell whether there are rows that would be refused."""
        return bool(self._refusals)

    def apply_refusals(self, matrix: str, width: int) -> str:
        """
        Return a float64 matrix with NaN in every refused row.

        Notes
        -----
        One node: what is looked at times a matrix of zeros is zero where it is
        finite and NaN where it is not; added to the matrix, it leaves the answer
        as it was or undoes it, whatever kind of classifier has given it.
        """
        if not self._refusals:
            return matrix
        looked_at = list(self._refusals)
        if len(looked_at) > 1:
            looked_at = [self.graph.apply("Concat", *looked_at, axis=1)]
        zeros = self.graph.constant(np.zeros((sum(self._refusals.values()), width)))
        return self.graph.apply("Gemm", looked_at[0], zeros, matrix)


def open_columns(graph: Graph, names: Sequence[Name], texts: Sequence[Name]) -> Columns:
    """
    Return the columns that a graph's inputs hold.

    Parameters
    ----------
    graph : Graph
        Gets an input ``rows`` (float64) if a column holds numbers, and an input
        ``texts`` (text, ``MISSING_TEXT`` where missing) if one holds text.
    names : sequence of str or int
        All columns in the order of the DataFrame.
    texts : sequence of str or int
        Those of them that hold text.
    """
    text_names = {str(name) for name in texts}
    parts = {
        False: [str(name) for name in names if str(name) not in text_names],
        True: [str(name) for name in names if str(name) in text_names],
    }
    columns = Columns(graph)
    for is_text, part in parts.items():
        if part:
            name, kind = ("texts", _STRING) if is_text else ("rows", _DOUBLE)
            tensor = graph.input(name, kind, len(part))
            columns.put(part, tensor, is_text=is_text)
    columns.arrange(names)
    return columns
