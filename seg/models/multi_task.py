"""Several heads on one backbone: it runs once, and every task reads its layers."""

import dataclasses
from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from seg.errors import SpecMismatch
from seg.models.backbones.base import Backbone, Tokens
from seg.models.base import BackboneNet, Normalize
from seg.spec import ModelSpec


class MultiTaskNet(BackboneNet):
    """Normalization, a backbone, and the heads of several networks on it.

    Args:
        backbone: Reads the layers of all heads.
        parts: The networks by task, in the order of the outputs; each keeps its head alone.
        layers: The layers that each one reads, by task.
        mean: Channel means, RGB 0..1.
        std: Channel standard deviations, RGB 0..1.
    """

    def __init__(
        self,
        backbone: Backbone,
        parts: Mapping[str, BackboneNet],
        layers: Mapping[str, Sequence[int]],
        mean: tuple[float, float, float],
        std: tuple[float, float, float],
    ) -> None:
        super().__init__()
        self.normalise = Normalize(mean, std)
        self.backbone = backbone
        for part in parts.values():
            del part.backbone, part.normalise  # there is one of each
        self.parts = nn.ModuleDict(parts)
        self.layers = {task: tuple(read) for task, read in layers.items()}

    def from_tokens(self, tokens: Tokens) -> tuple[Tensor, ...]:
        """Returns the outputs of all tasks, one after the other."""
        made: list[Tensor] = []
        for task, part in self.parts.items():
            outputs = part.from_tokens(self._of(task, tokens))  # type: ignore[operator]
            made += [outputs] if isinstance(outputs, Tensor) else outputs
        return tuple(made)

    def _of(self, task: str, tokens: Tokens) -> Tokens:
        """Returns the tokens of the layers that a task reads."""
        if not self.layers[task]:
            return tokens
        places = [self.backbone.layers.index(layer) for layer in self.layers[task]]
        return Tokens(
            tuple(tokens.cls[place] for place in places),
            tuple(tokens.maps[place] for place in places),
        )


def combine_specs(specs: Sequence[ModelSpec]) -> ModelSpec:
    """Returns the spec of a network with the outputs of several on one backbone.

    Images are fitted as of the first one, so a classifier gets the letterboxed image where masks
    come first.

    Args:
        specs: Those of the networks.

    Raises:
        SpecMismatch: They are of other backbones or weights, or two are for one task.
    """
    first = specs[0]
    for spec in specs[1:]:
        for name in ("arch", "weights_id", "mean", "std"):
            if getattr(spec, name) != getattr(first, name):
                raise SpecMismatch(
                    f"Models are combined on one frozen backbone; {name} differs: "
                    f"{getattr(first, name) or 'none'} and {getattr(spec, name) or 'none'}."
                )
    if not first.weights_id:
        raise SpecMismatch(
            "Models are combined on one frozen backbone; these were trained as a whole."
        )
    tasks = [spec.outputs[0].task for spec in specs]
    names = [output.name for spec in specs for output in spec.outputs]
    if len({*tasks}) < len(tasks) or len({*names}) < len(names):
        raise SpecMismatch(f"Each model is for another task; got {', '.join(tasks)}.")
    outputs = [
        dataclasses.replace(output, layers=spec.layers) for spec in specs for output in spec.outputs
    ]
    heads = [spec.head for spec in specs if spec.head]
    return dataclasses.replace(
        first,
        outputs=tuple(outputs),
        head=heads[0] if heads else "",
        merged=next((spec.merged for spec in specs if spec.merged), ()),
        layers=tuple(sorted({layer for spec in specs for layer in spec.layers})),
    )
