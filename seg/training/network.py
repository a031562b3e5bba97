"""The network that is trained: how it is made, and what is in it."""

import dataclasses

import torch

from seg._version import __version__
from seg.models.backbones.registry import BACKBONES
from seg.models.base import Net, count_parameters
from seg.models.nets import build_net
from seg.models.official_weights import load_backbone
from seg.spec import ModelSpec, segmentation_outputs
from seg.training.config import SegmentationConfig
from seg.training.optim import freeze


def make_net(config: SegmentationConfig) -> tuple[Net, ModelSpec]:
    """Builds the network to train and its spec; the backbone's weights are looked up or loaded.

    Raises:
        ArtifactError: The backbone's weights cannot be had.
    """
    torch.manual_seed(config.seed)
    spec = ModelSpec(
        arch=config.arch,
        outputs=segmentation_outputs(config.classes),
        input_hw=config.input_hw,
        stride=32,
        made_with=f"dinoseg {__version__}, torch {torch.__version__}",
    )
    info = BACKBONES.get(config.arch)
    if info is None:
        return build_net(spec), spec
    spec = dataclasses.replace(spec, mean=info.mean, std=info.std, stride=info.patch_size)
    if config.init and info.is_convolutional:
        # It is trained, so its weights come from the trained model, too.
        return build_net(spec), spec
    backbone = load_backbone(config.arch, config.backbone, config.layers or None)
    if not info.is_convolutional:
        freeze(backbone)
    spec = dataclasses.replace(spec, layers=backbone.layers, backbone=backbone.source)
    return build_net(spec, backbone), spec


def summary(net: Net, spec: ModelSpec) -> str:
    """Returns the network's parts and its numbers of frozen and trainable parameters."""
    lines = [f"{spec.arch}, {', '.join(spec.classes)}"]
    for name, part in net.named_children():
        frozen, trainable = count_parameters(part)
        if frozen + trainable:
            lines.append(f"  {name:12} {frozen:>12,} frozen {trainable:>12,} trainable")
    frozen, trainable = count_parameters(net)
    lines.append(f"  {'in all':12} {frozen:>12,} frozen {trainable:>12,} trainable")
    if spec.backbone:
        lines.append(f"  backbone: {spec.backbone}")
    return "\n".join(lines)
