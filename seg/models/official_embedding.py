"""A backbone with its published weights as a network that embeds images."""

from collections.abc import Sequence

from seg.models.backbones.registry import backbone_info
from seg.models.base import Net, made_with
from seg.models.nets import build_net
from seg.models.official_weights import load_backbone, weights_id
from seg.spec import ModelSpec, embedding_outputs

INPUT_HW = (224, 224)  # as the published features are measured


def assemble_embedding(
    arch: str,
    weights: str | None = None,
    *,
    layers: Sequence[int] | None = None,
    input_hw: tuple[int, int] = INPUT_HW,
    fit: str = "center_crop",
) -> tuple[Net, ModelSpec]:
    """Puts a backbone into a network that returns its features.

    Args:
        arch: The backbone's name.
        weights: As `load_backbone` takes them.
        layers: The layers to put side by side, from 0; None takes DINOv2's last one; of a
            convolutional backbone all are taken.
        input_hw: Size that images are fitted to.
        fit: How they are, of `seg.imaging.fits.FITS`.

    Returns:
        The network in eval mode, without gradients, and its spec: an ordinary checkpoint's
        contents.

    Raises:
        ArtifactError: There is no such backbone, or its file cannot be had or is foreign.
        SpecMismatch: The backbone has no such layer.
    """
    info = backbone_info(arch)
    backbone = load_backbone(arch, weights, layers or info.embedding_layers)
    spec = ModelSpec(
        arch=arch,
        outputs=embedding_outputs(is_mean=info.is_convolutional),
        input_hw=input_hw,
        fit=fit,
        stride=backbone.stride,
        layers=backbone.layers,
        backbone=backbone.source,
        weights_id=weights_id(backbone),
        mean=info.mean,
        std=info.std,
        made_with=made_with(),
    )
    return build_net(spec, backbone).eval().requires_grad_(False), spec
