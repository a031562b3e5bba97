"""DINOv2 as a backbone: its vision transformer, read at some of its blocks."""

from collections.abc import Mapping, Sequence

from torch import Tensor

from seg.models.backbones.base import Backbone, Tokens
from seg.models.backbones.blocks import PATCH
from seg.models.backbones.vit import DinoVisionTransformer


class DinoBackbone(Backbone):
    """A ViT whose class tokens and patch maps are read after some blocks and the final norm.

    Args:
        vit: The network.
        layers: Blocks to read, from 0; None takes the last four, as the official heads do.
        name: Official name, such as `dinov2_vits14`.
        source: Where the weights come from, with their hash.

    Raises:
        SpecMismatch: The network has no such block.
    """

    def __init__(
        self,
        vit: DinoVisionTransformer,
        layers: Sequence[int] | None = None,
        *,
        name: str,
        source: str,
    ) -> None:
        depth = vit.config.depth
        read = tuple(range(max(0, depth - 4), depth) if layers is None else layers)
        vit.check_layers(read)
        super().__init__(name, read, (vit.config.embed_dim,) * len(read), PATCH, source)
        self.vit = vit

    def forward(self, images: Tensor) -> Tokens:
        """Computes the tokens of some images; see `Backbone`. 14 divides both sides."""
        layers = self.vit.intermediate_tokens(images, self.layers)
        return Tokens(
            tuple(tokens.cls for tokens in layers), tuple(tokens.as_map() for tokens in layers)
        )

    def official_state(self) -> dict[str, Tensor]:
        """Returns the weights under Meta's names."""
        return self.vit.state_dict()

    def load_official(self, state: Mapping[str, Tensor]) -> None:
        """Takes tensors as the weights; they are not copied."""
        self.vit.load_state_dict(state, assign=True)

    @property
    def num_blocks(self) -> int:
        """Returns the depth."""
        return self.vit.config.depth

    def block_of(self, name: str) -> int:
        """Returns the place of a tensor; see `Backbone`."""
        _, part, *rest = name.split(".")
        if part == "blocks":
            return int(rest[0]) + 1
        return self.num_blocks + 1 if part == "norm" else 0
