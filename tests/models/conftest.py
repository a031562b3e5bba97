"""The small ViTs whose outputs the original code computed."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from seg.models.backbones.vit import DinoVisionTransformer, ViTConfig

Arrays = dict[str, Tensor]
CONFIGS = {
    "plain": ViTConfig(embed_dim=48, depth=12, num_heads=3),
    "registers": ViTConfig(embed_dim=48, depth=12, num_heads=3, registers=4),
}
FILES = {"plain": "vit_tiny14", "registers": "vit_tiny14_reg"}


@pytest.fixture(scope="session")
def arrays(golden: Path) -> Callable[[str], Arrays]:
    """Reads a golden file once and hands out its arrays as tensors."""
    read: dict[str, Arrays] = {}

    def load(stem: str) -> Arrays:
        if stem not in read:
            with np.load(golden / f"{stem}.npz") as file:
                read[stem] = {key: torch.from_numpy(np.asarray(file[key])) for key in file}
        return read[stem]

    return load


@pytest.fixture
def tiny(arrays: Callable[[str], Arrays]) -> Callable[[str], DinoVisionTransformer]:
    """Builds the small ViT called `plain` or `registers`, with its golden weights."""

    def build(kind: str = "plain") -> DinoVisionTransformer:
        vit = DinoVisionTransformer(CONFIGS[kind]).eval()
        vit.load_state_dict(arrays(f"{FILES[kind]}_state"), strict=True)
        return vit

    return build
