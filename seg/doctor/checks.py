"""All checks, in order, and those of files: the model, official weights, room on the disk."""

import importlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from seg.doctor.check import Check, State, first_line
from seg.doctor.engines import check_engine, check_gpu
from seg.doctor.video import check_h264, check_windows
from seg.errors import SegError
from seg.files.cache_folders import cache_root
from seg.files.checksum import sha256_of
from seg.files.default_artifacts import DEFAULT_MODEL
from seg.kinds import Engine
from seg.predictors.segmenter import Segmenter
from seg.runtimes import environment
from seg.verification import self_test

MODEL = "model"  # the check that decides whether commands run here
NEEDED_MB = 500  # for results


def run_checks(model: Path = DEFAULT_MODEL) -> Iterator[Check]:
    """Runs every check; the one called `MODEL` says whether that model runs.

    Args:
        model: The file that commands run where none is named.
    """
    yield Check("versions", "ok", environment.versions_line())
    yield Check("processor", "ok", environment.processor())
    yield check_gpu()
    for engine in Engine:
        yield from check_engine(engine)
    with tempfile.TemporaryDirectory(prefix="dinoseg-") as folder:
        yield check_h264(Path(folder))
    yield check_windows()
    yield check_model(model)
    yield check_official_weights()
    yield check_disk(Path())
    yield check_cache()


def check_model(path: Path) -> Check:
    """Segments a black frame, and runs the self-test where the model carries one."""
    try:
        with Segmenter(path) as segmenter:
            segmenter(np.zeros((90, 160, 3), np.uint8))
            tested = "runs; it carries no self-test"
            if self_test.GOLDEN_KEY in segmenter.runtime.metadata:
                tested = f"runs, {self_test.verify(segmenter)}"
            text = f"{path.name}: {tested}; {segmenter.description}; sha256 {sha256_of(path)}"
    except (SegError, OSError) as error:
        return Check(MODEL, "fail", f"{path.name} does not run: {first_line(error)}")
    return Check(MODEL, "ok", text)


def check_official_weights() -> Check:
    """Says whether Meta's DINOv2 weights are here, whole; never downloads them."""
    title, name = "dinov2 weights", "dinov2_vits14"
    try:
        official = importlib.import_module("seg.models.official_weights")
    except ModuleNotFoundError as error:
        return Check(title, "absent", f"training needs {error.name}")
    path = official.find_local(name)
    if path is None:
        return Check(title, "absent", f"{name} is not here; training downloads it")
    file = official.backbone_info(name).weights
    if sha256_of(path) != file.sha256:
        return Check(title, "fail", f"{path} is damaged; delete it ({file.size} bytes)")
    return Check(title, "ok", f"{path.name}, sha256 {file.sha256} as published; {file.license}")


def check_disk(folder: Path) -> Check:
    """Says how much room there is where results go."""
    try:
        place = folder.resolve(strict=True)
        free_mb = shutil.disk_usage(place).free // 10**6
    except OSError as error:  # such as a current folder that was deleted
        return Check("disk", "fail", f"{folder}: {error.strerror}")
    state: State = "ok" if free_mb >= NEEDED_MB else "fail"
    return Check("disk", state, f"{free_mb / 1000:.1f} GB free in {place}")


def check_cache() -> Check:
    """Says where caches are and how large they are."""
    try:
        root = cache_root()
        size = sum(path.stat().st_size for path in root.rglob("*") if path.is_file())
    except (OSError, SegError) as error:
        return Check("cache", "fail", first_line(error))
    if not root.exists():
        return Check("cache", "absent", f"{root} holds nothing yet")
    return Check(
        "cache", "ok", f"{size / 1e9:.1f} GB in {root}; may be deleted while nothing trains"
    )
