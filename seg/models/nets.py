"""The networks that are trained and exported: images RGB 0..1 in, logits out."""

from torch import Tensor

from seg.errors import ArtifactError
from seg.models.backbone import Backbone
from seg.models.backbones.vit import CONFIGS, DinoVisionTransformer
from seg.models.base import Net, Normalize
from seg.models.heads import BackgroundMergeHead, BNHead
from seg.models.lite import EfficientNetLiteNet, LiteNet
from seg.spec import ModelSpec

# Networks of any input size that are trained as a whole.
CONVOLUTIONAL: dict[str, type[LiteNet] | type[EfficientNetLiteNet]] = {
    "lite": LiteNet,
    "efficientnet_lite0": EfficientNetLiteNet,
}


class SegmentationNet(Net):
    """Normalization, a frozen DINOv2 backbone, and a small trainable head.

    Args:
        backbone: Frozen; its maps are concatenated.
        num_classes: Maps of the output, the background included.
        mean: Channel means, RGB 0..1.
        std: Channel standard deviations, RGB 0..1.
        num_merged: Classes beyond those that the head scores and counts as background.
    """

    def __init__(
        self,
        backbone: Backbone,
        num_classes: int,
        mean: tuple[float, float, float],
        std: tuple[float, float, float],
        num_merged: int = 0,
    ) -> None:
        super().__init__()
        self.normalise = Normalize(mean, std)
        self.backbone = backbone
        self.head = (
            BackgroundMergeHead(backbone.channels, num_classes, num_merged)
            if num_merged
            else BNHead(backbone.channels, num_classes)
        )

    def training_logits(self, images: Tensor) -> list[Tensor]:
        """Returns the logits alone, `(B, C, H/14, W/14)`: there is no auxiliary head."""
        return [self.head(self.features(images))]

    def features(self, images: Tensor) -> Tensor:
        """Returns what the head reads, `(B, channels, H/14, W/14)`; no gradients pass."""
        maps: Tensor = self.backbone(self.normalise(images))
        return maps


def check_arch(name: str) -> None:
    """Raises ArtifactError where there is no such architecture."""
    if name not in (*CONVOLUTIONAL, *CONFIGS):
        known = ", ".join([*CONVOLUTIONAL, *CONFIGS])
        raise ArtifactError(f"No architecture '{name}'; expected one of {known}.")


def build_net(spec: ModelSpec, backbone: Backbone | None = None) -> Net:
    """Builds the network that a spec describes.

    Args:
        spec: `arch`, `classes`, `merged`, `layers`, `mean` and `std` decide.
        backbone: For DINOv2; None makes an empty one whose weights are loaded afterwards.

    Raises:
        ArtifactError: There is no such architecture.
    """
    num_classes = len(spec.classes)
    if spec.arch in CONVOLUTIONAL:
        return CONVOLUTIONAL[spec.arch](num_classes, spec.mean, spec.std)
    check_arch(spec.arch)
    if backbone is None:
        vit = DinoVisionTransformer(CONFIGS[spec.arch])
        backbone = Backbone(vit, spec.layers, name=spec.arch, source=spec.backbone)
    return SegmentationNet(backbone, num_classes, spec.mean, spec.std, len(spec.merged))
