"""Imports point down; heavy packages stay behind their doors."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
RANKS = [
    {"errors"},
    {"closing", "spec", "results", "machine", "notes"},
    {"geometry", "metrics", "artefacts", "pictures", "precision", "report"},
    {"overlay", "download", "tta", "upsampling"},
    {"models"},
    {"runtimes", "video"},
    {"data"},
    {"segmenter"},
    {"evaluation", "parity", "golden", "quantisation"},
    {"figures", "acceptance"},
    {"cli", "training", "benchmark", "doctor", "reproduce"},
]
RANK = {name: rank for rank, names in enumerate(RANKS) for name in names}
DOORS = {
    "torch": (
        *("seg/models/", "seg/training/", "export/", "train.py"),
        *("seg/runtimes/pytorch.py", "seg/runtimes/trt.py", "seg/runtimes/cuda.py"),
        "seg/runtimes/on_device.py",
    ),
    "tensorrt": ("seg/runtimes/trt",),
    "albumentations": ("seg/data/augment.py",),
    "av": ("seg/video/mp4.py",),
    "onnxruntime": ("seg/runtimes/ort.py", "seg/quantisation.py"),
    "openvino": ("seg/runtimes/ov.py",),
    "onnx": (
        *("export/", "seg/precision.py", "seg/quantisation.py", "seg/acceptance.py"),
        "seg/training/start.py",
    ),
    "matplotlib": ("seg/training/", "seg/figures.py", "seg/benchmark/chart.py"),
    "PIL": ("seg/data/",),
}
CALLS = {"VideoCapture": "seg/video/sources.py", "imshow": "seg/video/sinks.py"}
SOURCES = sorted(
    path.relative_to(ROOT).as_posix()
    for pattern in ("seg/**/*.py", "apps/*.py", "export/*.py", "train.py")
    for path in ROOT.glob(pattern)
)


def imports(source: str) -> set[str]:
    """Returns every module that a file imports, `from seg.x import y` as `seg.x`."""
    found = set()
    for node in ast.walk(ast.parse((ROOT / source).read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            if node.module == "seg":
                found |= {f"seg.{alias.name}" for alias in node.names}
    return found


def unit(module: str) -> str:
    """Returns the part of `seg` that a module or file belongs to."""
    return module.removeprefix("seg.").split(".")[0]


@pytest.mark.parametrize("source", [s for s in SOURCES if s.startswith("seg/")])
def test_imports_point_to_a_lower_rank(source: str) -> None:
    own = unit(source.removesuffix(".py").replace("/", "."))
    if own == "__init__":
        return
    others = {unit(m) for m in imports(source) if m.startswith("seg.")} - {own}
    upward = {name for name in others if name in RANK and RANK[name] >= RANK[own]}
    assert not upward, f"{source} imports {upward}"


def test_every_part_has_a_rank() -> None:
    parts = {unit(s.removesuffix(".py").replace("/", ".")) for s in SOURCES if s[:4] == "seg/"}
    assert parts - {"__init__"} == set(RANK)


@pytest.mark.parametrize("package", DOORS)
def test_a_heavy_package_has_one_door(package: str) -> None:
    users = {s for s in SOURCES if package in {m.split(".")[0] for m in imports(s)}}
    outside = {user for user in users if not user.startswith(DOORS[package])}
    assert users and not outside


@pytest.mark.parametrize("call", CALLS)
def test_a_dangerous_call_has_one_place(call: str) -> None:
    places = {s for s in SOURCES if f"cv2.{call}(" in (ROOT / s).read_text()}
    assert places == {CALLS[call]}


def test_no_picture_is_written_by_a_call_that_hides_a_full_disk() -> None:
    assert not {s for s in SOURCES if "cv2.imwrite(" in (ROOT / s).read_text()}


def test_people_are_spoken_to_while_work_goes_on_by_note_alone() -> None:
    calls = {
        source: [
            node
            for node in ast.walk(ast.parse((ROOT / source).read_text()))
            if isinstance(node, ast.Call)
            and getattr(node.func, "id", "") == "print"
            and any(keyword.arg == "file" for keyword in node.keywords)
        ]
        for source in SOURCES
    }
    assert [source for source, found in calls.items() if found] == ["seg/notes.py"]


def test_commands_import_no_command() -> None:
    for source in SOURCES:
        assert not {m for m in imports(source) if m.split(".")[0] in {"apps", "export", "train"}}
