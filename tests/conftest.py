"""What every test may ask for."""

import logging
import os
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# The networks of tests are tiny: a second thread costs more than it brings, above all where
# other processes have the cores. Every command that a test runs inherits it.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # for tests that import ONNX Runtime by themselves

import cv2
import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent


def pytest_configure() -> None:
    """Gives commands their signals: a shell ignores Ctrl-C for what it runs in the background."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts what starts long waits before, and what waits for them behind, all other tests."""
    items.sort(key=lambda item: ("last" in item.keywords) - ("first" in item.keywords))


@pytest.fixture(autouse=True)
def everything_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Has `caplog` keep whatever the library says."""
    caplog.set_level(logging.INFO, "dinoseg")


@pytest.fixture(autouse=True)
def signals_restored() -> Iterator[None]:
    """Undoes what a command does at its end: it ignores signals while its process goes away."""
    kept = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder with the real material, beside the checkout or named by DINOSEG_DATA."""
    root = Path(os.environ.get("DINOSEG_DATA", ROOT.parent / "shared" / "data"))
    if not root.is_dir():
        pytest.skip(f"the real material is not at {root}; set DINOSEG_DATA to its folder")
    return root


@pytest.fixture(scope="session")
def golden() -> Path:
    """The folder with values that the original DINOv2 code computed."""
    return ROOT / "tests" / "golden"


@pytest.fixture(scope="session")
def discs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set: 14 images of gray noise with one bright disc, whose mask is drawn with it."""
    folder = tmp_path_factory.mktemp("discs")
    rng = np.random.default_rng(0)
    for part in ("images", "masks"):
        (folder / part).mkdir()
    for index in range(14):
        height, width = (int(n) for n in rng.integers(60, 100, 2))
        image = rng.integers(0, 110, (height, width, 3), dtype=np.uint8)
        mask = np.zeros((height, width), np.uint8)
        center = int(rng.integers(20, width - 20)), int(rng.integers(20, height - 20))
        cv2.circle(image, center, 17, (40, 90, 250), -1)
        cv2.circle(mask, center, 17, 1, -1)
        cv2.imwrite(str(folder / "images" / f"{index:02}.png"), image)
        cv2.imwrite(str(folder / "masks" / f"{index:02}.png"), mask)
    return folder


@contextmanager
def as_user() -> Iterator[None]:
    """Gives up root's right to open everything, where the tests run as root."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that any user can enter, for tests of files that nobody may read."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
def tensorrt():
    """A TensorRT of our own, whose behavior a test chooses."""
    from tests import fake_tensorrt

    with fake_tensorrt.installed() as world:
        yield world
