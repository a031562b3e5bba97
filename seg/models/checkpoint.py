"""Checkpoints: the spec of a network and its weights in one `.pt`."""

import io
import zipfile
from collections.abc import Collection
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from seg.errors import ArtifactError
from seg.files.atomic import atomic_write
from seg.models.backbones.base import Backbone
from seg.models.base import Net
from seg.models.nets import build_net
from seg.models.official_weights import load_published
from seg.spec import ModelSpec

FORMAT = "dinoseg checkpoint 1"


def save_net(
    path: Path, net: Net, spec: ModelSpec, *, without: Collection[str] = (), **extra: Any
) -> None:
    """Writes a checkpoint, atomically.

    Args:
        path: Ends in `.pt`.
        net: Its weights are written, the frozen ones too.
        spec: What the network is.
        without: Names of weights to leave out, as of `published_names`; the file then needs the
            published one. Empty: it needs no other.
        extra: Tensors and plain values to keep beside them, such as an optimizer's state.
    """
    state = {k: v.detach().cpu() for k, v in net.state_dict().items() if k not in without}
    contents = {"format": FORMAT, "spec": spec.to_dict(), "state": state, **extra}
    if without:
        contents["published"] = sorted(without)
    # Through memory: torch's own writer turns a full disk into an error that does not say so.
    content = io.BytesIO()
    torch.save(contents, content)
    with atomic_write(path) as part:
        part.write_bytes(content.getbuffer())


def published_names(net: Net) -> set[str]:
    """Returns the names of the weights that are frozen and that a published file holds.

    A network whose backbone is frozen needs no copy of it in each of its checkpoints.
    """
    return {
        f"{prefix}.{name}"
        for prefix, part in net.named_modules()
        if isinstance(part, Backbone) and part.is_published
        if not any(parameter.requires_grad for parameter in part.parameters())
        for name in part.state_dict()
    }


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Reads a checkpoint's contents without running code from it.

    Raises:
        ArtifactError: The file is missing, cut, damaged, foreign, or holds more than weights.
    """
    if not path.is_file():
        raise ArtifactError(f"No checkpoint at {path}.")
    try:
        _check_sums(path)
        contents = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged files raise nearly anything in there
        raise ArtifactError(
            f"{path} is not a checkpoint, is damaged, or holds more than weights "
            f"({type(error).__name__}); take one that train.py wrote."
        ) from error
    if not isinstance(contents, dict) or contents.get("format") != FORMAT:
        raise ArtifactError(f"{path} was not written by dinoseg's train.py.")
    if missing := sorted({"spec", "state"} - contents.keys()):
        raise ArtifactError(f"{path} lacks {', '.join(missing)}; take one that train.py wrote.")
    return contents


def _check_sums(path: Path) -> None:
    """Raises BadZipFile where bytes have changed: torch.load does not compare the checksums."""
    with zipfile.ZipFile(path) as archive:
        if (name := archive.testzip()) is not None:
            raise zipfile.BadZipFile(name)


def read_state(path: Path) -> tuple[dict[str, Tensor], ModelSpec]:
    """Reads the weights that a checkpoint holds, checked to fit its spec, and the spec.

    Raises:
        ArtifactError: The file is missing, damaged or foreign, or its weights do not fit its spec.
    """
    state, spec, _ = _read(path)
    return state, spec


def load_net(path: Path) -> tuple[Net, ModelSpec]:
    """Rebuilds the network of a checkpoint, in eval mode on the CPU, without gradients.

    Raises:
        ArtifactError: As of `read_state`, or it needs a published file that is not here.
    """
    state, spec, is_partial = _read(path)
    backbone = None
    if is_partial:
        try:
            backbone = load_published(spec.arch, spec.layers or None, spec.weights_id)
        except ArtifactError as error:
            raise ArtifactError(f"{path} holds a head alone. {error}") from error
    net = build_net(spec, backbone)
    net.load_state_dict(state, strict=backbone is None)
    return net.eval().requires_grad_(False), spec


def _read(path: Path) -> tuple[dict[str, Tensor], ModelSpec, bool]:
    """Returns what `read_state` does, and whether weights are missing that are published."""
    contents = read_checkpoint(path)
    spec, published = ModelSpec.from_dict(contents["spec"]), contents.get("published", ())
    missing = _check_state(contents["state"], published, spec, path)
    return contents["state"], spec, bool(missing)


def _check_state(state: object, published: object, spec: ModelSpec, path: Path) -> set[str]:
    """Returns the weights that are missing because they are published; builds none of them.

    Raises unless all other names and shapes are those of the spec's network.

    So a spec of a huge network beside other weights is refused at once.
    """
    with torch.device("meta"):
        expected = {name: tensor.shape for name, tensor in build_net(spec).state_dict().items()}
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise ArtifactError(f"{path}: its weights are not tensors by name; choose another file.")
    found = {name: tensor.shape for name, tensor in state.items()}
    if isinstance(published, list) and spec.weights_id:
        found |= {name: expected[name] for name in published if name in expected}
    if wrong := sorted(str(k) for k in {*expected, *found} if expected.get(k) != found.get(k)):
        raise ArtifactError(
            f"{path}: its weights do not fit its spec, {spec.arch}: {len(wrong)} of them are "
            f"missing, unknown or of another shape, the first is '{wrong[0]}'."
        )
    return expected.keys() - state.keys()
