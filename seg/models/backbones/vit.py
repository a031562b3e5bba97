"""DINOv2's vision transformer, key for key the format of the official weights.

Shape letters, here and in every network of this package:

    B  images             H W  height and width in pixels, multiples of 14
    C  channels, classes    h w  height and width of the patch grid, H / 14 and W / 14
    D  width of a token     N    patches, h * w          R  register tokens

Source: facebookresearch/dinov2 at b8931f7, Apache-2.0. Oquab et al., "DINOv2: Learning Robust
Visual Features without Supervision"; Darcet et al., "Vision Transformers Need Registers".
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from seg.errors import ShapeError, SpecMismatch
from seg.imaging.letterbox import Size
from seg.models.backbones.blocks import PATCH, Block, FeedForward, PatchEmbed
from seg.models.backbones.positions import PositionCache


@dataclass(frozen=True, kw_only=True, slots=True)
class ViTConfig:
    """The shape of one model.

    Attributes:
        embed_dim: Width of a token, D.
        depth: Number of blocks.
        num_heads: Attention heads; they share `embed_dim`.
        registers: Number of register tokens, R.
        ffn: `mlp`, or the gated `swiglu` of the giant model.
        grid: Side of the square position grid; 37, as trained at 518 pixels.
    """

    embed_dim: int
    depth: int
    num_heads: int
    registers: int = 0
    ffn: FeedForward = "mlp"
    grid: int = 37

    @property
    def antialias(self) -> bool:
        """True where positions are resized by the register models' recipe."""
        return self.registers > 0


CONFIGS = {
    "dinov2_vits14": ViTConfig(embed_dim=384, depth=12, num_heads=6),
    "dinov2_vits14_reg": ViTConfig(embed_dim=384, depth=12, num_heads=6, registers=4),
    "dinov2_vitb14": ViTConfig(embed_dim=768, depth=12, num_heads=12),
    "dinov2_vitb14_reg": ViTConfig(embed_dim=768, depth=12, num_heads=12, registers=4),
    "dinov2_vitl14": ViTConfig(embed_dim=1024, depth=24, num_heads=16),
    "dinov2_vitl14_reg": ViTConfig(embed_dim=1024, depth=24, num_heads=16, registers=4),
    "dinov2_vitg14": ViTConfig(embed_dim=1536, depth=40, num_heads=24, ffn="swiglu"),
    "dinov2_vitg14_reg": ViTConfig(
        embed_dim=1536, depth=40, num_heads=24, registers=4, ffn="swiglu"
    ),
}

# Small enough to be trained from scratch on a CPU; nobody publishes weights of it.
UNPUBLISHED = {"dinov2_vitt14": ViTConfig(embed_dim=192, depth=12, num_heads=3)}


@dataclass(frozen=True, slots=True)
class BlockTokens:
    """BlockTokens of some images after one of the network's blocks.

    Attributes:
        cls: `(B, D)`, one token for the whole image.
        registers: `(B, R, D)`; R is 0 for models without.
        patches: `(B, N, D)`, row by row.
        grid_hw: `(h, w)`.
    """

    cls: Tensor
    registers: Tensor
    patches: Tensor
    grid_hw: Size

    def as_map(self) -> Tensor:
        """Returns the patches as a map, `(B, D, h, w)`."""
        channels_first = self.patches.transpose(1, 2)  # (B, N, D) -> (B, D, N)
        return channels_first.reshape(*channels_first.shape[:2], *self.grid_hw)


