"""The networks by task and architecture: images RGB 0..1 in, the outputs of a spec out."""

import dataclasses
from typing import Protocol

import torch

from seg.errors import ArtifactError, SpecMismatch
from seg.models.backbones.base import Backbone
from seg.models.backbones.efficientnet_lite import STRIDES
from seg.models.backbones.registry import BACKBONES, DINOV2, EFFICIENTNET_LITE, backbone_info
from seg.models.base import BackboneNet, Net
from seg.models.classification import ClassificationNet
from seg.models.embedding import FeatureNet, PooledFeatureNet
from seg.models.lite import EfficientNetLiteNet, LiteNet
from seg.models.multi_task import MultiTaskNet
from seg.models.segmentation import LinearSegmentationNet
from seg.spec import CLASSIFICATION, EMBEDDING, SEGMENTATION, ModelSpec


class NetBuilder(Protocol):
    """Builds the network of a spec, with weights drawn from torch's generator."""

    def __call__(self, spec: ModelSpec, backbone: Backbone | None) -> Net:
        """Builds it; `backbone` is None where the architecture is not one of the backbones."""


def _lite(spec: ModelSpec, backbone: Backbone | None) -> Net:
    return LiteNet(len(spec.classes), spec.mean, spec.std)


def _linear_segmentation(spec: ModelSpec, backbone: Backbone | None) -> Net:
    assert backbone is not None
    return LinearSegmentationNet(backbone, len(spec.classes), spec.mean, spec.std, len(spec.merged))


def _lite_on_backbone(spec: ModelSpec, backbone: Backbone | None) -> Net:
    assert backbone is not None
    if backbone.layers:
        raise SpecMismatch(f"All maps of {spec.arch} are read to segment; omit --layers.")
    return EfficientNetLiteNet(backbone, len(spec.classes), spec.mean, spec.std)


def _features(spec: ModelSpec, backbone: Backbone | None) -> Net:
    assert backbone is not None
    return FeatureNet(backbone, spec.mean, spec.std)


def _pooled_features(spec: ModelSpec, backbone: Backbone | None) -> Net:
    assert backbone is not None
    strides = [STRIDES[index] for index in backbone.layers] or STRIDES
    return PooledFeatureNet(backbone, spec.mean, spec.std, strides)


def _classification(spec: ModelSpec, backbone: Backbone | None) -> Net:
    assert backbone is not None
    num_classes = len(spec.output(CLASSIFICATION).classes)
    has_class_token = not BACKBONES[spec.arch].is_convolutional
    return ClassificationNet(backbone, spec.head, has_class_token, num_classes, spec.mean, spec.std)


# By task, and by architecture or, of networks on a backbone, by its family.
NETS: dict[tuple[str, str], NetBuilder] = {
    (SEGMENTATION, "lite"): _lite,
    (SEGMENTATION, EFFICIENTNET_LITE): _lite_on_backbone,
    (SEGMENTATION, DINOV2): _linear_segmentation,
    (EMBEDDING, EFFICIENTNET_LITE): _pooled_features,
    (EMBEDDING, DINOV2): _features,
    (CLASSIFICATION, EFFICIENTNET_LITE): _classification,
    (CLASSIFICATION, DINOV2): _classification,
}


def architectures(task: str) -> list[str]:
    """Returns the architectures that there are for a task; those on a backbone come last."""
    families = [family for own_task, family in NETS if own_task == task]
    on_backbone = [name for name, info in BACKBONES.items() if info.family in families]
    known = {info.family for info in BACKBONES.values()}
    return [*(name for name in families if name not in known), *on_backbone]


def check_arch(name: str, task: str) -> None:
    """Raises ArtifactError where a task has no such architecture."""
    if name not in (known := architectures(task)):
        raise ArtifactError(f"No {task} architecture '{name}'; expected one of {', '.join(known)}.")


def is_convolutional(arch: str) -> bool:
    """Tells whether an architecture's graph takes images of any size that its stride divides."""
    return arch not in BACKBONES or BACKBONES[arch].is_convolutional


def build_net(spec: ModelSpec, backbone: Backbone | None = None) -> Net:
    """Builds the network that a spec describes.

    Args:
        spec: `arch`, `outputs`, `merged`, `layers`, `mean` and `std` decide.
        backbone: For an architecture on a backbone; None makes one with new random weights.

    Raises:
        ArtifactError: There is no such architecture.
    """
    task = "+".join(dict.fromkeys(output.task for output in spec.outputs))
    if "+" in task:
        return _build_multi_task(spec, backbone)
    check_arch(spec.arch, task)
    info = BACKBONES.get(spec.arch)
    if info and backbone is None:
        backbone = info.build(spec.arch, spec.layers, spec.backbone)
    return NETS[task, info.family if info else spec.arch](spec, backbone)


def _build_multi_task(spec: ModelSpec, backbone: Backbone | None) -> Net:
    """Builds the heads of several tasks on one backbone."""
    backbone = backbone or backbone_info(spec.arch).build(spec.arch, spec.layers, spec.backbone)
    parts: dict[str, BackboneNet] = {}
    layers: dict[str, tuple[int, ...]] = {}
    for task in dict.fromkeys(output.task for output in spec.outputs):
        outputs = spec.outputs_for(task)
        layers[task] = outputs[0].layers
        alone = dataclasses.replace(spec, outputs=outputs, layers=layers[task])
        # Heads are built for the channels of their own layers; its weights come from the file.
        with torch.device("meta"):
            own = backbone_info(spec.arch).build(spec.arch, layers[task] or None, "")
        part = build_net(alone, own)
        if not isinstance(part, BackboneNet):
            raise SpecMismatch(f"{spec.arch} for {task} is trained as a whole; it shares nothing.")
        parts[task] = part
    return MultiTaskNet(backbone, parts, layers, spec.mean, spec.std)
