"""
Write an ONNX graph node by node. Knows operators and tensors, no columns.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import GraphProto, ModelProto, TensorProto, ValueInfoProto, helper

# skl2onnx 1.20 writes no newer operators, and IR 10 is the first that has them.
OPSETS = {"": 21, "ai.onnx.ml": 3}
IR_VERSION = 10

LN_10 = float(np.log(10.0))


class Graph:
    """
    A graph under construction.

    The same node asked for twice is written once, so that converters need not
    remember what others have made; order, names and bytes depend on the calls
    alone.
    """

    def __init__(self) -> None:
        self._graph = GraphProto(name="pipeline")
        self._made: dict[tuple[object, ...], str] = {}
        self._domains = {""}

    def input(self, name: str, kind: int, width: int) -> str:
        """Declare an input of shape (rows, width) and return its name."""
        self._graph.input.append(_value(name, kind, width))
        return name

    def output(self, name: str, tensor: str, kind: int, width: int) -> None:
        """Give a tensor of shape (rows, width) to the outside under a name."""
        self._graph.node.append(helper.make_node("Identity", [tensor], [name]))
        self._graph.output.append(_value(name, kind, width))

    def apply(
        self, operator: str, *inputs: str, domain: str = "", **attributes: Any
    ) -> str:  # Any: whatever the operator takes
        """Add one node and return the name of its first output."""
        key = (operator, domain, inputs, repr(sorted(attributes.items())))
        if key not in self._made:
            name = f"{operator.lower()}_{len(self._made)}"
            # TopK is the only operator here with two outputs, the first wanted.
            outputs = [name, f"{name}_places"] if operator == "TopK" else [name]
            self._graph.node.append(
                helper.make_node(
                    operator, inputs, outputs, name=name, domain=domain, **attributes
                )
            )
            self._domains.add(domain)
            self._made[key] = name
        return self._made[key]

    def constant(self, values: npt.ArrayLike) -> str:
        """Add a float64 constant and return its name."""
        array = np.asarray(values, np.float64)
        return self._constant(TensorProto.DOUBLE, array.shape, array.ravel().tolist())

    def indices(self, values: npt.ArrayLike) -> str:
        """Add an int64 constant and return its name."""
        array = np.asarray(values, np.int64)
        return self._constant(TensorProto.INT64, array.shape, array.ravel().tolist())

    def text(self, values: Sequence[str]) -> str:
        """Add a constant vector of text and return its name."""
        encoded = [value.encode() for value in values]
        return self._constant(TensorProto.STRING, (len(values),), encoded)

    def _constant(self, kind: int, shape: tuple[int, ...], values: list[Any]) -> str:
        # repr tells -0.0 from 0.0 and takes NaN for itself, where == does not.
        key = ("constant", kind, shape, repr(values))
        if key not in self._made:
            name = f"constant_{len(self._made)}"
            tensor = helper.make_tensor(name, kind, shape, values)
            self._graph.initializer.append(tensor)
            self._made[key] = name
        return self._made[key]

    def cast(self, tensor: str, kind: int = TensorProto.DOUBLE) -> str:
        """Return a tensor in another type; True becomes 1."""
        return self.apply("Cast", tensor, to=kind)

    def expm1(self, tensor: str) -> str:
        """
        Return exp(x) - 1 without loss near zero.

        Notes
        -----
        ONNX has no such operator; the correction is Kahan's: the rounding error
        of exp(x) is found again in its logarithm and divides out.
        """
        one = self.constant(1.0)
        power = self.apply("Exp", tensor)
        plain = self.apply("Sub", power, one)
        ratio = self.apply("Div", tensor, self.apply("Log", power))
        small = self.apply("Mul", plain, ratio)
        small = self.apply("Where", self.apply("Equal", power, one), tensor, small)
        is_small = self.apply("Less", self.apply("Abs", tensor), one)
        return self.apply("Where", is_small, small, plain)

    def log1p(self, tensor: str) -> str:
        """Return log(1 + x) without loss near zero, for x >= 0; see expm1."""
        above = self.apply("Add", tensor, self.constant(1.0))
        step = self.apply("Sub", above, self.constant(1.0))
        ratio = self.apply("Div", tensor, step)
        found = self.apply("Mul", self.apply("Log", above), ratio)
        is_tiny = self.apply("Equal", step, self.constant(0.0))
        return self.apply("Where", is_tiny, tensor, found)

    @property
    def size(self) -> int:
        """How many nodes there are: different before and after every splice."""
        return len(self._graph.node)

    def splice(self, part: GraphProto, matrix: str, domains: Iterable[str]) -> None:
        """
        Copy a finished graph in.

        Parameters
        ----------
        part : GraphProto
            With one input; its names must be new here.
        matrix : str
            What its input is.
        domains : iterable of str
            Of the operators in it.
        """
        given = part.input[0].name
        self._graph.node.append(helper.make_node("Identity", [matrix], [given]))
        self._graph.node.extend(part.node)
        self._graph.initializer.extend(part.initializer)
        self._domains.update(domains)

    def to_model(self) -> ModelProto:
        """Return what has been written, without nodes that no output needs."""
        graph = GraphProto()
        graph.CopyFrom(self._graph)
        _prune(graph)
        opsets = [
            helper.make_opsetid(domain, OPSETS.get(domain, 1))
            for domain in sorted(self._domains)
        ]
        return helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)


def _value(name: str, kind: int, width: int) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, [None, width])


def _prune(graph: GraphProto) -> None:
    """Remove nodes and constants from which no output can be reached."""
    needed = {output.name for output in graph.output}
    kept = []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            kept.append(node)
            needed.update(_reads(node))
    constants = [tensor for tensor in graph.initializer if tensor.name in needed]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(reversed(kept))
    graph.initializer.extend(constants)


def _reads(node: Any) -> set[str]:
    """Return the tensors a node reads, inner graphs (Scan, If) included."""
    found = set(node.input)
    for attribute in node.attribute:
        for inner in attribute.g.node:
            found |= _reads(inner)
    return found