class DinoVisionTransformer(nn.Module):
    """DINOv2's ViT. Its state dict is the official one: same keys, same order, same shapes.

    New weights are drawn as the official code draws them, from torch's global generator.

    Args:
        config: Its shape, such as `CONFIGS["dinov2_vits14"]`.
    """

    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        width = config.embed_dim
        self.config = config
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + config.grid**2, width))
        # Models without registers have no such key, so an empty parameter will not do.
        if config.registers:
            self.register_tokens = nn.Parameter(torch.zeros(1, config.registers, width))
        self.mask_token = nn.Parameter(torch.zeros(1, width))
        self.patch_embed = PatchEmbed(width)
        self.blocks = nn.ModuleList(
            Block(width, config.num_heads, config.ffn) for _ in range(config.depth)
        )
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self._positions = PositionCache()
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws new tokens, positions and linear weights; norms and scales are 1 already."""
        nn.init.normal_(self.cls_token, std=1e-6)
        nn.init.trunc_normal_(self.pos_embed, std=0.02)
        if self.config.registers:
            nn.init.normal_(self.register_tokens, std=1e-6)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)

    def forward(self, images: Tensor) -> Tensor:
        """Returns the normalized class token, `(B, D)`; arguments as `intermediate_tokens`."""
        return self.forward_features(images).cls

    def forward_features(self, images: Tensor, masks: Tensor | None = None) -> BlockTokens:
        """Returns the tokens after the last block and the final norm, as `intermediate_tokens`."""
        return self.intermediate_tokens(images, [self.config.depth - 1], masks=masks)[0]

    def get_intermediate_layers(
        self, images: Tensor, layers: Sequence[int], *, norm: bool = True
    ) -> list[Tensor]:
        """Returns the patch maps after some blocks, `(B, D, h, w)`; see `intermediate_tokens`."""
        return [tokens.as_map() for tokens in self.intermediate_tokens(images, layers, norm=norm)]

    def intermediate_tokens(
        self,
        images: Tensor,
        layers: Sequence[int],
        *,
        norm: bool = True,
        masks: Tensor | None = None,
    ) -> list[BlockTokens]:
        """Runs the network as far as needed and returns the tokens after some of its blocks.

        Args:
            images: `(B, 3, H, W)` RGB, normalized by ImageNet's mean and standard deviation.
            layers: Blocks to read, from 0.
            norm: Puts every layer through the one final norm, as the official heads expect.
            masks: `(B, N)` bool; true replaces a patch by the mask token.

        Returns:
            The tokens of each layer, in the order asked for.

        Raises:
            ShapeError: `images` has another shape, or sides that are no multiples of 14.
            SpecMismatch: The network has no such block.
        """
        self.check_layers(layers)
        tokens = self.embed(images, masks)
        taken: dict[int, BlockTokens] = {}
        for index, block in enumerate(self.blocks[: max(layers) + 1]):
            tokens = block(tokens)
            if index in layers:
                grid_hw = images.shape[2] // PATCH, images.shape[3] // PATCH
                taken[index] = self._split(self.norm(tokens) if norm else tokens, grid_hw)
        return [taken[index] for index in layers]

    def check_layers(self, layers: Sequence[int]) -> None:
        """Raises SpecMismatch unless `layers` names blocks that exist, and at least one."""
        if not layers or min(layers) < 0 or max(layers) >= self.config.depth:
            raise SpecMismatch(
                f"This backbone has blocks 0 to {self.config.depth - 1}; got layers {list(layers)}."
            )

    def embed(self, images: Tensor, masks: Tensor | None = None) -> Tensor:
        """Turns images into the tokens that enter the first block, `(B, 1 + R + N, D)`."""
        check_input(images)
        patches = self.patch_embed(images)
        if masks is not None:
            patches = torch.where(masks[..., None], self.mask_token.to(patches.dtype), patches)
        batch, grid_hw = images.shape[0], (images.shape[2] // PATCH, images.shape[3] // PATCH)
        positions = self._positions.resized(self.pos_embed, grid_hw, self.config.antialias)
        tokens = torch.cat((self.cls_token.expand(batch, -1, -1), patches), dim=1) + positions
        if not self.config.registers:
            return tokens
        registers = self.register_tokens.expand(batch, -1, -1)
        return torch.cat((tokens[:, :1], registers, tokens[:, 1:]), dim=1)

    def _split(self, tokens: Tensor, grid_hw: Size) -> BlockTokens:
        first = 1 + self.config.registers
        return BlockTokens(tokens[:, 0], tokens[:, 1:first], tokens[:, first:], grid_hw)


def check_input(images: Tensor) -> None:
    """Raises ShapeError unless `images` is `(B, 3, H, W)` with sides that 14 divides."""
    if images.ndim != 4 or images.shape[1] != 3:
        raise ShapeError(f"Images are (B, 3, H, W); got {tuple(images.shape)}.")
    hw = images.shape[2], images.shape[3]
    if min(hw) < PATCH or hw[0] % PATCH or hw[1] % PATCH:
        nearest = [max(PATCH, round(side / PATCH) * PATCH) for side in hw]
        raise ShapeError(
            f"Input {hw[0]}x{hw[1]} is not a multiple of {PATCH}; "
            f"nearest is {nearest[0]}x{nearest[1]}."
        )
