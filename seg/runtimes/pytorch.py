"""torch: a `.pt` checkpoint, or a network that is already in memory."""

import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from seg.errors import EngineFailure, EngineMissing
from seg.imaging.letterbox import Letterbox, round_up
from seg.kinds import Precision
from seg.models.checkpoint import load_net
from seg.models.export_wrappers import NarrowNet
from seg.results import Float32
from seg.runtimes.base import Runtime
from seg.runtimes.cuda_graph import Replay
from seg.runtimes.on_device import DeviceFrames
from seg.spec import ModelSpec

SAID = {"compile": "compiled", "graph": "CUDA graph"}
WARMUPS = 3  # before a graph is recorded, as torch's documents advise


class TorchRuntime(Runtime):
    """A torch network, eager, compiled, or as a CUDA graph.

    Args:
        net: `(B, 3, H, W)` -> logits `(B, C, h, w)`; already on `device`. Its mode (train or eval)
            is set to eval for each run and put back, so a network in training can be evaluated.
        spec: What the network is.
        device: Where it runs.
        precision: What it computes in; a narrow type is that of a copy.
        modes: Of `compile`, by torch's inductor, and `graph`, recorded anew for each shape.
    """

    def __init__(
        self,
        net: nn.Module,
        spec: ModelSpec,
        device: torch.device,
        precision: str = "float32",
        modes: Collection[str] = (),
    ) -> None:
        self.precision = Precision(precision)
        if self.precision != Precision.FLOAT32:
            net = NarrowNet(net, getattr(torch, self.precision))
        self.net, self.spec, self.device = net, spec, device
        self._call = torch.compile(net) if "compile" in modes else net
        self._graphs: dict[tuple[int, ...], Replay] | None = {} if "graph" in modes else None
        how = ", ".join(word for mode, word in SAID.items() if mode in modes) or "eager"
        self.description = f"torch {torch.__version__} {how}, {device}, {precision}"

    def frames(self, letterbox: Letterbox) -> DeviceFrames | None:
        """As of `Runtime`."""
        if self.device.type != "cuda":
            return None
        return DeviceFrames(letterbox, self.spec.pad_rgb, self.device, self._network)

    def _run(self, images: Float32) -> Mapping[str, Float32]:
        try:
            with torch.inference_mode():
                if self._graphs is not None:
                    replay = self._replay(torch.from_numpy(images))
                    scores, self.enqueued_s = replay.run(images), replay.enqueued_s
                    return {"logits": scores}
                start = time.perf_counter()
                logits = self._network(torch.from_numpy(images).to(self.device))
                if self.device.type == "cuda":
                    self.enqueued_s = time.perf_counter() - start
                return {"logits": logits.float().cpu().numpy()}
        except RuntimeError as error:
            raise EngineFailure(f"torch failed: {_first_line(error)}") from error

    def _network(self, images: Tensor) -> Tensor:
        """Runs the network on the device, in whatever way it was opened."""
        if self._graphs is not None:
            return self._replay(images).on_device(images)
        with self._evaluating():
            logits: Tensor = self._call(images)
        return logits

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

    def _replay(self, images: Tensor) -> Replay:
        """Returns the graph for this shape; records it the first time."""
        assert self._graphs is not None
        shape = tuple(images.shape)
        if shape not in self._graphs:
            with self._evaluating():
                replay = Replay(shape, tuple(self._call(images.to(self.device)).shape))
                replay.capture(lambda: _write(replay, self._call(replay.images)), WARMUPS)
            self._graphs[shape] = replay
        return self._graphs[shape]


def _write(replay: Replay, logits: Tensor) -> None:
    replay.logits.copy_(logits)


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
        raise EngineMissing("--device cuda: this torch sees no CUDA device; take --device cpu.")
    return torch.device(name)


def open_file(
    path: Path, device: str, precision: str = "float32", modes: Collection[str] = ()
) -> TorchRuntime:
    """Opens a checkpoint that training wrote; raises as `open_runtime` does.

    What is compiled or recorded is so at once, for one picture of the model's own size; another
    shape costs that time again when it first comes.
    """
    place = pick_device(device)
    if "graph" in modes and place.type != "cuda":
        raise EngineMissing("--graph: a CUDA graph needs --device cuda; leave it out on the CPU.")
    net, spec = load_net(path)
    runtime = TorchRuntime(net.to(place), spec, place, precision, modes)
    if modes:
        hw = spec.canvas_hw or round_up(spec.input_hw, spec.stride)
        try:
            runtime.run(np.zeros((1, 3, *hw), np.float32))
        except EngineFailure as error:
            raise EngineMissing(f"--{' --'.join(modes)}: {error} Is there a compiler?") from error
    return runtime
