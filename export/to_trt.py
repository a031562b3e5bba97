"""Builds a TensorRT engine, and accepts it only if it draws the masks of its source.

    python export/to_trt.py --model weights/person-lite.onnx --output person.engine --imgsz 640 384
    python export/to_trt.py --model runs/dinov2_vits14/best_iou.pt --output d.engine --rebuild

Run it on the GPU that the engine is for. Without --precision it tries float16, float16 with
LayerNorm and softmax in float32, bfloat16 and float32, in this order, and keeps the first whose
masks agree with those of the ONNX file in float32, on --input or on public-domain photos. What the
engine really computes in is read from the engine. PERSON.engine.json, which says all of that, is
part of the engine: copy both. An engine takes pictures of one size; build one for each.
"""

import argparse
import dataclasses
import hashlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from seg import cli
from seg.errors import ArtifactError, EngineFailure, EngineMissing, ParityError, SpecMismatch

if TYPE_CHECKING:
    import onnx

    from seg.results import UInt8
    from seg.runtimes.base import Runtime
    from seg.runtimes.engine_metadata import EngineCard, Machine
    from seg.spec import ModelSpec

RUNGS = ("float16", "float16-islands", "bfloat16", "float32")


def flags() -> argparse.ArgumentParser:
    """Returns the parser."""
    p = cli.parser(__doc__)
    p.add_argument("--model", type=Path, required=True, metavar="FILE", help=".onnx or .pt")
    p.add_argument("--output", type=Path, required=True, metavar="FILE", help="the .engine")
    cli.add_imgsz(p, None, "box that frames are fitted into; default: the model's")
    p.add_argument("--precision", choices=("auto", *RUNGS), default="auto", help="one rung only")
    text = "most images at once; default: what --model fixes, else 1"
    p.add_argument("--batch", type=cli.positive, metavar="N", help=text)
    p.add_argument("--input", type=Path, metavar="PICTURES", help="file or folder to compare on")
    p.add_argument("--workspace", type=cli.positive, metavar="MIB", help="memory for building")
    p.add_argument("--timing-cache", type=Path, metavar="FILE", help="makes later builds faster")
    text = "also runs on later versions of TensorRT; such a file brings code that is executed"
    p.add_argument("--version-compatible", action="store_true", help=text)
    text = "also runs on other GPUs from Ampere on, slower"
    p.add_argument("--hardware-compatible", action="store_true", help=text)
    p.add_argument("--rebuild", action="store_true", help="replace --output")
    return p


def stale(card: "EngineCard", args: argparse.Namespace, here: "Machine") -> list[str]:
    """Returns why an engine is not what was asked for, a clause each."""
    from seg.files.checksum import sha256_of

    reasons = card.foreign(here)
    made_from = card.spec.source_sha256 if args.model.suffix == ".pt" else card.onnx_sha256
    asked = {
        "its source": (made_from, sha256_of(args.model)),
        "the size": (card.spec.input_hw, cli.hw(args.imgsz) or card.spec.input_hw),
        "the precision": (card.rung, card.rung if args.precision == "auto" else args.precision),
        "the batch": (card.batch, args.batch or card.spec.batch or 1),
        "--version-compatible": (card.version_compatible, args.version_compatible),
        "--hardware-compatible": (card.hardware_compatible, args.hardware_compatible),
    }
    return reasons + [f"{name} is another" for name, (was, now) in asked.items() if was != now]


@contextmanager
def onnx_of(args: argparse.Namespace) -> Iterator[Path]:
    """Gives the ONNX file: --model itself, or what to_onnx.py makes of a checkpoint."""
    if args.model.suffix != ".pt":
        yield args.model
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        command = [sys.executable, str(Path(__file__).with_name("to_onnx.py")), "--opset", "18"]
        command += ["--model", str(args.model), "--output", str(path)]
        command += ["--imgsz", *map(str, args.imgsz)] if args.imgsz else []
        if subprocess.run(command, stdout=subprocess.DEVNULL, check=False).returncode:
            raise ArtifactError(f"{args.model} could not be exported; the reason is above.")
        yield path


def engine_spec(spec: "ModelSpec", args: argparse.Namespace) -> "ModelSpec":
    """Returns the spec of the engine: of one canvas.

    Raises:
        SpecMismatch: The ONNX file is int8, or has another canvas or batch.
    """
    from seg.imaging.letterbox import round_up

    input_hw = cli.hw(args.imgsz) or spec.input_hw
    canvas = round_up(input_hw, spec.stride)
    if spec.precision == "int8":
        raise SpecMismatch(f"{args.model.name} is int8, for CPUs; take its float32 source.")
    if spec.canvas_hw not in (None, canvas):
        raise SpecMismatch(
            f"{args.model.name} was exported for {spec.canvas_hw[1]}x{spec.canvas_hw[0]}, and "
            f"--imgsz asks for {canvas[1]}x{canvas[0]}: export it again, or take the .pt."
        )
    if spec.batch and args.batch not in (None, spec.batch):
        raise SpecMismatch(
            f"{args.model.name} was exported for batches of {spec.batch}, and --batch asks for "
            f"{args.batch}: omit --batch, or export it again with to_onnx.py --batch {args.batch}."
        )
    return dataclasses.replace(spec, input_hw=input_hw, canvas_hw=canvas)


