"""Runs train.py with the golden ViT as `--arch golden`, and kills it with SIGKILL at a file.

    python killed.py THREADS SUFFIX COUNT train.py's own words

It dies when the COUNTth file whose name ends in SUFFIX is whole and is about to get its name: no
handler runs, nothing is flushed, and the temporary file stays.
"""

import os
import signal
import sys
from pathlib import Path

import torch

from seg import cli
from seg.models.backbones.registry import BACKBONES, dinov2
from seg.models.backbones.vit import ViTConfig
from train import main

GOLDEN = ViTConfig(embed_dim=48, depth=12, num_heads=3)


def kill_at(suffix: str, count: int) -> None:
    replace, seen = Path.replace, []

    def watched(part: Path, target: Path) -> Path:
        seen.extend([target] * target.name.endswith(suffix))
        if len(seen) == count:
            os.kill(os.getpid(), signal.SIGKILL)
        return replace(part, target)

    Path.replace = watched


if __name__ == "__main__":
    threads, suffix, count, *words = sys.argv[1:]
    torch.set_num_threads(int(threads))
    BACKBONES["golden"] = dinov2("golden", GOLDEN)
    kill_at(suffix, int(count))
    raise SystemExit(cli.run(main, words))
