"""Compact convolutional encoder-decoders that run in real time on a CPU.

The same slot as the DINOv2 network: images in, logits out. `LiteNet` has dense 3x3 convolutions
throughout, because depthwise ones are several times slower to train on CPUs and no faster to run;
`EfficientNetLiteNet` has depthwise ones, because its encoder is pretrained. Sizes: B, C, H, W as in
`seg.models.backbones.vit`; every side is a multiple of 32.
"""

from abc import abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seg.models.backbones.base import Backbone
from seg.models.base import Normalize
from seg.models.segmentation import SegmentationNet

WIDTHS = (24, 32, 64, 96, 144)  # stem, then strides 4, 8, 16, 32
DEPTHS = (1, 2, 2, 2)
DECODER = 48
WIDE_DECODER = 64  # for the pretrained encoder


def conv(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    """Convolution, batch norm, ReLU; keeps the size or divides it by `stride`."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class Residual(nn.Module):
    """Two 3x3 convolutions around a shortcut (He et al., 2016)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        last = nn.BatchNorm2d(width)
        # Starts as the identity, so the deep stages learn from the first step on.
        nn.init.zeros_(last.weight)
        self.body = nn.Sequential(
            conv(width, width), nn.Conv2d(width, width, 3, 1, 1, bias=False), last
        )

    def forward(self, x: Tensor) -> Tensor:
        """Keeps the shape."""
        return F.relu(x + self.body(x))


class Context(nn.Module):
    """Adds its surroundings and the whole image to each cell of the coarsest map.

    A channel gate from the global mean (Hu et al., 2018), and a 5x5 neighborhood mean.
    """

    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.gate = nn.Conv2d(width, width, 1)
        self.around = nn.AvgPool2d(5, 1, 2, count_include_pad=False)
        self.merge = conv(2 * width, out, kernel=1)

    def forward(self, x: Tensor) -> Tensor:
        """`(B, C, h, w)` -> `(B, out, h, w)`."""
        gated = x * torch.sigmoid(self.gate(x.mean((2, 3), keepdim=True)))
        return self.merge(torch.cat([gated, self.around(x)], dim=1))  # type: ignore[no-any-return]


class AdditiveDecoderNet(SegmentationNet):
    """An encoder to stride 32, an additive decoder to stride 4, one map for each class."""

    stride = 32

    @abstractmethod
    def encode(self, images: Tensor) -> list[Tensor]:
        """Computes the maps at strides 4, 8, 16 and 32."""

    def _add_decoder(self, channels: Sequence[int], width: int, num_classes: int) -> None:
        """Adds what follows the encoder.

        Args:
            channels: Channels of the encoder's maps, finest first.
            width: Channels of the decoder.
            num_classes: Maps of the output, the background included.
        """
        self.context = Context(channels[-1], width)
        self.laterals = nn.ModuleList(nn.Conv2d(c, width, 1) for c in channels[:-1])
        self.fuse = nn.ModuleList(conv(width, width) for _ in channels[:-1])
        self.head = nn.Conv2d(width, num_classes, 1)
        self.aux = nn.Conv2d(width, num_classes, 1)

    def training_logits(self, images: Tensor) -> list[Tensor]:
        """Returns the logits at stride 4, and those of an auxiliary head at stride 16.

        The auxiliary head helps training alone (Zhao et al., 2017) and is not exported.
        """
        *skips, x = self.encode(images)
        x = self.context(x)
        decoded = []
        for lateral, fuse, skip in zip(
            reversed(self.laterals), reversed(self.fuse), reversed(skips), strict=True
        ):
            x = F.interpolate(x, scale_factor=2, mode="bilinear") + lateral(skip)
            x = fuse(x)
            decoded.append(x)
        return [self.head(x), self.aux(decoded[0])]


class LiteNet(AdditiveDecoderNet):
    """An encoder of dense residual blocks, trained from random weights.

    Args:
        num_classes: Maps of the output, the background included.
        mean: Channel means, RGB 0..1.
        std: Channel standard deviations, RGB 0..1.
    """

    def __init__(
        self,
        num_classes: int,
        mean: tuple[float, float, float],
        std: tuple[float, float, float],
    ) -> None:
        super().__init__()
        self.normalise = Normalize(mean, std)
        self.stem = conv(3, WIDTHS[0], stride=2)
        self.stages = nn.ModuleList(
            nn.Sequential(conv(inputs, width, stride=2), *(Residual(width) for _ in range(depth)))
            for inputs, width, depth in zip(WIDTHS, WIDTHS[1:], DEPTHS, strict=False)
        )
        self._add_decoder(WIDTHS[1:], DECODER, num_classes)

    def encode(self, images: Tensor) -> list[Tensor]:
        """Computes the maps at strides 4, 8, 16 and 32."""
        x = self.stem(self.normalise(images))
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps


class EfficientNetLiteNet(AdditiveDecoderNet):
    """A convolutional backbone with maps at strides 4, 8, 16 and 32 as the encoder.

    Args:
        backbone: EfficientNet-Lite0.
        num_classes: Maps of the output, the background included.
        mean: Channel means, RGB 0..1.
        std: Channel standard deviations, RGB 0..1.
    """

    def __init__(
        self,
        backbone: Backbone,
        num_classes: int,
        mean: tuple[float, float, float],
        std: tuple[float, float, float],
    ) -> None:
        super().__init__()
        self.normalise = Normalize(mean, std)
        self.encoder = backbone
        self._add_decoder(backbone.channels, WIDE_DECODER, num_classes)

    def encode(self, images: Tensor) -> list[Tensor]:
        """Computes the maps at strides 4, 8, 16 and 32."""
        return list(self.encoder(self.normalise(images)).maps)