class Ladder:
    """One source on its way to an engine.

    Args:
        path: The ONNX file.
        reference: The same on ONNX Runtime.
        images: To compare on.
        args: The command's.
        here: Where it is built.
    """

    def __init__(
        self,
        path: Path,
        reference: "Runtime",
        images: Sequence["UInt8"],
        args: argparse.Namespace,
        here: "Machine",
    ) -> None:
        from seg.verification.fitted_runtime import FittedRuntime
        from seg.verification.self_test import record

        self.path, self.images, self.args, self.here = path, images, args, here
        self.source, self.reference = reference.spec, reference
        self.spec = engine_spec(reference.spec, args)
        fitted = FittedRuntime(reference, self.spec.input_hw, self.spec.canvas_hw)
        self.scores = record(fitted)

    def rungs(self, model: "onnx.ModelProto") -> tuple[str, ...]:
        """Returns the rungs to try; a file that is narrow already has one, its own."""
        from seg.exporting.precision import has_islands

        if self.source.precision != "float32":
            return (self.source.precision,)
        if self.args.precision != "auto":
            return (self.args.precision,)
        return tuple(r for r in RUNGS if r != "float16-islands" or has_islands(model))

    def climb(self) -> tuple[bytes, "EngineCard"]:
        """Returns the first engine that passes, and its card.

        Raises:
            ParityError: None does.
            SpecMismatch: An engine is not of the precision that it was built for.
        """
        import onnx

        model = onnx.load(str(self.path))
        rungs = self.rungs(model)
        for rung in rungs:
            try:
                return self._step(model, rung)
            except (EngineFailure, ParityError) as error:
                if len(rungs) == 1:
                    raise
                cli.note(f"{rung}: {error}")
        raise ParityError("No precision gives the source's masks; the reasons are above.")

    def _step(self, model: "onnx.ModelProto", rung: str) -> tuple[bytes, "EngineCard"]:
        """Builds one rung and holds it against the source."""
        from seg.exporting.precision import RUNGS, rewrite
        from seg.exporting.tensorrt import Options, build, inspected
        from seg.files.checksum import sha256_of
        from seg.kinds import Precision
        from seg.runtimes.engine_metadata import EngineCard
        from seg.runtimes.trt import TrtRuntime, deserialize
        from seg.verification.export_check import compare_export
        from seg.verification.self_test import GOLDEN_KEY, verify_scores

        cli.note(f"{rung}: building, which takes minutes")
        precision = RUNGS[rung]
        if self.source.precision == "float32":
            model = rewrite(model, rung)
        batch = self.args.batch or self.spec.batch or 1
        given = {name: getattr(self.args, name) for name in Options.__slots__}
        options = Options(**given | {"batch": batch})
        assert self.spec.canvas_hw is not None
        plan = build(model.SerializeToString(), self.spec.canvas_hw, options)
        engine = deserialize(plan, self.args.version_compatible)
        card = EngineCard(
            spec=dataclasses.replace(self.spec, precision=Precision(precision)),
            machine=self.here,
            plan_sha256=hashlib.sha256(plan).hexdigest(),
            onnx_sha256=sha256_of(self.path),
            rung=rung,
            tensors=inspected(engine, precision),
            batch=batch,
            parity={},
            metadata={GOLDEN_KEY: self.scores},
            version_compatible=self.args.version_compatible,
            hardware_compatible=self.args.hardware_compatible,
        )
        with TrtRuntime(engine, card) as built:
            report = compare_export(self.reference, built, self.images)
            verify_scores(built)
        for line in report.lines("ONNX Runtime"):
            cli.note(f"{rung}: {line}")
        return plan, dataclasses.replace(card, parity=report.to_dict())


def main(argv: Sequence[str] | None = None) -> int:
    """Builds; returns the exit code."""
    args = flags().parse_args(argv)
    if args.output.suffix != ".engine" or args.model.suffix not in (".onnx", ".pt"):
        raise ArtifactError(
            f"Expected --model FILE.onnx or FILE.pt and --output FILE.engine; "
            f"got {args.model.name} and {args.output.name}."
        )
    if not args.model.is_file():
        raise ArtifactError(f"No model at {args.model}.")
    try:
        from seg.runtimes.trt import machine
    except ModuleNotFoundError as error:
        if error.name != "tensorrt":
            raise
        raise EngineMissing("An engine needs the package tensorrt: pip install tensorrt") from error
    from seg.files.atomic import atomic_write
    from seg.runtimes.engine_metadata import EngineCard
    from seg.runtimes.open import open_runtime
    from seg.verification.parity import read_images

    here = machine()
    if args.output.exists() and not args.rebuild:
        reasons = stale(EngineCard.read(args.output), args, here)
        if reasons:
            raise ArtifactError(f"{args.output} is stale: {'; '.join(reasons)}. Add --rebuild.")
        cli.note(f"{args.output} is what was asked for; --rebuild builds it again")
    else:
        images = read_images(args.input)
        with onnx_of(args) as path, open_runtime(path, "cpu") as reference:
            plan, card = Ladder(path, reference, images, args, here).climb()
        with atomic_write(args.output) as part:
            part.write_bytes(plan)
        card.write(args.output)
        cli.note(f"{here}: {card.rung}, tensors {card.tensors}, {len(plan) / 1e6:.1f} MB")
    print(args.output)
    return cli.OK


if __name__ == "__main__":
    raise SystemExit(cli.run(main))
