"""The benchmark's `--model`: a file, and how it runs."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from seg.errors import SpecMismatch
from seg.imaging.letterbox import Size, round_up
from seg.kinds import Engine
from seg.predictors.segmenter import Segmenter
from seg.spec import ModelSpec

SYNTAX = "FILE[,runtime=NAME][,precision=NAME][,imgsz=WxH][,device=NAME][,compile][,graph]"
SCALES = (1.0, 0.8, 0.6, 0.45)  # of the model's own size, tried for a target rate


@dataclasses.dataclass(frozen=True, slots=True)
class Entry:
    """A model and how to run it; None leaves the choice to the suffix, engine or model.

    Attributes:
        path: The file.
        runtime: Engine.
        precision: What OpenVINO or torch computes in.
        input_hw: Size to fit frames into.
        device: `auto`, `cpu` or `cuda`.
        modes: How torch runs.
    """

    path: Path
    runtime: str | None = None
    precision: str | None = None
    input_hw: Size | None = None
    device: str = "auto"
    modes: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Reads what `SYNTAX` says.

        Raises:
            SpecMismatch: An option is unknown, doubled or has no sensible value.
        """
        name, *words = text.split(",")
        values: dict[str, str] = {}
        modes = tuple(word for word in words if word in Engine.TORCH.modes)
        for word in (word for word in words if word not in modes):
            key, _, value = word.partition("=")
            if key not in ("runtime", "precision", "imgsz", "device") or key in values or not value:
                raise SpecMismatch(f"'{text}': bad option '{word}'; expected {SYNTAX}.")
            values[key] = value
        size = values.pop("imgsz", None)
        return cls(Path(name), input_hw=_hw(text, size), modes=modes, **values)

    @property
    def name(self) -> str:
        """Its name in the report."""
        size = f"{self.input_hw[1]}x{self.input_hw[0]}" if self.input_hw else None
        device = self.device if self.device != "auto" else None
        words = [self.path.name, self.runtime, self.precision, size, device, *self.modes]
        return " ".join(word for word in words if word)

    def open(self) -> Segmenter:
        """Opens the model; raises as `Segmenter` does."""
        return Segmenter(
            self.path,
            self.device,
            self.input_hw,
            runtime=self.runtime,
            precision=self.precision,
            modes=self.modes,
        )

    def graph_spec(self) -> ModelSpec | None:
        """Returns the spec of a file that turns raw frames into masks; None for any other."""
        if self.path.suffix != ".onnx" or not self.path.is_file():
            return None
        from seg.runtimes.ort import spec_of

        spec = spec_of(self.path)
        return spec if spec.input_kind == "frames" else None

    def variants(self) -> Iterator[Self]:
        """Yields every engine, precision and smaller size that this entry leaves open."""
        with self.open() as opened:
            spec = opened.runtime.spec
        sizes = [self.input_hw]
        if not self.input_hw and spec.canvas_hw is None:
            scaled = [(spec.input_hw[0] * s, spec.input_hw[1] * s) for s in SCALES]
            sizes = [round_up((int(h), int(w)), spec.stride) for h, w in scaled]
        for runtime in [self.runtime] if self.runtime else Engine.readers(self.path.suffix):
            is_open = runtime == Engine.OPENVINO and not self.precision
            for precision in Engine.OPENVINO.precisions if is_open else [self.precision]:
                for input_hw in dict.fromkeys(sizes):
                    yield dataclasses.replace(
                        self, runtime=runtime, precision=precision, input_hw=input_hw
                    )


def _hw(text: str, size: str | None) -> Size | None:
    if size is None:
        return None
    width, _, height = size.partition("x")
    if not (width.isascii() and width.isdigit() and height.isascii() and height.isdigit()):
        raise SpecMismatch(f"'{text}': bad size '{size}'; expected imgsz=WxH, such as 640x360.")
    return int(height), int(width)
