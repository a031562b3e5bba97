"""Exports a checkpoint to one ONNX file, and accepts it only if it draws the same masks.

    python export/to_onnx.py --model runs/lite/best_iou.pt --output person.onnx
    python export/to_onnx.py --model runs/dinov2_vits14/best_iou.pt --output p.onnx --imgsz 640 360

`lite` takes any size afterwards. DINOv2 gets one canvas, with its position embedding computed for
it: --imgsz 640 360 makes it 364x644, 2.2 times cheaper for 16:9 video than the square. The masks
are compared with torch's on --input, or on public-domain photos that scikit-image carries.
"""

import argparse
import dataclasses
import hashlib
import json
import logging
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from seg import cli, machine

if TYPE_CHECKING:
    from torch import nn

    from seg.parity import Parity
    from seg.results import UInt8
    from seg.spec import ModelSpec

OPSET = 20  # from 20 on GELU is one operator; TensorRT reads the Attention of 23 only from 10.14


def flags() -> argparse.ArgumentParser:
    """Returns the parser."""
    p = cli.parser(__doc__)
    p.add_argument("--model", type=Path, required=True, metavar="FILE", help="a .pt checkpoint")
    p.add_argument("--output", type=Path, required=True, metavar="FILE", help="the .onnx to write")
    cli.add_imgsz(p, None, "box that frames are fitted into; default: the checkpoint's")
    p.add_argument("--input", type=Path, metavar="PICTURES", help="file or folder to compare on")
    p.add_argument("--opset", type=int, choices=(18, 20), default=OPSET, help="18 for TensorRT")
    p.add_argument("--overwrite", action="store_true", help="replace --output")
    return p


def export_spec(spec: "ModelSpec", source: Path, imgsz_hw: tuple[int, int] | None) -> "ModelSpec":
    """Returns the spec of the exported file: a fixed canvas for DINOv2, none for `lite`."""
    from seg.artefacts import sha256_of
    from seg.geometry import round_up

    input_hw = imgsz_hw or spec.input_hw
    canvas = None if spec.arch == "lite" else round_up(input_hw, spec.stride)
    return dataclasses.replace(
        spec, input_hw=input_hw, canvas_hw=canvas, source_sha256=sha256_of(source)
    )


def write_onnx(net: "nn.Module", spec: "ModelSpec", path: Path, opset: int = OPSET) -> None:
    """Writes a network in eval mode as one ONNX file with its spec inside.

    One picture of the spec's canvas; where it has none, any batch, height and width.
    """
    import onnx
    import torch

    from seg.spec import METADATA_KEY

    if spec.canvas_hw:
        images, free = torch.rand(1, 3, *spec.canvas_hw), None
    else:
        # A batch of one would be taken for a constant (torch.export specialises sizes 0 and 1).
        images = torch.rand(2, 3, 2 * spec.stride, 3 * spec.stride)
        sides = [spec.stride * torch.export.Dim(name) for name in ("rows", "cols")]
        free = ({0: torch.export.Dim("batch"), 2: sides[0], 3: sides[1]},)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it misses torchvision, we do not
    net.eval()
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
            input_names=["images"],
            output_names=["logits"],
            dynamic_shapes=free,
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    _forget_machine(model)
    onnx.helper.set_model_props(model, {METADATA_KEY: spec.to_json()})
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def _forget_machine(model: "object") -> None:
    """Removes the exporter's stack traces, which hold this machine's paths."""
    graph = model.graph  # type: ignore[attr-defined]
    for thing in (graph, *graph.node, *graph.value_info, *graph.input, *graph.output):
        del thing.metadata_props[:]
        thing.doc_string = ""
    for function in model.functions:  # type: ignore[attr-defined]
        for node in (function, *function.node):
            del node.metadata_props[:]
            node.doc_string = ""


def verify(net: "nn.Module", spec: "ModelSpec", path: Path, frames: Sequence["UInt8"]) -> "Parity":
    """Compares the file's masks with torch's, and writes what `--verify` needs into the file.

    That is the result, on what and by which versions it was found, and the source's scores on the
    golden picture.

    Raises:
        ParityError: They differ by more than rounding.
    """
    import onnx
    import torch

    from seg import golden
    from seg.parity import compare
    from seg.runtimes.pytorch import TorchRuntime
    from seg.segmenter import Segmenter

    source = Segmenter(TorchRuntime(net, spec, torch.device("cpu")))
    with Segmenter(path, device="cpu") as exported:
        parity = compare(source, exported, frames).require(spec.precision)
        record = parity.to_dict() | {
            "frames_sha256": [hashlib.sha256(frame.tobytes()).hexdigest() for frame in frames],
            "source": source.description,
            "candidate": exported.description,
            "device": machine.cpu(),
            "versions": machine.versions(),
        }
        known = dict(exported.runtime.metadata)
    model = onnx.load(str(path))
    known |= {"dinoseg.parity": json.dumps(record), golden.GOLDEN_KEY: golden.record(source)}
    onnx.helper.set_model_props(model, known)
    onnx.save(model, str(path))
    with Segmenter(path, device="cpu") as exported:
        golden.verify(exported)
    return parity


def main(argv: Sequence[str] | None = None) -> int:
    """Exports; returns the exit code."""
    args = flags().parse_args(argv)
    from seg.artefacts import atomic, refuse_overwrite
    from seg.models.checkpoint import load_net
    from seg.parity import frames_of

    refuse_overwrite(args.output, args.overwrite)
    net, spec = load_net(args.model)
    spec = export_spec(spec, args.model, cli.hw(args.imgsz))
    frames = frames_of(args.input)
    with atomic(args.output) as part:
        write_onnx(net, spec, part, args.opset)
        parity = verify(net, spec, part, frames)
    size = "any" if spec.canvas_hw is None else f"{spec.canvas_hw[1]}x{spec.canvas_hw[0]}"
    cli.note(f"compared with torch on {parity}")
    cli.note(f"canvas {size}, {spec.precision}, {args.output.stat().st_size / 1e6:.1f} MB")
    print(args.output)
    return cli.OK


if __name__ == "__main__":
    raise SystemExit(cli.run(main))
