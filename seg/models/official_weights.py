"""Meta's own weights of DINOv2: where they are, where they come from, how they are read."""

import logging
import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from seg.errors import ArtifactError
from seg.files.cache_folders import cache_folder
from seg.files.checksum import sha256_of
from seg.files.default_artifacts import WEIGHTS
from seg.files.download import fetch
from seg.models.backbone import Backbone
from seg.models.backbones.vit import CONFIGS, DinoVisionTransformer

BASE_URL = "https://dl.fbaipublicfiles.com/dinov2"
# Bytes and SHA-256 of the files whose digest is published; the others' sizes come from the server.
KNOWN_FILES = {
    "dinov2_vits14": (
        88_283_115,
        "b938bf1bc15cd2ec0feacfe3a1bb553fe8ea9ca46a7e1d8d00217f29aef60cd9",
    ),
}
RANDOM = "random"
logger = logging.getLogger("seg")


def load_backbone(
    name: str, weights: str | Path | None = None, layers: Sequence[int] | None = None
) -> Backbone:
    """Loads a frozen backbone with the official weights.

    Args:
        name: A key of `seg.models.backbones.vit.CONFIGS`, such as `dinov2_vits14`.
        weights: A file in the official format; `random` for untrained weights, the same on each
            call; None looks for the official file in `weights/` of the repository, in torch hub's
            cache and in ours, and downloads it into ours.
        layers: Blocks to read, from 0; None takes the last four.

    Returns:
        The backbone, float32 on the CPU; its `source` names the weights that it holds.

    Raises:
        ArtifactError: No such model, or its file cannot be had, or is foreign or damaged.
        SpecMismatch: The network has no such block.
    """
    if name not in CONFIGS:
        raise ArtifactError(f"No backbone '{name}'; expected one of {', '.join(CONFIGS)}.")
    if weights == RANDOM:
        return Backbone(_random_vit(name), layers, name=name, source="random (seed 0)")
    path = Path(weights) if weights is not None else find_official(name)
    with torch.device("meta"):  # no memory for weights that are replaced next, no random draws
        vit = DinoVisionTransformer(CONFIGS[name])
    vit.load_state_dict(read_official(path, name), assign=True)
    source = f"{path.name} sha256:{sha256_of(path)[:16]}"
    return Backbone(vit, layers, name=name, source=source)


def find_official(name: str) -> Path:
    """Returns the official file of a model, downloaded where this machine does not have it.

    Raises:
        ArtifactError: It is nowhere here and cannot be downloaded.
    """
    return find_file(
        _file_name(name), name.removesuffix("_reg"), *KNOWN_FILES.get(name, (None, None))
    )


def find_file(
    file_name: str, folder: str, size: int | None = None, sha256: str | None = None
) -> Path:
    """Looks for one of Meta's files here, else downloads it into the cache.

    Args:
        file_name: The file's official name.
        folder: Its folder below `BASE_URL`.
        size: Its bytes, where they are known.
        sha256: Its hash, where it is known.

    Raises:
        ArtifactError: It is nowhere here and cannot be downloaded.
    """
    local = _find_local(file_name)
    if local is not None:
        return local
    cached = _places(file_name)[-1]
    fetch(f"{BASE_URL}/{folder}/{file_name}", cached, size=size, sha256=sha256)
    if sha256 is None:
        logger.warning("No checksum of %s is known; only its size was checked.", file_name)
    return cached


def find_local(name: str) -> Path | None:
    """Returns the official file of a model where this machine has it; never downloads."""
    return _find_local(_file_name(name))


def _find_local(file_name: str) -> Path | None:
    return next((path for path in _places(file_name) if path.is_file()), None)


def _places(file_name: str) -> list[Path]:
    """Returns where a file may be; a download goes to the last one."""
    hub = Path(torch.hub.get_dir()) / "checkpoints"
    return [folder / file_name for folder in (WEIGHTS, hub, cache_folder("weights"))]


def _file_name(name: str) -> str:
    # Meta calls the four registers `reg4` in its file names, and not in its folder names.
    return name.replace("_reg", "_reg4") + "_pretrain.pth"


def read_official(path: Path, name: str) -> dict[str, Tensor]:
    """Reads a weights file in the official format, without running code from it.

    Args:
        path: The file.
        name: The model that it should hold.

    Returns:
        The state dict, float32, with exactly the keys and shapes of that model.

    Raises:
        ArtifactError: The file is missing, damaged, foreign, or holds another model.
    """
    if not path.is_file():
        raise ArtifactError(f"No weights file at {path}; leave it out to download the official.")
    try:
        with warnings.catch_warnings(action="ignore"):
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # foreign bytes raise nearly anything: nine kinds were seen
        # torch's own text would advise to switch its safety off, so it stays in __cause__.
        raise ArtifactError(
            f"{path} is not a weights file, or is damaged; expected DINOv2's official {name}. "
            "Delete it and download it again."
        ) from error
    if not isinstance(state, dict) or not all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in state.items()
    ):
        raise ArtifactError(f"{path} is not a plain state dict, which {name}'s official file is.")
    _check_fit(path, name, {key: tuple(value.shape) for key, value in state.items()})
    return {key: value.float() for key, value in state.items()}


def _random_vit(name: str) -> DinoVisionTransformer:
    logger.warning("RANDOM WEIGHTS: %s is not trained; its masks mean nothing beyond a test.", name)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return DinoVisionTransformer(CONFIGS[name])


def _check_fit(path: Path, name: str, got: Mapping[str, tuple[int, ...]]) -> None:
    """Raises ArtifactError unless keys and shapes are exactly those of the model."""
    with torch.device("meta"):
        model = DinoVisionTransformer(CONFIGS[name])
    expected = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    faults = {
        "missing": [key for key in expected if key not in got],
        "unexpected": [key for key in got if key not in expected],
        "of another shape": [k for k in expected if k in got and got[k] != expected[k]],
    }
    found = [f"{len(keys)} {kind} (first {keys[0]})" for kind, keys in faults.items() if keys]
    if found:
        hint = _recognize(got)
        raise ArtifactError(
            f"{path} does not hold {name}: tensors {', '.join(found)}."
            + (f" It looks like {hint}; ask for that model." if hint and hint != name else "")
        )


def _recognize(shapes: Mapping[str, tuple[int, ...]]) -> str | None:
    """Name of the official model that a state dict is of, by width, depth and registers."""
    blocks = {match[1] for key in shapes if (match := re.match(r"blocks\.(\d+)\.", key))}
    width = shapes.get("cls_token", (0,))[-1]
    registers = shapes.get("register_tokens", (0, 0, 0))[1]
    for name, config in CONFIGS.items():
        if (config.embed_dim, config.depth, config.registers) == (width, len(blocks), registers):
            return name
    return None
