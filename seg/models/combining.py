"""Combining checkpoints that share a frozen backbone into one network."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from seg.errors import SpecMismatch
from seg.models.backbones.registry import BACKBONES
from seg.models.base import Net
from seg.models.checkpoint import load_net
from seg.models.multi_task import combine_specs
from seg.models.nets import build_net
from seg.spec import ModelSpec, embedding_outputs


def combine(paths: Sequence[Path], has_embedding: bool = False) -> tuple[Net, ModelSpec]:
    """Puts the heads of several checkpoints on their backbone.

    Args:
        paths: Checkpoints of different tasks on the same backbone; images are fitted as of the
            first one.
        has_embedding: Whether the network returns the backbone's features, too.

    Returns:
        The network in eval mode, without gradients, and its spec.

    Raises:
        ArtifactError: A file is missing or damaged.
        SpecMismatch: The models share no frozen backbone, or there is one task alone.
    """
    loaded = [load_net(path) for path in paths]
    specs = [spec for _, spec in loaded]
    if has_embedding:
        specs.append(_embedding_of(specs[0]))
    if len(specs) < 2:
        raise SpecMismatch("There is one model; name several with --models, or add --embed.")
    spec = combine_specs(specs)
    net = build_net(spec)
    state: dict[str, Tensor] = {}
    for part, own in loaded:
        task = own.outputs[0].task
        for name, tensor in part.state_dict().items():
            is_shared = name.startswith(("backbone.", "normalise."))
            state[name if is_shared else f"parts.{task}.{name}"] = tensor
    net.load_state_dict(state)
    return net.eval().requires_grad_(False), spec


def _embedding_of(spec: ModelSpec) -> ModelSpec:
    """Returns the spec of the features that stand for an image, on the same backbone."""
    info = BACKBONES.get(spec.arch)
    if info is None:
        raise SpecMismatch(f"{spec.arch} has no backbone whose features could be returned.")
    outputs = embedding_outputs(is_mean=info.is_convolutional)
    return dataclasses.replace(spec, outputs=outputs, layers=info.embedding_layers, head="")
