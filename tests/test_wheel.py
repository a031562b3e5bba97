"""The wheel works by itself: installed, in another folder, without a checkout and a network."""

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

from seg import Segmenter, __version__
from seg.imaging.image_io import photo

ROOT = Path(__file__).resolve().parent.parent
MASK = """
import pathlib, seg
from seg import Segmenter
from seg.imaging.image_io import photo

mask = Segmenter(device="cpu")(photo("astronaut"))
pathlib.Path("labels").write_bytes(mask.labels.tobytes())
print(pathlib.Path(seg.__file__).parent, seg.__version__, *mask.classes)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from this checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    words = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(words, cwd=ROOT, capture_output=True, check=True)
    (built,) = folder.iterdir()
    return built


def test_it_holds_the_package_its_weights_and_its_types_and_no_more(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as file:
        names = set(file.namelist())
    modules = {path.relative_to(ROOT).as_posix() for path in (ROOT / "seg").rglob("*.py")}
    weights = {"seg/weights/person-lite.onnx", "seg/weights/person-lite.md"}
    more = {"seg/py.typed", "seg/doctor/two_channels.onnx"} | weights
    assert {name for name in names if ".dist-info/" not in name} == modules | more
    assert any(name.endswith("/licenses/LICENSE") for name in names)


def test_installed_in_an_empty_environment_it_masks_a_photo_without_a_network(
    wheel: Path, tmp_path: Path
) -> None:
    environment, work = tmp_path / "environment", tmp_path / "work"
    venv.create(environment, symlinks=True)
    python = environment / "bin" / "python"
    install = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet"]
    subprocess.run([*install, "--no-deps", "--no-index", str(wheel)], check=True)
    # What it depends on is taken from here, but no `.pth` of here: not the checkout.
    (packages,) = environment.glob("lib/*/site-packages")
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"))

    work.mkdir()
    (work / "mask.py").write_text(MASK)
    offline = str(ROOT / "tests" / "without_network.py")
    done = subprocess.run(
        [str(python), "-P", offline, "0", "mask.py"],
        cwd=work,
        env={"PATH": os.environ["PATH"], "HOME": str(work)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [str(packages / "seg"), __version__, "background", "person"]
    expected = Segmenter(device="cpu")(photo("astronaut")).labels
    assert expected.any() and (work / "labels").read_bytes() == expected.tobytes()
