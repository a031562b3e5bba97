"""A stand-in for a runtime on a GPU: its device is the CPU, and only it knows."""

import torch

from seg.runtimes.fake import FakeRuntime


class FakeGpuRuntime(FakeRuntime):
    """A runtime whose device is not the processor, as far as anyone can tell."""

    offers_tensors = True
    device = torch.device("cpu")

    def run_tensors(self, images):
        self._check_open()
        outputs = self._run(images.numpy())
        return {name: torch.from_numpy(array.copy()) for name, array in outputs.items()}
