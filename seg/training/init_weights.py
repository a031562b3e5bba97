"""Where a training starts: at random weights, or at those of a model that is trained already."""

from collections.abc import Callable
from pathlib import Path

import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from seg.errors import ArtifactError, SpecMismatch
from seg.models.base import Net
from seg.models.checkpoint import read_state
from seg.models.nets import architectures, is_convolutional
from seg.spec import METADATA_KEY, SEGMENTATION, ModelSpec

FOLDED = ".weight_bias"  # what the exporter calls a batch norm that went into the weight before it
SCORING = ("head.", "aux.")
FROZEN = "backbone."

State = dict[str, Tensor]


def check_init(path: Path, arch: str) -> None:
    """Raises as `init_weights_from` does, as far as that can be known without the network."""
    _, source = _read(path)
    if source.arch != arch:
        raise SpecMismatch(f"--init {path} is {source.arch}; the training is of {arch}.")


def init_weights_from(path: Path, net: Net, spec: ModelSpec, views: Callable[[], Tensor]) -> str:
    """Gives a network the weights of a trained one of the same architecture.

    Where the classes differ, what scores them keeps its random weights. A frozen backbone stays:
    `--backbone` names it, and its features are kept under its name.

    Args:
        path: A checkpoint, or an ONNX file of a convolutional network in float32. An export folds
            batch norms into the convolutions; they are set up again, such that the network computes
            what the file computes.
        net: The network, changed in place.
        spec: What it is.
        views: Draws images, float32 `(B, 3, H, W)`, to measure folded batch norms' statistics on.

    Returns:
        What it starts from, human-readable.

    Raises:
        ArtifactError: The file is missing, damaged or holds no float32 weights.
        SpecMismatch: The file is of another architecture.
    """
    state, source = _read(path)
    if (source.arch, source.layers, source.merged) != (spec.arch, spec.layers, ()):
        raise SpecMismatch(
            f"--init {path} is {source.arch} with layers {list(source.layers)}; the training is "
            f"of {spec.arch} with {list(spec.layers)}."
        )
    is_same = source.classes == spec.classes
    own = net.state_dict()
    for name, part in state.items():
        is_new = name.startswith(SCORING) and not is_same
        if name in own and not is_new and not name.startswith(FROZEN):
            own[name] = part
    net.load_state_dict(own)
    if any(name.endswith(FOLDED) for name in state):
        restore_batchnorm(net, state, views())
    return f"starts from {path}{'' if is_same else '; its classes are others: a new head'}"


def _read(path: Path) -> tuple[State, ModelSpec]:
    """Returns a file's weights by name, and what it is."""
    if path.suffix == ".pt":
        return read_state(path)
    if path.suffix != ".onnx":
        raise ArtifactError(f"--init {path}: expected a checkpoint (.pt), or an .onnx of ours.")
    if not path.is_file():
        raise ArtifactError(f"No model at {path}.")
    try:
        model = onnx.load(str(path))
    except Exception as error:  # damaged files raise nearly anything in there
        raise ArtifactError(f"{path} is not an ONNX file, or is damaged.") from error
    properties = {entry.key: entry.value for entry in model.metadata_props}
    if METADATA_KEY not in properties:
        raise ArtifactError(f"{path} was not exported by dinoseg; --init takes files that were.")
    spec = ModelSpec.from_json(properties[METADATA_KEY])
    state = {
        part.name: torch.from_numpy(numpy_helper.to_array(part).copy())
        for part in model.graph.initializer
        if part.name.endswith((".weight", ".bias", FOLDED))
    }
    convolutional = [arch for arch in architectures(SEGMENTATION) if is_convolutional(arch)]
    if spec.arch not in convolutional or spec.precision != "float32" or "head.weight" not in state:
        raise ArtifactError(
            f"--init {path} is {spec.arch} in {spec.precision}; of ONNX files it takes "
            f"{' and '.join(convolutional)} in float32 alone. Take the checkpoint that it was "
            "exported from."
        )
    return state, spec


def restore_batchnorm(net: Net, state: State, images: Tensor) -> None:
    """Sets up each batch norm such that, with what `images` have there, it adds the folded bias."""
    parts, hooks = dict(net.named_modules()), []
    for name in (name for name in state if name.endswith(FOLDED)):
        # The batch norm is what follows the convolution in its nn.Sequential.
        parent, place = name.removesuffix(FOLDED).rpartition(".")[::2]
        norm = parts[f"{parent}.{int(place) + 1}"]
        hooks.append(norm.register_forward_pre_hook(CalibrateBatchNorm(state[name])))
    was_training = net.training
    with torch.no_grad():
        net.train()(images)
    net.train(was_training)
    for hook in hooks:
        hook.remove()


class CalibrateBatchNorm:
    """Run before a batch norm: makes it shift what comes in by `bias`, and scale nothing."""

    def __init__(self, bias: Tensor) -> None:
        self.bias = bias

    def __call__(self, norm: nn.Module, inputs: tuple[Tensor]) -> None:
        """Sets up the norm, from what comes in."""
        assert isinstance(norm, nn.BatchNorm2d) and norm.running_mean is not None
        assert norm.running_var is not None
        variance, mean = torch.var_mean(inputs[0], (0, 2, 3), correction=0)
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)
        norm.weight.copy_((variance + norm.eps).sqrt())
        norm.bias.copy_(mean + self.bias)
