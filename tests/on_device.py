"""A stand-in for a runtime on a GPU: its device is the CPU, and only it knows."""

import torch

from seg.runtimes.fake import FakeRuntime
from seg.runtimes.on_device import DeviceFrames


class OnDevice(FakeRuntime):
    """A runtime whose device is not the processor, as far as anyone can tell."""

    def frames(self, letterbox):
        def network(images):
            return torch.from_numpy(self.function(images.numpy()))

        return DeviceFrames(letterbox, self.spec.pad_rgb, torch.device("cpu"), network)
