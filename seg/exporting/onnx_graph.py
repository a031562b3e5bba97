"""The ONNX graph of a network: what its file is to be, and writing it."""

import dataclasses
import logging
import warnings
from pathlib import Path

import onnx
import torch
from torch import nn

from seg.errors import SpecMismatch
from seg.files.checksum import sha256_of
from seg.imaging.letterbox import Size, round_up
from seg.kinds import Precision
from seg.models.export_wrappers import example_input, wrap
from seg.models.nets import is_convolutional
from seg.spec import METADATA_KEY, SEGMENTATION, ModelSpec, segmentation_outputs

OPSET = 20  # from 20 on GELU is one operator; TensorRT reads the Attention of 23 only from 10.14


def takes_any_size(spec: ModelSpec) -> bool:
    """Tells whether a network of a spec is exported for any size of input."""
    return is_convolutional(spec.arch)


def export_spec(
    spec: ModelSpec,
    source: Path,
    input_hw: Size | None,
    *,
    batch: int | None = None,
    is_dynamic: bool = False,
    precision: Precision = Precision.FLOAT32,
    output_kind: str = "logits",
) -> ModelSpec:
    """Returns the spec of the exported file: a fixed canvas for DINOv2 and masks, else none.

    Args:
        spec: The checkpoint's.
        source: The checkpoint, whose hash is kept.
        input_hw: Size that images are fitted into; None keeps the checkpoint's.
        batch: Number of images at once, where the canvas is fixed; None is 1.
        is_dynamic: Whether DINOv2 is to take any size.
        precision: Of the weights in the file.
        output_kind: `logits`, or `mask` for a graph from raw frames to masks.

    Raises:
        SpecMismatch: A size or number is to be fixed and free.
    """
    input_hw = input_hw or spec.input_hw
    is_mask = output_kind == "mask"
    if is_mask:
        spec.output(SEGMENTATION)
    is_free = (takes_any_size(spec) or is_dynamic) and not is_mask
    if is_dynamic and (takes_any_size(spec) or spec.arch.endswith("_reg") or not is_free):
        raise SpecMismatch(
            "--dynamic is for the logits of DINOv2 without registers, whose positions can be "
            "resized inside the graph; a convolutional one takes any size without it."
        )
    if batch and is_free:
        raise SpecMismatch("--batch fixes a number, and this file takes any; omit it.")
    return dataclasses.replace(
        spec,
        input_hw=input_hw,
        canvas_hw=None if is_free else round_up(input_hw, spec.stride),
        batch=None if is_free else batch or 1,
        precision=precision,
        outputs=segmentation_outputs(spec.classes, "mask") if is_mask else spec.outputs,
        input_kind="frames" if is_mask else "images",
        source_sha256=sha256_of(source),
    )


def write_onnx(net: nn.Module, spec: ModelSpec, path: Path, opset: int = OPSET) -> None:
    """Writes a network in eval mode as one ONNX file with its spec inside.

    One batch of the spec's canvas; where it has none, any batch, height and width.
    """
    net = wrap(net.eval(), spec)
    images, free = example_input(spec)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it misses torchvision, we do not
    with torch.inference_mode():
        net(images)  # computes the position embedding for this size, so it becomes a constant
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own deprecations
        program = torch.onnx.export(
            net,
            (images,),
            dynamo=True,
            external_data=False,
            opset_version=opset,
            input_names=[spec.input_kind],
            output_names=[output.name for output in spec.outputs],
            dynamic_shapes=free,
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    _remove_stack_traces(model)
    onnx.helper.set_model_props(model, {METADATA_KEY: spec.to_json()})
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def _remove_stack_traces(model: onnx.ModelProto) -> None:
    """Removes the exporter's stack traces, which contain paths of this machine."""
    graph = model.graph
    for thing in (graph, *graph.node, *graph.value_info, *graph.input, *graph.output):
        del thing.metadata_props[:]
        thing.doc_string = ""
    for function in model.functions:
        for node in (function, *function.node):
            del node.metadata_props[:]
            node.doc_string = ""
