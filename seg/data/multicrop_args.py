"""What the random views of self-supervised pre-training look like."""

import dataclasses

from seg.imaging.letterbox import Size
from seg.spec import IMAGENET_MEAN, IMAGENET_STD

Range = tuple[float, float]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class RandomResize:
    """Share of the image's area that a crop covers, before it is resized to the view."""

    min_scale: float = 0.32
    max_scale: float = 1.0


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class RandomFlip:
    """Probabilities of mirroring."""

    horizontal_prob: float = 0.5
    vertical_prob: float = 0.0


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class RandomRotation:
    """Rotation by up to `degrees` either way."""

    prob: float
    degrees: float


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ColorJitter:
    """Largest changes of color; each is multiplied by `strength`."""

    prob: float = 0.8
    strength: float = 0.5
    brightness: float = 0.8
    contrast: float = 0.8
    saturation: float = 0.4
    hue: float = 0.2


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ChannelDrop:
    """Sets all but `num_channels_keep` channels to 0; of larger weight are dropped more often."""

    num_channels_keep: int
    weight_drop: tuple[float, float, float] = (1.0, 1.0, 1.0)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class GaussianBlur:
    """Blur; the standard deviation is drawn from `sigmas`, in pixels."""

    prob: float = 1.0
    sigmas: Range = (0.1, 2.0)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Solarize:
    """Inverts what is brighter than `threshold`, 0..1."""

    prob: float = 0.2
    threshold: float = 0.5


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Normalize:
    """Mean and deviation of the channels, RGB 0..1."""

    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class GlobalView:
    """What differs between the two global views."""

    gaussian_blur: GaussianBlur | None = None
    solarize: Solarize | None = None


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class LocalView:
    """The local views; None in place of them draws none."""

    num_views: int = 8
    view_size: Size = (98, 98)
    random_resize: RandomResize = RandomResize(min_scale=0.05, max_scale=0.32)
    gaussian_blur: GaussianBlur | None = GaussianBlur(prob=0.5)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class TransformArgs:
    """All views of an image: two global ones and the local ones.

    `solarize` is that of global view 0 and of the local views; global view 1 has its own.
    """

    image_size: Size = (224, 224)
    random_resize: RandomResize = RandomResize()
    random_flip: RandomFlip | None = RandomFlip()
    random_rotation: RandomRotation | None = None
    color_jitter: ColorJitter | None = ColorJitter()
    channel_drop: ChannelDrop | None = None
    random_gray_scale: float | None = 0.2
    solarize: Solarize | None = None
    normalize: Normalize = Normalize()
    num_channels: int = 3
    global_view_0: GlobalView = GlobalView(gaussian_blur=GaussianBlur(prob=1.0))
    global_view_1: GlobalView = GlobalView(
        gaussian_blur=GaussianBlur(prob=0.1), solarize=Solarize()
    )
    local_view: LocalView | None = LocalView()
