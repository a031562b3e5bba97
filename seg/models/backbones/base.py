"""Backbone: what every pretrained network offers to the heads and decoders built on it."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import NamedTuple

from torch import Tensor, nn


class Tokens(NamedTuple):
    """What a backbone computes from some images, one entry for each layer that is read.

    Attributes:
        cls: `(B, D)`, what stands for the whole image: a transformer's class token, the mean of a
            convolutional network's map.
        maps: `(B, D, h, w)`, one vector for each place.
    """

    cls: tuple[Tensor, ...]
    maps: tuple[Tensor, ...]


class Backbone(nn.Module):
    """A network that turns normalized images into tokens.

    Whether its weights are trained is up to whoever trains it.

    Args:
        name: Its key in `seg.models.backbones.registry.BACKBONES`.
        layers: The layers to read, from 0; empty where there is no choice.
        channels: D of each layer that is read.
        stride: Pixels for each side of a map's cell; it divides the sides of the input.
        source: Where the weights come from, human-readable, with their hash.

    Attributes:
        name: As given.
        layers: As given.
        channels: As given.
        stride: As given.
        source: As given.
        is_published: Whether the weights are those of the published file, by its hash, in a place
            where it is looked for.
    """

    is_published = False

    def __init__(
        self,
        name: str,
        layers: tuple[int, ...],
        channels: tuple[int, ...],
        stride: int,
        source: str,
    ) -> None:
        super().__init__()
        self.name, self.layers, self.channels = name, layers, channels
        self.stride, self.source = stride, source

    @abstractmethod
    def forward(self, images: Tensor) -> Tokens:
        """Computes the tokens of some images.

        Args:
            images: `(B, 3, H, W)` RGB, normalized; the stride divides both sides.

        Raises:
            ShapeError: `images` has another shape, or sides that the stride does not divide.
        """

    @abstractmethod
    def official_state(self) -> dict[str, Tensor]:
        """Returns the weights under the names that their authors gave them."""

    @abstractmethod
    def load_official(self, state: Mapping[str, Tensor]) -> None:
        """Replaces the weights by tensors of the same names and shapes as `official_state`'s."""

    @property
    @abstractmethod
    def num_blocks(self) -> int:
        """Returns how many blocks follow each other."""

    @abstractmethod
    def block_of(self, name: str) -> int:
        """Returns the place of a tensor of `state_dict`: 0 is before the blocks, 1 the first one.

        What follows the last block is at `num_blocks + 1`.
        """
