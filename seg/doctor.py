"""What would really run here: each question is answered by trying, not by reading a version."""

import base64
import dataclasses
import importlib
import os
import shutil
import sys
import tempfile
import zlib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from seg.errors import ArtifactError, EngineFailure, EngineMissing, SegError
from seg.files.checksum import sha256_of
from seg.files.default_artifacts import DEFAULT_MODEL, WEIGHTS
from seg.kinds import Engine
from seg.predictors.segmenter import Segmenter
from seg.runtimes import environment
from seg.runtimes.open import open_runtime
from seg.verification import self_test
from seg.video.mp4 import Encoder, count_frames
from seg.video.sources import VideoFile

State = Literal["ok", "absent", "fault"]
NEEDED_MB = 500  # for results; less is said
# The smallest network that every engine opens: one Slice, the first two channels as scores.
TINY = (
    b"eNpdjr8KwjAQxpuqNQSFWsS5ZBFEhC4OHfsKbhWRNg01WpOSixQU38VHNbF0cbjjvu9+9wfj9IPImgTiXtQcyPjJ"
    b"tSIj09mkJI+CRtXCAJ0cGsGsrBQzSm/mGIXTFHnZj9/MeulnbnBQKHMb8njYHa3IEqMoJD5GNkY2XB2Wluiv/BH+"
    b"QGRj4oULfSWzSkgFvN5By1mUv2ih2YWmMe3fotuYsqYA4GDNIy0Ldqu1esjKdVquQUl6sqWQ7cOcL52jkv02TvbO"
    b"BaNFxa2XvL8YwkDa"
)


@dataclasses.dataclass(frozen=True, slots=True)
class Finding:
    """One answer.

    Attributes:
        name: What was asked.
        state: `ok`; `absent`, which only some commands need; or `fault`.
        text: The answer, and what to do where it is a fault.
    """

    name: str
    state: State
    text: str


def examine(model: Path = DEFAULT_MODEL) -> Iterator[Finding]:
    """Asks everything; the finding called `model` says whether that model runs.

    Args:
        model: The file that commands run where none is named.
    """
    yield Finding("versions", "ok", environment.versions_line())
    yield Finding("processor", "ok", environment.processor())
    yield _gpu()
    with tempfile.TemporaryDirectory(prefix="dinoseg-") as folder:
        for engine in Engine:
            yield from _engine(engine, Path(folder))
        yield _h264(Path(folder))
    yield _windows()
    yield _model(model)
    yield _official()
    yield from (_disk(place) for place in dict.fromkeys((Path.cwd(), WEIGHTS.parent)))


def _gpu() -> Finding:
    try:
        gpus = environment.query_gpus("name", "driver_version", "memory.total")
    except EngineMissing as error:
        return Finding("gpu", "absent", str(error))
    except EngineFailure as error:
        return Finding("gpu", "fault", str(error))
    return Finding("gpu", "ok", "; ".join(gpus))


def _engine(name: Engine, folder: Path) -> Iterator[Finding]:
    """Opens a session of an engine that reads ONNX, also on CUDA; imports any other."""
    try:
        if ".onnx" not in name.suffixes:
            engine = importlib.import_module(name.module)
            device = f", device {engine.pick_device('auto')}" if name == Engine.TORCH else ""
            yield Finding(name, "ok", f"{name} {version(name)}{device}")
            return
        yield Finding(name, "ok", _session(folder, "auto", name))
    except (SegError, ImportError, PackageNotFoundError) as error:
        absent = isinstance(error, EngineMissing | ModuleNotFoundError | PackageNotFoundError)
        yield Finding(name, "absent" if absent else "fault", _line(error))
        return
    try:
        yield Finding(f"{name} on cuda", "ok", _session(folder, "cuda", name))
    except SegError as error:
        yield Finding(f"{name} on cuda", "absent", _line(error))


