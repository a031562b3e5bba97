"""The network that is trained: how it is made, and what is in it."""

import dataclasses

import torch

from seg.models.backbones.registry import backbone_info
from seg.models.base import Net, count_parameters, made_with
from seg.models.nets import build_net
from seg.models.official_weights import load_backbone, weights_id
from seg.spec import ModelSpec, Output
from seg.training.config import BackboneConfig, FrozenConfig, ModelConfig
from seg.training.optim import freeze

STRIDE = 32  # of networks without a backbone


def make_net(model: ModelConfig, outputs: tuple[Output, ...], seed: int) -> tuple[Net, ModelSpec]:
    """Builds a network to train, its frozen parts frozen, and its spec.

    Args:
        model: What is built, and what of it is trained.
        outputs: What it returns.
        seed: Of the weights that are not loaded.

    Raises:
        ArtifactError: There is no such architecture, or the backbone's weights cannot be had.
        SpecMismatch: The backbone has no such layer.
    """
    torch.manual_seed(seed)
    spec = ModelSpec(
        arch=model.arch,
        outputs=outputs,
        input_hw=model.input_hw,
        stride=STRIDE,
        made_with=made_with(),
    )
    if not isinstance(model, BackboneConfig):
        return build_net(spec), spec
    info, is_frozen = backbone_info(model.arch), isinstance(model, FrozenConfig)
    spec = dataclasses.replace(spec, mean=info.mean, std=info.std, stride=info.patch_size)
    if model.init and not is_frozen:
        # The backbone is trained, so its weights come from the trained model, too.
        return build_net(spec), spec
    backbone = load_backbone(model.arch, model.backbone, model.layers or None)
    if is_frozen:
        freeze(backbone)
    spec = dataclasses.replace(
        spec,
        layers=backbone.layers,
        backbone=backbone.source,
        weights_id=weights_id(backbone) if is_frozen else "",
    )
    return build_net(spec, backbone), spec


def summary(net: Net, spec: ModelSpec) -> str:
    """Returns the network's parts and its numbers of frozen and trainable parameters."""
    outputs = (f"{output.name}: {', '.join(output.classes)}" for output in spec.outputs)
    lines = [f"{spec.arch}, {'; '.join(outputs)}"]
    for name, part in net.named_children():
        frozen, trainable = count_parameters(part)
        if frozen + trainable:
            lines.append(f"  {name:12} {frozen:>12,} frozen {trainable:>12,} trainable")
    frozen, trainable = count_parameters(net)
    lines.append(f"  {'in all':12} {frozen:>12,} frozen {trainable:>12,} trainable")
    if spec.backbone:
        lines.append(f"  backbone: {spec.backbone}")
    return "\n".join(lines)
