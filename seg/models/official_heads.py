"""Meta's segmentation heads for DINOv2, without mmcv: read, reduced to some classes, assembled."""

import difflib
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
from seg.models.class_names import BACKGROUND, BY_COUNT
from seg.models.nets import build_net
from seg.models.official_weights import find_file, load_backbone, weights_id
from seg.spec import ModelSpec, segmentation_outputs

PREFIX = "decode_head."
NORM = tuple(f"bn.{k}" for k in ("weight", "bias", "running_mean", "running_var"))
KEYS = (*NORM, "bn.num_batches_tracked", "conv_seg.weight", "conv_seg.bias")
FILE_NAME = re.compile(r"(dinov2_vit[sblg]14)_(?:voc2012|ade20k)_(?:linear|ms)_head\.pth")
NEVER = -1e4  # a score below any real one, and within the range of float16


def find_head(name: str) -> Path:
    """Returns a head's file: a path, or the name of an official one, downloaded where needed.

    Raises:
        ArtifactError: It is neither, or cannot be downloaded.
    """
    path, match = Path(name), FILE_NAME.fullmatch(name)
    if path.is_file():
        return path
    if not match:
        raise ArtifactError(
            f"No head at {path}; expected a file, or an official name such as "
            "dinov2_vits14_voc2012_ms_head.pth."
        )
    url = f"{DINOV2_URL}/{match[1]}/{name}"
    return find_file(PublishedFile(name=name, license="Apache-2.0", url=url))


def arch_of(path: Path) -> str:
    """Returns the backbone named in a head's file name, else `dinov2_vits14`."""
    match = FILE_NAME.fullmatch(path.name)
    return match[1] if match else "dinov2_vits14"


def read_head(path: Path) -> dict[str, Tensor]:
    """Reads a head's file, without running code from it.

    Returns:
        The state of a `BNHead`, float32, with exactly its keys.

    Raises:
        ArtifactError: The file is damaged, foreign, or holds objects beside its weights.
    """
    try:
        with warnings.catch_warnings(action="ignore"):
            contents = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # foreign bytes raise nearly anything
        if "Unsupported global" not in str(error):
            raise ArtifactError(
                f"{path} is not a weights file, or is damaged; download it again."
            ) from error
        raise ArtifactError(
            f"{path} holds objects beside its weights, which are not loaded since they can run "
            "code. If you trust its source, copy the weights alone and take the copy: python -c "
            f"\"import torch; torch.save({{'state_dict': torch.load('{path}', weights_only=False)"
            "['state_dict']}, 'head.pth')\""
        ) from error
    state = contents.get("state_dict") if isinstance(contents, dict) else None
    found = {} if not isinstance(state, dict) else state
    if set(found) != {PREFIX + key for key in KEYS}:
        first = ", ".join(map(str, list(found)[:3])) or "nothing"
        raise ArtifactError(
            f"{path} is not a segmentation head of DINOv2: expected state_dict with {PREFIX}bn.* "
            f"and {PREFIX}conv_seg.*; got {first}."
        )
    head = {key: found[PREFIX + key].detach() for key in KEYS}
    sizes = {key: tuple(head[key].shape) for key in KEYS}
    classes, channels = (*sizes["conv_seg.weight"], 0, 0)[:2]
    right: dict[str, tuple[int, ...]] = {
        **dict.fromkeys(NORM, (channels,)),
        "bn.num_batches_tracked": (),
        "conv_seg.weight": (classes, channels, 1, 1),
        "conv_seg.bias": (classes,),
    }
    if sizes != right:
        wrong = next(key for key in KEYS if sizes[key] != right[key])
        raise ArtifactError(f"{path}: {wrong} has shape {sizes[wrong]}; expected {right[wrong]}.")
    return {k: v.float() if v.is_floating_point() else v for k, v in head.items()}


