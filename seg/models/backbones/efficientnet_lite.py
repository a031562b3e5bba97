"""EfficientNet-Lite0: a convolutional encoder with ImageNet weights (Tan and Le, 2019; Liu, 2020).

The Lite variants drop squeeze-and-excitation and use ReLU6, so that they quantize well. The layers
compute what `efficientnet-lite-pytorch` computes, which ported them from TensorFlow: "same" padding
is asymmetric at stride 2, and batch norms have an epsilon of 1e-3. Sizes: B, C, H, W as in
`seg.models.backbones.vit`.
"""

from collections.abc import Mapping, Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from seg.errors import SpecMismatch
from seg.models.backbones.base import Backbone, Tokens

MEAN = (127 / 255,) * 3  # the input is (x - 127) / 128 of an 8-bit x
STD = (128 / 255,) * 3
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
TAPS = (1, 2, 4, 6)  # the last stages at `STRIDES`
STRIDES = (4, 8, 16, 32)
CHANNELS = tuple(STAGES[tap][4] for tap in TAPS)
STRIDE = STRIDES[-1]
# How the package calls the parts of a block.
OFFICIAL = {
    "expand.0": "_expand_conv",
    "expand.1": "_bn0",
    "depthwise.0": "_depthwise_conv",
    "depthwise.1": "_bn1",
    "project.0": "_project_conv",
    "project.1": "_bn2",
}


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


class EfficientNetLite0(Backbone):
    """EfficientNet-Lite0 without its classifier: maps at strides 4, 8, 16 and 32.

    Args:
        name: Its name, `efficientnet_lite0`.
        layers: Maps to read, of 0 to 3; None, or none, reads all.
        source: Where the weights come from, with their hash.

    Raises:
        SpecMismatch: There is no such map.
    """

    def __init__(
        self,
        name: str = "efficientnet_lite0",
        layers: Sequence[int] | None = None,
        source: str = "",
    ) -> None:
        read = tuple(layers or range(len(TAPS)))
        if not {*read} <= {*range(len(TAPS))}:
            raise SpecMismatch(f"{name} has maps 0 to {len(TAPS) - 1}; got layers {list(read)}.")
        channels = tuple(CHANNELS[index] for index in read)
        super().__init__(name, tuple(layers or ()), channels, STRIDE, source)
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

    def forward(self, images: Tensor) -> Tokens:
        """Computes the tokens of normalized images `(B, 3, H, W)`; 32 divides both sides."""
        x = self.stem(images)
        maps = []
        for index, stage in enumerate(self.stages):
            x = stage(x)
            if index in TAPS:
                maps.append(x)
        maps = [maps[index] for index in self.layers] or maps
        return Tokens(tuple(one.mean((2, 3)) for one in maps), tuple(maps))

    def official_state(self) -> dict[str, Tensor]:
        """Returns the weights under the names of `efficientnet-lite-pytorch`."""
        return {_official_name(name): tensor for name, tensor in self.state_dict().items()}

    def load_official(self, state: Mapping[str, Tensor]) -> None:
        """Takes tensors as the weights; they are not copied."""
        own = {name: state[_official_name(name)] for name in self.state_dict()}
        self.load_state_dict(own, assign=True)

    @property
    def num_blocks(self) -> int:
        """Returns the number of stages."""
        return len(STAGES)

    def block_of(self, name: str) -> int:
        """Returns the place of a tensor, where a stage is a block; see `Backbone`."""
        part, number, *_ = name.split(".")
        return 0 if part == "stem" else int(number) + 1


def _official_name(name: str) -> str:
    """Translates a tensor's name."""
    part, *rest = name.split(".")
    if part == "stem":
        return f"{'_conv_stem' if rest[0] == '0' else '_bn0'}.{rest[1]}"
    stage, block, kind, place, tensor = rest
    number = sum(depth for depth, *_ in STAGES[: int(stage)]) + int(block)
    return f"_blocks.{number}.{OFFICIAL[f'{kind}.{place}']}.{tensor}"
