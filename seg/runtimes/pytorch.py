"""torch: a `.pt` checkpoint, or a network that is already in memory."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn

from seg.errors import EngineFailure, EngineMissing
from seg.models.checkpoint import load_net
from seg.results import Float32
from seg.runtimes.base import Runtime
from seg.spec import ModelSpec


class TorchRuntime(Runtime):
    """A torch network in float32, eager.

    Args:
        net: `(B, 3, H, W)` -> logits `(B, C, h, w)`; already on `device`. Its mode (train or eval)
            is set to eval for each run and put back, so a network in training can be evaluated.
        spec: What the network is.
        device: Where it runs.
    """

    def __init__(self, net: nn.Module, spec: ModelSpec, device: torch.device) -> None:
        self.net, self.spec, self.device = net, spec, device
        self.description = f"torch {torch.__version__} eager, {device}, float32"

    def _run(self, images: Float32) -> Mapping[str, Float32]:
        was_training = self.net.training
        self.net.eval()
        try:
            with torch.inference_mode():
                logits = self.net(torch.from_numpy(images).to(self.device))
            return {"logits": logits.float().cpu().numpy()}
        except RuntimeError as error:
            raise EngineFailure(f"torch failed: {error}") from error
        finally:
            self.net.train(was_training)


def pick_device(name: str) -> torch.device:
    """Turns `auto`, `cpu` or `cuda` into a device; raises EngineMissing where there is no CUDA."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name == "cuda" and not torch.cuda.is_available():
        raise EngineMissing("--device cuda: this torch sees no CUDA device; take --device cpu.")
    return torch.device(name)


def open_file(path: Path, device: str) -> TorchRuntime:
    """Opens a checkpoint that training wrote; raises as `open_runtime` does."""
    place = pick_device(device)
    net, spec = load_net(path)
    return TorchRuntime(net.to(place), spec, place)
