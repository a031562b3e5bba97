"""The network that is trained: how it is made, and what is in it."""

import dataclasses
from pathlib import Path
from typing import cast

import torch

from seg._version import __version__
from seg.models.backbones import efficientnet_lite
from seg.models.base import Net, count_parameters
from seg.models.lite import EfficientNetLiteNet
from seg.models.nets import build_net
from seg.models.official_weights import load_backbone
from seg.spec import ModelSpec, segmentation_outputs
from seg.training.config import SegmentationConfig


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
    if config.arch == "lite":
        return build_net(spec), spec
    if config.arch == "efficientnet_lite0":
        # A training that starts from a trained model needs no other weights.
        return _pretrained(spec, "random" if config.init else config.backbone)
    backbone = load_backbone(config.arch, config.backbone, config.layers or None)
    spec = dataclasses.replace(
        spec, stride=backbone.patch_size, layers=backbone.layers, backbone=backbone.source
    )
    return build_net(spec, backbone), spec


def _pretrained(spec: ModelSpec, backbone: str | None) -> tuple[Net, ModelSpec]:
    """Builds the network with ImageNet weights in its encoder, unless `backbone` is `random`."""
    spec = dataclasses.replace(spec, mean=efficientnet_lite.MEAN, std=efficientnet_lite.STD)
    net = cast(EfficientNetLiteNet, build_net(spec))
    if backbone != "random":
        path = Path(backbone) if backbone else efficientnet_lite.find_weights()
        net.encoder.load_state_dict(efficientnet_lite.read_weights(path))
    return net, spec


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
