"""The baseline's network: DINOv2 ViT-S/14 and the tutorial's head, eager torch in float32."""

from seg.models.official_weights import RANDOM, load_backbone
from seg.models.segmentation import LinearSegmentationNet
from seg.runtimes.pytorch import TorchRuntime, pick_device
from seg.spec import ModelSpec, segmentation_outputs

NAME = "dinov2_vits14"


def open_tutorial(device: str) -> TorchRuntime:
    """Builds it with random weights: as fast as with any others, and its masks mean nothing.

    Raises:
        EngineMissing: The device is not available.
    """
    place = pick_device(device)
    backbone = load_backbone(NAME, RANDOM)
    spec = ModelSpec(
        arch=NAME,
        outputs=segmentation_outputs(("background", "person")),
        input_hw=(640, 640),
        stride=backbone.stride,
        canvas_hw=(644, 644),
        layers=backbone.layers,
        backbone=backbone.source,
    )
    net = LinearSegmentationNet(backbone, len(spec.classes), spec.mean, spec.std)
    return TorchRuntime(net.eval().requires_grad_(False).to(place), spec, place)
