"""The network that classifies images: normalization, a backbone, and one of several heads."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from seg.errors import ArtifactError
from seg.models.backbones.base import Backbone, Tokens
from seg.models.base import BackboneNet, Normalize

MLP_WIDTH = 256


class ClassificationHead(nn.Module):
    """Scores classes from what a backbone returns.

    Args:
        channels: D of each layer that is read.
        has_class_token: Whether the backbone has one; else its `cls` are the means of its maps.
        num_classes: C.
    """

    def __init__(self, channels: tuple[int, ...], has_class_token: bool, num_classes: int) -> None:
        super().__init__()
        self.has_class_token = has_class_token
        self.linear = nn.Linear(self.width(channels), num_classes)
        # As for linear probing: small weights, so that every class starts as likely as any other.
        nn.init.normal_(self.linear.weight, std=0.01)
        nn.init.zeros_(self.linear.bias)

    def width(self, channels: tuple[int, ...]) -> int:
        """Returns how many numbers `pool` makes of an image."""
        return sum(channels) + channels[-1] * self.has_class_token

    def pool(self, cls: tuple[Tensor, ...], last_map: Tensor) -> Tensor:
        """Makes one vector of an image: class tokens `(B, D)`, map `(B, D, h, w)` -> `(B, F)`."""
        mean = (last_map.mean((2, 3)),) if self.has_class_token else ()
        return torch.cat([*cls, *mean], dim=1)

    def forward(self, vectors: Tensor) -> Tensor:
        """`(B, F)` -> `(B, C)`."""
        return self.linear(vectors)  # type: ignore[no-any-return]


class LinearHead(ClassificationHead):
    """The last class token and the mean of the patches: Meta's `linear_head` files."""


class FourLayerHead(ClassificationHead):
    """The last four class tokens and the mean of the patches: Meta's `linear4_head` files."""


class MLPHead(ClassificationHead):
    """The last class token through a hidden layer of 256, as tutorials have it."""

    def __init__(self, channels: tuple[int, ...], has_class_token: bool, num_classes: int) -> None:
        super().__init__(channels, has_class_token, num_classes)
        self.hidden = nn.Linear(sum(channels), MLP_WIDTH)
        self.linear = nn.Linear(MLP_WIDTH, num_classes)

    def pool(self, cls: tuple[Tensor, ...], last_map: Tensor) -> Tensor:
        """Returns the class token, `(B, D)`."""
        return torch.cat(cls, dim=1)

    def forward(self, vectors: Tensor) -> Tensor:
        """`(B, F)` -> `(B, C)`."""
        return self.linear(torch.relu(self.hidden(vectors)))  # type: ignore[no-any-return]


HEADS: dict[str, Callable[[tuple[int, ...], bool, int], ClassificationHead]] = {
    "linear": LinearHead,
    "linear4": FourLayerHead,
    "mlp": MLPHead,
}
NUM_LAYERS = {"linear": 1, "linear4": 4, "mlp": 1}  # last layers of a transformer that are read


def check_head(name: str, is_convolutional: bool) -> None:
    """Raises ArtifactError where there is no such head for a kind of backbone."""
    known = [head for head in HEADS if not is_convolutional or NUM_LAYERS[head] == 1]
    if name not in known:
        raise ArtifactError(
            f"No head '{name}' on this backbone; expected one of {', '.join(known)}."
        )


class ClassificationNet(BackboneNet):
    """Normalization, a backbone, and a head on vectors pooled from its layers.

    Args:
        backbone: Its layers, as many as the head reads.
        head: A key of `HEADS`.
        has_class_token: As of `ClassificationHead`.
        num_classes: C.
        mean: Channel means, RGB 0..1.
        std: Channel standard deviations, RGB 0..1.

    Raises:
        ArtifactError: There is no such head for such a backbone.
    """

    def __init__(
        self,
        backbone: Backbone,
        head: str,
        has_class_token: bool,
        num_classes: int,
        mean: tuple[float, float, float],
        std: tuple[float, float, float],
    ) -> None:
        super().__init__()
        check_head(head, not has_class_token)
        self.normalise = Normalize(mean, std)
        self.backbone = backbone
        self.head = HEADS[head](backbone.channels, has_class_token, num_classes)

    def from_tokens(self, tokens: Tokens) -> Tensor:
        """Scores the classes, `(B, C)`, before any softmax."""
        return self.head(self.head.pool(tokens.cls, tokens.maps[-1]))  # type: ignore[no-any-return]

    def vectors(self, images: Tensor) -> Tensor:
        """Returns what the head reads, `(B, F)`."""
        tokens = self.backbone(self.normalise(images))
        return self.head.pool(tokens.cls, tokens.maps[-1])
