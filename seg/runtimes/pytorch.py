"""torch: a `.pt` checkpoint, or a network that is already in memory."""

import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from seg.errors import EngineFailure, EngineMissing
from seg.imaging.letterbox import round_up
from seg.kinds import Device, Precision
from seg.models.checkpoint import load_net
from seg.models.export_wrappers import HalfPrecisionNet
from seg.results import Float32
from seg.runtimes.base import Runtime
from seg.runtimes.cuda_graph import CudaGraphRunner
from seg.spec import ModelSpec

MODE_NAMES = {"compile": "compiled", "graph": "CUDA graph"}
WARMUPS = 3  # before a graph is recorded, as torch's documents advise


class TorchRuntime(Runtime):
    """A torch network, eager, compiled, or as a CUDA graph.

    Args:
        net: `(B, 3, H, W)` -> one tensor, or a tuple of them in the order of the spec's outputs;
            already on `device`. Its mode (train or eval) is set to eval for each run and put back,
            so a network in training can be evaluated.
        spec: What the network is.
        device: Where it runs.
        precision: What it computes in; a half type is that of a copy.
        modes: Of `compile`, by torch's inductor, and `graph`, recorded anew for each shape.
        path: The checkpoint; None for a network that is in memory alone.
    """

    def __init__(
        self,
        net: nn.Module,
        spec: ModelSpec,
        device: torch.device,
        precision: str = Precision.FLOAT32,
        modes: Collection[str] = (),
        path: Path | None = None,
    ) -> None:
        how = ", ".join(name for mode, name in MODE_NAMES.items() if mode in modes) or "eager"
        description = f"torch {torch.__version__} {how}, {device}, {precision}"
        super().__init__(spec, description, Precision(precision))
        if self.precision != Precision.FLOAT32:
            net = HalfPrecisionNet(net, getattr(torch, self.precision))
        self.net, self.device, self._path = net, device, path
        self.offers_tensors = device.type == "cuda"
        self._call = torch.compile(net) if "compile" in modes else net
        self._graphs: dict[tuple[int, ...], CudaGraphRunner] | None = None
        if "graph" in modes:
            self._graphs = {}

    def run_tensors(self, images: Tensor) -> dict[str, Tensor]:
        """As of `seg.predictors.gpu_segmentation.TensorRuntime`."""
        with self._lock, torch.inference_mode():
            self._check_open()
            if self._graphs is not None:
                return self._graph(images).run_tensors(images)
            return self._outputs(images)

    def open_reference(self) -> "TorchRuntime | None":
        """As of `Runtime`."""
        return open_file(self._path, Device.CPU) if self._path else None

    def _run(self, images: Float32) -> Mapping[str, Float32]:
        try:
            with torch.inference_mode():
                if self._graphs is not None:
                    graph = self._graph(torch.from_numpy(images))
                    arrays, self.enqueued_s = graph.run(images), graph.enqueued_s
                    return arrays
                start = time.perf_counter()
                outputs = self._outputs(torch.from_numpy(images).to(self.device))
                if self.device.type == "cuda":
                    self.enqueued_s = time.perf_counter() - start
                return {name: tensor.float().cpu().numpy() for name, tensor in outputs.items()}
        except RuntimeError as error:
            raise EngineFailure(f"torch failed: {_first_line(error)}") from error

    def close(self) -> None:
        """Drops the network and the graphs, which hold the GPU's memory."""
        with self._lock:
            super().close()
            self.net = self._call = nn.Identity()
            self._graphs = None if self._graphs is None else {}

    def _outputs(self, images: Tensor) -> dict[str, Tensor]:
        """Runs the network, eager or compiled, and names what it returns."""
        with self._evaluating():
            made = self._call(images)
        tensors = made if isinstance(made, tuple) else (made,)
        names = [output.name for output in self.spec.outputs]
        return dict(zip(names, tensors, strict=True))

    @contextmanager
    def _evaluating(self) -> Iterator[None]:
        was_training = self.net.training
        if was_training:
            self.net.eval()
        try:
            yield
        finally:
            if was_training:
                self.net.train()

    def _graph(self, images: Tensor) -> CudaGraphRunner:
        """Returns the graph for this shape; records it the first time."""
        assert self._graphs is not None
        shape = tuple(images.shape)
        if shape not in self._graphs:
            outputs = self._outputs(images.to(self.device))
            runner = CudaGraphRunner(shape, {k: tuple(v.shape) for k, v in outputs.items()})
            runner.capture(lambda: self._write_outputs(runner), WARMUPS)
            self._graphs[shape] = runner
        return self._graphs[shape]

    def _write_outputs(self, runner: CudaGraphRunner) -> None:
        for name, tensor in self._outputs(runner.images).items():
            runner.outputs[name].copy_(tensor)


def _first_line(error: RuntimeError) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def pick_device(name: str) -> torch.device:
    """Turns `auto`, `cpu` or `cuda` into a device; raises EngineMissing where there is no CUDA.

    Float32 means float32: torch's convolutions on CUDA would round to TF32 by default.
    """
    torch.backends.cudnn.allow_tf32 = False
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name == "cuda" and not torch.cuda.is_available():
        raise EngineMissing("--device cuda: this torch found no CUDA device; use --device cpu.")
    return torch.device(name)


def open_file(
    path: Path,
    device: Device,
    precision: str = Precision.FLOAT32,
    modes: Collection[str] = (),
) -> TorchRuntime:
    """Opens a checkpoint that training wrote; raises as `open_runtime` does.

    What is compiled or recorded is so at once, for one image of the model's own size; another
    shape costs that time again when it first comes.
    """
    place = pick_device(device)
    if "graph" in modes and place.type != "cuda":
        raise EngineMissing("--graph: a CUDA graph needs --device cuda; omit it on the CPU.")
    net, spec = load_net(path)
    runtime = TorchRuntime(net.to(place), spec, place, precision, modes, path)
    if modes:
        hw = spec.canvas_hw or round_up(spec.input_hw, spec.stride)
        try:
            runtime.run(np.zeros((1, 3, *hw), np.float32))
        except EngineFailure as error:
            raise EngineMissing(f"--{' --'.join(modes)}: {error} Is there a compiler?") from error
    return runtime