def select(
    head: dict[str, Tensor], names: Sequence[str], wanted: Sequence[str] | None
) -> tuple[dict[str, Tensor], tuple[str, ...], tuple[str, ...]]:
    """Puts the classes that are wanted first; the others follow, to be merged.

    Args:
        head: As `read_head` returns it.
        names: Its classes.
        wanted: Some of them, without the background; None takes all.

    Returns:
        The state of a `BackgroundMergeHead`, its classes (background first), and the merged ones.
        Where nothing is left for the background a class that never wins stands in for it.

    Raises:
        SpecMismatch: A class is unknown, or named twice.
    """
    kept = [name for name in names if name != BACKGROUND] if wanted is None else list(wanted)
    for name in kept:
        if name not in names or name == BACKGROUND or kept.count(name) > 1:
            raise SpecMismatch(_problem(name, names))
    rest = [name for name in names if name not in kept]
    order = [names.index(name) for name in (*kept, *rest)]
    weight, bias = head["conv_seg.weight"][order], head["conv_seg.bias"][order]
    if not rest:
        rest = [BACKGROUND]
        weight = torch.cat([weight, torch.zeros_like(weight[:1])])
        bias = torch.cat([bias, torch.full_like(bias[:1], NEVER)])
    state = {**head, "conv_seg.weight": weight, "conv_seg.bias": bias}
    return state, (BACKGROUND, *kept), tuple(rest)


def assemble(
    path: Path,
    wanted: Sequence[str] | None = ("person",),
    *,
    arch: str | None = None,
    backbone: str | None = None,
    input_hw: tuple[int, int] = (640, 640),
) -> tuple[Net, ModelSpec]:
    """Puts an official head on its backbone.

    Args:
        path: The head's file.
        wanted: Classes to keep, the others merge into the background; None keeps all.
        arch: The backbone's name; None takes it from the file's name.
        backbone: Its weights, as `load_backbone` takes them.
        input_hw: Size that images are fitted into.

    Returns:
        The network in eval mode, without gradients, and its spec: an ordinary checkpoint's
        contents.

    Raises:
        ArtifactError: A file cannot be had or is foreign, or the head is not of that backbone.
        SpecMismatch: A class is unknown.
    """
    arch, head = arch or arch_of(path), read_head(path)
    count, channels = head["conv_seg.weight"].shape[:2]
    info = backbone_info(arch)
    width, depth = info.channels[-1], len(info.channels)
    blocks = {width: 1, 4 * width: 4}.get(channels)
    if info.family != DINOV2:
        raise ArtifactError(f"{path} is a head of DINOv2; {arch} is another backbone. Say --arch.")
    if blocks is None:
        raise ArtifactError(
            f"{path} reads {channels} channels; {arch} gives {width} (linear) or "
            f"{4 * width} (ms). Say --arch."
        )
    if count not in BY_COUNT:
        raise ArtifactError(
            f"{path} scores {count} classes; expected {' or '.join(map(str, BY_COUNT))}."
        )
    state, classes, merged = select(head, BY_COUNT[count], wanted)
    vit = load_backbone(arch, backbone, range(depth - blocks, depth))
    spec = ModelSpec(
        arch=arch,
        outputs=segmentation_outputs(classes),
        merged=merged,
        input_hw=input_hw,
        stride=vit.stride,
        layers=vit.layers,
        backbone=f"{vit.source}; head {path.name} sha256:{sha256_of(path)[:16]}",
        weights_id=weights_id(vit),
        made_with=made_with(),
    )
    net = build_net(spec, vit)
    net.get_submodule("head").load_state_dict(state, strict=True)
    return net.eval().requires_grad_(False), spec


def _problem(name: str, names: Sequence[str]) -> str:
    if name == BACKGROUND:
        return "Leave 'background' out: it is what the other classes merge into."
    if name in names:
        return f"The class '{name}' is named twice."
    close = difflib.get_close_matches(name, names, 3, 0.5)
    return f"This head has no class '{name}'; it has {', '.join(close or names)}."
