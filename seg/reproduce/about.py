"""What results were measured with: code, machine, versions, weights, data."""

import subprocess
from collections.abc import Mapping
from typing import Any

from seg.files.checksum import sha256_of
from seg.reproduce.plan import ReproduceConfig
from seg.reproduce.steps import ROOT, Record, hash_files
from seg.runtimes import environment as runtime_environment

CODE = ("seg", "export/to_onnx.py", "apps/evaluate.py", "train.py")


def describe_environment() -> dict[str, Any]:
    """Returns what decides every step beside its inputs, as plain JSON values."""
    return {
        "code": hash_files(*(ROOT / name for name in CODE)),
        "machine": runtime_environment.machine(),
        "versions": runtime_environment.versions(),
    }


def describe_run(
    config: ReproduceConfig, environment: Mapping[str, Any], records: Mapping[str, Record]
) -> dict[str, str]:
    """Returns what the results were measured with, human-readable."""
    days = sorted({record.date for record in records.values()})
    return {
        "date": " to ".join(days[:1] + days[1:][-1:]),
        "machine": environment["machine"],
        "versions": ", ".join(f"{name} {value}" for name, value in environment["versions"].items()),
        "commit": _commit(),
        "weights": _weights(config),
        "data": f"{config.data.name}, sha256 of names and contents {hash_files(config.data)[:16]}",
    }


def _weights(config: ReproduceConfig) -> str:
    """Says which weights these are, and whether they are the file whose hash is published."""
    from seg.models.backbones.registry import BACKBONES

    got = sha256_of(config.backbone)
    known = BACKBONES[config.arch].weights.sha256
    verdict = "Meta's published file" if got == known else "**not a file whose hash is published**"
    return f"{config.backbone.name}, sha256 {got}: {verdict}"


def _commit() -> str:
    """Returns the repository's commit, and whether the code differs from it."""
    git = ("git", "-C", str(ROOT))
    asked = [(*git, "rev-parse", "HEAD"), (*git, "status", "--porcelain", "--", *CODE)]
    try:
        answers = [subprocess.run(one, capture_output=True, text=True, check=True) for one in asked]
    except (OSError, subprocess.CalledProcessError):
        return "unknown: not a git checkout"
    head, changes = (answer.stdout.strip() for answer in answers)
    return f"{head}{', with changes of its code' if changes else ''}"
