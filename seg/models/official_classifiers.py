"""Meta's ImageNet heads for DINOv2: read and put on their backbone."""

import re
import warnings
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from seg.errors import ArtifactError, SpecMismatch
from seg.files.checksum import sha256_of
from seg.models.backbones.registry import DINOV2, DINOV2_URL, PublishedFile, backbone_info
from seg.models.base import Net, made_with
from seg.models.classification import NUM_LAYERS
from seg.models.nets import build_net
from seg.models.official_weights import find_file, load_backbone, weights_id
from seg.spec import ModelSpec, classification_outputs

FILE_NAME = re.compile(r"(dinov2_vit[sblg]14)(_reg4)?_(linear|linear4)_head\.pth")
KEYS = {"weight", "bias"}
INPUT_HW = (224, 224)


def find_classifier(name: str) -> Path | None:
    """Returns the file of an ImageNet head; None where a name or a file is no such head.

    Args:
        name: A path, or an official name, which is downloaded where this machine does not have it.

    Raises:
        ArtifactError: It cannot be downloaded.
    """
    path, match = Path(name), FILE_NAME.fullmatch(Path(name).name)
    if path.is_file():
        return path if match or _read(path).keys() == KEYS else None
    if not match or path.name != name:
        return None
    url = f"{DINOV2_URL}/{match[1]}/{name}"
    return find_file(PublishedFile(name=name, license="Apache-2.0", url=url))


def assemble_classifier(
    path: Path,
    class_names: Sequence[str] | None = None,
    *,
    arch: str | None = None,
    backbone: str | None = None,
    input_hw: tuple[int, int] = INPUT_HW,
) -> tuple[Net, ModelSpec]:
    """Puts an ImageNet head on its backbone.

    Args:
        path: The head's file: `weight` `(C, F)` and `bias` `(C,)`, where F tells which head it is.
        class_names: C names in the order of the head; None counts them from 0.
        arch: The backbone's name; None takes it from the file's name, else `dinov2_vits14`.
        backbone: Its weights, as `load_backbone` takes them.
        input_hw: Size of the crop.

    Returns:
        The network in eval mode, without gradients, and its spec.

    Raises:
        ArtifactError: A file cannot be had or is foreign, or the head is not of that backbone.
        SpecMismatch: There are more or fewer names than classes.
    """
    match = FILE_NAME.fullmatch(path.name)
    named = match[1] + ("_reg" if match[2] else "") if match else "dinov2_vits14"
    arch, state = arch or named, _read(path)
    info = backbone_info(arch)
    if info.family != DINOV2 or state.keys() != KEYS or state["weight"].ndim != 2:
        raise ArtifactError(f"{path} is not an ImageNet head of DINOv2: expected weight and bias.")
    num_classes, width = state["weight"].shape
    channels = info.channels[-1]
    heads = {channels * (NUM_LAYERS[name] + 1): name for name in ("linear", "linear4")}
    if width not in heads:
        expected = " or ".join(f"{count} ({name})" for count, name in heads.items())
        raise ArtifactError(f"{path} reads {width} numbers; {arch} gives {expected}. Say --arch.")
    names = tuple(class_names) if class_names else tuple(map(str, range(num_classes)))
    if len(names) != num_classes:
        raise SpecMismatch(f"{path} scores {num_classes} classes; got {len(names)} names.")
    depth, head = len(info.channels), heads[width]
    vit = load_backbone(arch, backbone, range(depth - NUM_LAYERS[head], depth))
    spec = ModelSpec(
        arch=arch,
        outputs=classification_outputs(names),
        head=head,
        input_hw=input_hw,
        fit="center_crop",
        stride=vit.stride,
        layers=vit.layers,
        backbone=f"{vit.source}; head {path.name} sha256:{sha256_of(path)[:16]}",
        weights_id=weights_id(vit),
        made_with=made_with(),
    )
    net = build_net(spec, vit)
    net.get_submodule("head.linear").load_state_dict(state)
    return net.eval().requires_grad_(False), spec


def _read(path: Path) -> dict[str, Tensor]:
    """Returns a file's tensors, float32; nothing where it holds anything else."""
    try:
        with warnings.catch_warnings(action="ignore"):
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception:  # foreign bytes raise nearly anything; the caller says what it expected
        return {}
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        return {}
    return {key: value.detach().float() for key, value in state.items()}
