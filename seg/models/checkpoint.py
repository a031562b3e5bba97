"""Checkpoints: the spec and every weight of a network in one `.pt` that loads anywhere."""

import io
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from seg.errors import ArtifactError
from seg.files.atomic import atomic_write
from seg.models.base import Net
from seg.models.nets import build_net
from seg.spec import ModelSpec

FORMAT = "dinoseg checkpoint 1"


def save_net(path: Path, net: Net, spec: ModelSpec, **extra: Any) -> None:
    """Writes a checkpoint, atomically.

    Args:
        path: Ends in `.pt`.
        net: All its weights are written, the frozen ones too: the file needs no other.
        spec: What the network is.
        extra: Tensors and plain values to keep beside them, such as an optimizer's state.
    """
    state = {name: tensor.detach().cpu() for name, tensor in net.state_dict().items()}
    # Through memory: torch's own writer turns a full disk into an error that does not say so.
    content = io.BytesIO()
    torch.save({"format": FORMAT, "spec": spec.to_dict(), "state": state, **extra}, content)
    with atomic_write(path) as part:
        part.write_bytes(content.getbuffer())


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Reads a checkpoint's contents without running code from it.

    Raises:
        ArtifactError: The file is missing, cut, foreign, or holds more than weights.
    """
    if not path.is_file():
        raise ArtifactError(f"No checkpoint at {path}.")
    try:
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


def load_net(path: Path) -> tuple[Net, ModelSpec]:
    """Rebuilds the network of a checkpoint, in eval mode on the CPU, without gradients.

    Raises:
        ArtifactError: The file is missing, cut or foreign, or its weights do not fit its spec.
    """
    contents = read_checkpoint(path)
    spec = ModelSpec.from_dict(contents["spec"])
    _check_state(contents["state"], spec, path)
    net = build_net(spec)
    net.load_state_dict(contents["state"], strict=True)
    return net.eval().requires_grad_(False), spec


def _check_state(state: object, spec: ModelSpec, path: Path) -> None:
    """Raises unless names and shapes are those of the spec's network; builds none of its weights.

    So a spec of a huge network beside other weights is refused at once.
    """
    with torch.device("meta"):
        expected = {name: tensor.shape for name, tensor in build_net(spec).state_dict().items()}
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise ArtifactError(f"{path}: its weights are not tensors by name; take another file.")
    found = {name: tensor.shape for name, tensor in state.items()}
    if wrong := sorted(str(k) for k in {*expected, *found} if expected.get(k) != found.get(k)):
        raise ArtifactError(
            f"{path}: its weights do not fit its spec, {spec.arch}: {len(wrong)} of them are "
            f"missing, unknown or of another shape, the first is '{wrong[0]}'."
        )