def _session(folder: Path, device: str, name: str) -> str:
    """Runs the tiny network on an engine and returns what it says ran."""
    path = folder / "tiny.onnx"
    path.write_bytes(zlib.decompress(base64.b64decode(TINY)))
    images = np.linspace(0, 1, 3 * 16 * 16, dtype=np.float32).reshape(1, 3, 16, 16)
    with open_runtime(path, device, name) as runtime:
        logits = runtime.run(images)["logits"]
        if not np.allclose(logits, images[:, :2], atol=0.01):
            raise ArtifactError(f"{name} returns wrong values on a network of one operator.")
        return runtime.description


def _h264(folder: Path) -> Finding:
    """Encodes three frames, counts them, and decodes them again."""
    path = folder / "three.mp4"
    pictures = [np.full((48, 64, 3), grey, np.uint8) for grey in (40, 120, 200)]
    try:
        encoder = Encoder(path, pictures[0], 25.0, None)
        for index, picture in enumerate(pictures):
            encoder.write(picture, index / 25)
        encoder.close(is_complete=True)
        with VideoFile(path) as source:
            means = [float(frame.image.mean()) for frame in source]
    except Exception as error:  # PyAV passes on whatever FFmpeg or the system says
        return Finding("h264", "fault", f"cannot write and read H.264: {_line(error)}")
    expected = [float(picture.mean()) for picture in pictures]
    if count_frames(path) != 3 or not np.allclose(means, expected, atol=4):
        return Finding("h264", "fault", f"wrote greys {expected}, read {means}; reinstall av")
    return Finding("h264", "ok", "3 frames encoded with libx264, decoded, and the same")


def _windows() -> Finding:
    """Says which OpenCV won the folder that its wheels share, and whether a window can open."""
    wheels = list(environment.versions(environment.OPENCV_WHEELS))[1:]  # after Python's
    gui = cv2.currentUIFramework()
    said = f"OpenCV {cv2.__version__} of {' and '.join(wheels) or 'the system'}"
    if not gui:
        cure = "pip install --force-reinstall --no-deps opencv-python"
        return Finding("windows", "absent", f"{said} has no windows, --show will not work: {cure}")
    if sys.platform == "linux" and not os.environ.get("DISPLAY"):
        return Finding("windows", "absent", f"{said} has {gui}; DISPLAY is not set, so no --show")
    return Finding("windows", "ok", f"{said} has {gui}")


def _model(path: Path) -> Finding:
    """Runs the default model on a black frame, and verifies it where it carries its scores."""
    try:
        with Segmenter(path) as segmenter:
            segmenter(np.zeros((90, 160, 3), np.uint8))
            checked = "runs; it carries no scores to verify"
            if self_test.GOLDEN_KEY in segmenter.runtime.metadata:
                checked = f"runs, {self_test.verify(segmenter)}"
            said = f"{path.name}: {checked}; {segmenter.description}; sha256 {sha256_of(path)}"
    except SegError as error:
        return Finding("model", "fault", f"{path.name} does not run: {_line(error)}")
    return Finding("model", "ok", said)


def _official() -> Finding:
    """Says whether Meta's DINOv2 weights are here, whole; never downloads them."""
    try:
        official = importlib.import_module("seg.models.official_weights")
    except ModuleNotFoundError as error:
        return Finding("dinov2 weights", "absent", f"training needs {error.name}")
    name = "dinov2_vits14"
    path = official.find_local(name)
    if path is None:
        return Finding("dinov2 weights", "absent", f"{name}: not here; training downloads it")
    size, sha256 = official.KNOWN_FILES[name]
    if sha256_of(path) != sha256:
        return Finding("dinov2 weights", "fault", f"{path} is damaged; delete it ({size} bytes)")
    return Finding("dinov2 weights", "ok", f"{path.name}, sha256 {sha256} as published")


def _disk(place: Path) -> Finding:
    free_mb = shutil.disk_usage(place).free // 10**6
    state: State = "ok" if free_mb >= NEEDED_MB else "fault"
    return Finding("disk", state, f"{free_mb / 1000:.1f} GB free in {place}")


def _line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), "") or type(error).__name__
