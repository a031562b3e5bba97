"""Precision: the same ONNX graph computed in narrower floats, for engines that take types from it.

A strongly typed engine computes in the types of the graph it is given, so the precision is chosen
here, where it can be tested, and not by flags of the engine.
"""

from collections.abc import Iterator

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from seg.errors import SpecMismatch
from seg.exporting.precision_modes import PrecisionMode
from seg.kinds import Precision

# Sums of squares and of exponentials leave the range of float16 first. Casts around a softmax keep
# it out of a fused attention, so `float16-mixed` is the second choice.
FP32_OPS = {"LayerNormalization", "Softmax"}
FLOAT32_INPUTS = {"Resize": (1, 2)}  # the standard has the region and the scales in float32


def convert_precision(model: ModelProto, mode: PrecisionMode) -> ModelProto:
    """Returns a copy of a float32 graph that computes in another precision.

    Inputs and outputs stay float32, with a Cast behind and before; weights become narrow in the
    file. TensorRT reads bfloat16 convolutions in every opset, as far as its documents say and
    untried by us; the ONNX standard has them from 22 on.

    Args:
        model: float32, without subgraphs, every value's type known.
        mode: `float16-mixed` computes LayerNormalization and Softmax in float32.

    Raises:
        SpecMismatch: The graph has parts that cannot be rewritten.
    """
    copy = ModelProto()
    copy.CopyFrom(model)
    if mode != PrecisionMode.FLOAT32:
        _GraphRewriter(copy, mode.precision, FP32_OPS if mode.keeps_float32 else set()).run()
    return copy


def has_fp32_ops(model: ModelProto) -> bool:
    """Tells whether `float16-mixed` differs from `float16`."""
    return any(node.op_type in FP32_OPS for node in model.graph.node)


class _GraphRewriter:
    """One graph on its way to a narrow type; every float value keeps its name and is narrow."""

    def __init__(self, model: ModelProto, precision: Precision, fp32_ops: set[str]) -> None:
        self.model, self.graph, self.fp32_ops = model, model.graph, fp32_ops
        self.narrow = TensorProto.DataType.Value(precision.onnx_type)
        self.dtype = helper.tensor_dtype_to_np_dtype(self.narrow)
        self.suffix = f"__{precision}"

    def run(self) -> None:
        """Rewrites the graph in place."""
        self.floats = self._floats()
        self.weights = {tensor.name: tensor for tensor in self._constants()}
        inputs, outputs = (
            [value.name for value in values if value.name in self.floats]
            for values in (self.graph.input, self.graph.output)
        )
        self.renamed = {name: name + self.suffix for name in (*inputs, *outputs)}
        nodes = [_cast(name, self.renamed[name], self.narrow) for name in inputs]
        for node in self.graph.node:
            if node.op_type != "Constant":
                nodes += self._rewritten(node)
        nodes += [_cast(self.renamed[name], name, TensorProto.FLOAT) for name in outputs]
        used = {name for node in nodes for name in node.input}
        weights = [tensor for name, tensor in self.weights.items() if name in used]
        del self.graph.node[:], self.graph.initializer[:], self.graph.value_info[:]
        self.graph.node.extend(nodes)
        self.graph.initializer.extend(weights)

    def _floats(self) -> set[str]:
        """Returns the names of the float32 values that nodes compute or the graph is given."""
        if any(a.type in (a.GRAPH, a.GRAPHS) for n in self.graph.node for a in n.attribute):
            raise SpecMismatch("Only a graph without branches and loops changes its precision.")
        values = onnx.shape_inference.infer_shapes(self.model, strict_mode=True).graph
        kinds = {
            value.name: value.type.tensor_type.elem_type
            for value in (*values.input, *values.value_info, *values.output)
        }
        unknown = {name for node in self.graph.node for name in node.output if name} - set(kinds)
        if unknown:
            raise SpecMismatch(f"The graph does not say the type of {sorted(unknown)[0]}.")
        return {name for name, kind in kinds.items() if kind == TensorProto.FLOAT}

    def _constants(self) -> Iterator[TensorProto]:
        """Yields the initializers, and Constant nodes as initializers."""
        yield from self.graph.initializer
        for node in self.graph.node:
            if node.op_type == "Constant":
                value = helper.get_attribute_value(node.attribute[0])
                if not isinstance(value, TensorProto):
                    kind = np.float32 if node.attribute[0].name.startswith("value_f") else None
                    value = numpy_helper.from_array(np.asarray(value, kind))
                value.name = node.output[0]
                yield value

    def _rewritten(self, node: NodeProto) -> list[NodeProto]:
        """Returns a node in its new types, between the Casts it needs."""
        is_fp32 = node.op_type in self.fp32_ops
        wide = range(len(node.input)) if is_fp32 else FLOAT32_INPUTS.get(node.op_type, ())
        before: list[NodeProto] = []
        after: list[NodeProto] = []
        new = NodeProto()
        new.CopyFrom(node)
        for index, name in enumerate(node.input):
            new.input[index] = self._input(name, index in wide, node, before)
        for index, name in enumerate(node.output):
            target = self.renamed.get(name, name)
            new.output[index] = target
            if is_fp32 and name in self.floats:
                new.output[index] = f"{target}__wide"
                after.append(_cast(new.output[index], target, self.narrow))
        for attribute in new.attribute:
            if attribute.name == "to" and attribute.i == TensorProto.FLOAT:
                attribute.i = self.narrow
            elif attribute.type == attribute.TENSOR and attribute.t.data_type == TensorProto.FLOAT:
                attribute.t.CopyFrom(self._narrowed(attribute.t, attribute.t.name))
        return [*before, new, *after]

    def _input(self, name: str, is_wide: bool, node: NodeProto, before: list[NodeProto]) -> str:
        """Returns the name under which a node finds an input in the type it wants."""
        if name in self.weights:
            tensor = self.weights[name]
            if is_wide or tensor.data_type != TensorProto.FLOAT:
                return name
            narrow = name + self.suffix
            if narrow not in self.weights:
                self.weights[narrow] = self._narrowed(tensor, narrow)
            return narrow
        source: str = self.renamed.get(name, name)
        if not is_wide or name not in self.floats:
            return source
        wide = f"{source}__for_{node.output[0]}"
        before.append(_cast(source, wide, TensorProto.FLOAT))
        return wide

    def _narrowed(self, tensor: TensorProto, name: str) -> TensorProto:
        with np.errstate(over="ignore"):  # too large is infinite, and fails the check at export
            values = numpy_helper.to_array(tensor).astype(self.dtype)
        return numpy_helper.from_array(values, name)


def _cast(source: str, target: str, kind: int) -> NodeProto:
    return helper.make_node("Cast", [source], [target], name=f"cast_{target}", to=kind)
