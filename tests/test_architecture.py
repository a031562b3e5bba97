"""Imports point down; heavy packages stay behind their doors."""

import ast
import graphlib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
RANKS = [
    {"errors", "results", "spec", "kinds", "_version", "progress"},
    {"files", "imaging", "models", "metrics"},
    {"runtimes", "video", "data", "features"},
    {"predictors"},
    {"training", "exporting", "verification", "evaluation", "search"},
    {"cli", "benchmark", "reproduce", "doctor", "pretraining"},
]
RANK = {name: rank for rank, names in enumerate(RANKS) for name in names}
TOP = len(RANKS)  # apps/, export/ and train.py, which nobody imports
# Within a rank, who may import whom.
EDGES = {
    ("spec", "errors"),
    ("spec", "kinds"),
    ("results", "errors"),
    ("models", "files"),
    ("models", "imaging"),
    ("data", "video"),
    ("training", "evaluation"),
    ("pretraining", "cli"),
    ("exporting", "verification"),
}
DOORS = {
    "torch": (
        *("seg/models/", "seg/training/", "seg/pretraining/", "seg/exporting/", "train.py"),
        *("seg/runtimes/pytorch.py", "seg/runtimes/trt.py", "seg/runtimes/cuda_graph.py"),
        "seg/predictors/gpu_segmentation.py",
    ),
    "tensorrt": ("seg/runtimes/trt.py", "seg/exporting/tensorrt.py"),
    "albumentations": (
        *("seg/data/augment.py", "seg/data/augment_classes.py"),
        "seg/data/augment_multicrop.py",
    ),
    "av": ("seg/video/",),
    "onnxruntime": ("seg/runtimes/ort.py", "seg/exporting/quantization.py"),
    "faiss": ("seg/features/index.py",),
    "pycocotools": ("seg/video/polygon_sinks.py",),
    "openvino": ("seg/runtimes/ov.py",),
    "onnx": (
        *("seg/exporting/", "seg/verification/export_check.py"),
        "seg/training/init_weights.py",
    ),
    "matplotlib": ("seg/training/", "seg/evaluation/figures.py", "seg/benchmark/chart.py"),
    "PIL": ("seg/imaging/image_io.py",),
}
CALLS = {"VideoCapture": "seg/video/streams.py", "imshow": "seg/video/viewer.py"}
TEXT_ARGUMENTS = {"read_text": 0, "write_text": 1}  # how many come before the encoding
SOURCES = sorted(
    path.relative_to(ROOT).as_posix()
    for pattern in ("seg/**/*.py", "apps/*.py", "export/*.py", "train.py")
    for path in ROOT.glob(pattern)
)


def imports(source: str) -> set[str]:
    """Returns every module that a file imports; `from seg.x import y` is `seg.x`."""
    found = set()
    for node in ast.walk(ast.parse((ROOT / source).read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{source} imports relatively"
            if node.module == "seg":
                found |= {f"seg.{alias.name}" for alias in node.names}
            else:
                found.add(str(node.module))
    return found


def room(module: str) -> str:
    """Returns the room of `seg` that a module or file belongs to."""
    return module.removeprefix("seg.").split(".")[0]


def room_of(source: str) -> str:
    return room(source.removesuffix(".py").replace("/", "."))


@pytest.mark.parametrize("source", [s for s in SOURCES if s.startswith("seg/")])
def test_imports_point_to_a_lower_rank_or_along_a_listed_edge(source: str) -> None:
    own = room_of(source)
    if own == "__init__":
        return
    others = {room(m) for m in imports(source) if m.startswith("seg.")} - {own}
    wrong = {o for o in others if RANK.get(o, TOP) >= RANK[own] and (own, o) not in EDGES}
    assert not wrong, f"{source} imports {wrong}"


def test_edges_within_a_rank_make_no_cycle() -> None:
    graph: dict[str, set[str]] = {}
    for start, end in EDGES:
        assert RANK[start] == RANK[end]
        graph.setdefault(start, set()).add(end)
    graphlib.TopologicalSorter(graph).prepare()


@pytest.mark.parametrize("edge", sorted(EDGES))
def test_every_listed_edge_is_used(edge: tuple[str, str]) -> None:
    own = [s for s in SOURCES if s.startswith("seg/") and room_of(s) == edge[0]]
    assert any(room(m) == edge[1] for s in own for m in imports(s) if m.startswith("seg."))


@pytest.mark.parametrize("source", SOURCES)
def test_nobody_imports_the_package_itself(source: str) -> None:
    names = {m for m in imports(source) if m == "seg" or m.startswith("seg.")}
    modules = {"seg." + s.removesuffix(".py").replace("/", ".")[4:] for s in SOURCES}
    rooms = {f"seg.{name}" for name in RANK}
    packages = {m.removesuffix(".__init__") for m in modules} - {"seg"}
    unknown = names - modules - packages - rooms
    assert not unknown, f"{source} imports {unknown} by way of seg/__init__.py"


def test_every_room_has_a_rank() -> None:
    assert {room_of(s) for s in SOURCES if s.startswith("seg/")} - {"__init__"} == set(RANK)


@pytest.mark.parametrize("package", DOORS)
def test_a_heavy_package_has_one_door(package: str) -> None:
    users = {s for s in SOURCES if package in {m.split(".")[0] for m in imports(s)}}
    outside = {user for user in users if not user.startswith(DOORS[package])}
    assert users and not outside


@pytest.mark.parametrize("call", CALLS)
def test_a_dangerous_call_has_one_place(call: str) -> None:
    places = {s for s in SOURCES if f"cv2.{call}(" in (ROOT / s).read_text()}
    assert places == {CALLS[call]}


def test_every_text_file_names_its_encoding() -> None:
    """Else it is the system's, which on Windows is not UTF-8."""
    for source in SOURCES:
        for node in ast.walk(ast.parse((ROOT / source).read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "attr", "") in TEXT_ARGUMENTS:
                num_before = TEXT_ARGUMENTS[node.func.attr]  # type: ignore[attr-defined]
                names = {keyword.arg for keyword in node.keywords}
                assert len(node.args) > num_before or "encoding" in names, (source, node.lineno)


def test_no_image_is_written_by_a_call_that_hides_a_full_disk() -> None:
    assert not {s for s in SOURCES if "cv2.imwrite(" in (ROOT / s).read_text()}


def test_the_library_does_not_print() -> None:
    """It logs to "dinoseg"; commands print their results, and their handler what is logged."""
    printing = {
        source
        for source in SOURCES
        for node in ast.walk(ast.parse((ROOT / source).read_text()))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "print"
    }
    assert all(
        source.startswith(("seg/cli/", "apps/", "export/", "train.py")) for source in printing
    )


def test_the_library_logs_under_one_name() -> None:
    """Whoever sets up or silences "dinoseg" has all of it."""
    for source in SOURCES:
        text = (ROOT / source).read_text()
        assert 'getLogger("seg' not in text and "getLogger(__name__)" not in text, source


def test_commands_import_no_command() -> None:
    for source in SOURCES:
        assert not {m for m in imports(source) if m.split(".")[0] in {"apps", "export", "train"}}
