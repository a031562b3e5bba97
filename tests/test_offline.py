"""Nothing calls home: not an app, not an engine below it, not its threads, not minutes later.

Each app runs in a process that the kernel kills at its first network socket, with an empty home
folder that must stay empty. The processes live for 40 seconds, side by side, most of it asleep:
ONNX Runtime waits for 10 before it sends anything. They start before all other tests and are asked
after them, so that nobody waits.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import pytest

from seg.files.default_artifacts import DEFAULT_MODEL
from seg.imaging.image_io import photo
from seg.models.checkpoint import save_net
from seg.models.nets import build_net
from seg.runtimes.ort import spec_of
from seg.video.recorder import Mp4Writer

ROOT = Path(__file__).resolve().parent.parent
WATCHED_S = 40
ENGINES = {"onnxruntime": ".onnx", "openvino": ".onnx", "torch": ".pt"}


class Watched:
    """A command without a network, in folders of its own.

    Args:
        folder: Where those are made.
        seconds: How long the process lives, at least.
        words: The command.
    """

    def __init__(self, folder: Path, seconds: float, *words: object) -> None:
        self.places = {name: folder / name for name in ("HOME", "TMPDIR", "work")}
        for place in self.places.values():
            place.mkdir(parents=True)
        # As a user has it: with no variable that would silence a library or lead it elsewhere.
        kept = {key: os.environ[key] for key in ("PATH", "LANG") if key in os.environ}
        homes = {name: str(place) for name, place in self.places.items() if name.isupper()}
        runner = (sys.executable, ROOT / "tests" / "without_network.py", seconds)
        self._process = subprocess.Popen(
            [str(word) for word in (*runner, *words)],
            cwd=self.places["work"],
            env=kept | homes | {"PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def end(self) -> tuple[int, str, set[str]]:
        """Waits; returns the exit code, what was printed, and the files left, by folder."""
        said, _ = self._process.communicate(timeout=10 * WATCHED_S)
        left = {
            f"{name}/{path.relative_to(place)}"
            for name, place in self.places.items()
            for path in place.rglob("*")
        }
        return self._process.returncode, said, left

    def kill(self) -> None:
        """Ends it where a test did not."""
        self._process.kill()
        self._process.wait()


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Watched]]:
    """Every app on every engine, started together."""
    folder = tmp_path_factory.mktemp("offline")
    image = cv2.resize(photo("astronaut"), (160, 160))
    cv2.imwrite(str(folder / "still.png"), image)
    with Mp4Writer(folder / "clip.mp4", fps=25) as writer:
        for index in range(5):
            writer.add(image, index / 25)
        writer.end_of_stream()
    spec = spec_of(DEFAULT_MODEL)
    save_net(folder / "net.pt", build_net(spec), spec)
    models = {DEFAULT_MODEL.suffix: DEFAULT_MODEL, ".pt": folder / "net.pt"}
    inputs = {"infer_image": folder / "still.png", "infer_video": folder / "clip.mp4"}

    started = {"doctor": Watched(folder / "doctor", WATCHED_S, ROOT / "apps" / "doctor.py")}
    for engine, suffix in ENGINES.items():
        for app, given in inputs.items():
            name = f"{app} on {engine}"
            words = ("--input", given, "--model", models[suffix], "--runtime", engine)
            started[name] = Watched(folder / name, WATCHED_S, ROOT / "apps" / f"{app}.py", *words)
    words = ("benchmark", "--vectors", 300, "--dimension", 16, "--queries", 9, "--kind", "hnsw")
    started["search"] = Watched(
        folder / "search", WATCHED_S, ROOT / "apps" / "search_images.py", *words
    )
    (folder / "quantize.py").write_text("import seg.exporting.quantization")
    started["quantization"] = Watched(folder / "quantize", WATCHED_S, folder / "quantize.py")
    yield started
    for run in started.values():
        run.kill()


@pytest.mark.first
def test_every_app_starts(runs: dict[str, Watched]) -> None:
    assert len(runs) == 3 + 2 * len(ENGINES)


@pytest.mark.last
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("app", "result"),
    [("infer_image", "work/still-overlay.png"), ("infer_video", "work/clip-overlay.mp4")],
)
def test_an_app_opens_no_socket_and_leaves_nothing_but_its_result(
    runs: dict[str, Watched], app: str, result: str, engine: str
) -> None:
    code, said, left = runs[f"{app} on {engine}"].end()
    assert code != -signal.SIGSYS, f"asked for a network socket; it had said:\n{said}"
    assert code == 0, said
    assert left == {result}


@pytest.mark.last
def test_the_doctor_opens_every_engine_and_no_socket(runs: dict[str, Watched]) -> None:
    code, said, left = runs["doctor"].end()
    assert code != -signal.SIGSYS, f"asked for a network socket; it had said:\n{said}"
    assert code == 0, said
    assert all(f"ok      {engine} " in said for engine in ENGINES), said
    assert left == set()


@pytest.mark.last
def test_searching_an_index_opens_no_socket(runs: dict[str, Watched]) -> None:
    code, said, left = runs["search"].end()
    assert code == 0 and "| hnsw |" in said, said
    assert left == set()


@pytest.mark.last
def test_quantization_which_imports_onnx_runtime_by_itself_opens_no_socket(
    runs: dict[str, Watched],
) -> None:
    assert runs["quantization"].end() == (0, "", set())


ASK_LATER = """
import socket, sys, threading
threading.Timer(0.2, lambda: getattr(socket, sys.argv[1])(*map(eval, sys.argv[2:]))).start()
"""


@pytest.mark.parametrize(
    "call",
    [
        ("socket", "socket.AF_INET", "socket.SOCK_STREAM"),
        ("socket", "socket.AF_INET6", "socket.SOCK_DGRAM"),
        ("getaddrinfo", "'example.org'", "443"),
    ],
)
def test_a_thread_that_asks_for_the_network_later_is_caught(
    tmp_path: Path, call: tuple[str, ...]
) -> None:
    (tmp_path / "later.py").write_text(ASK_LATER)
    code, _, _ = Watched(tmp_path, 2, tmp_path / "later.py", *call).end()
    assert code == -signal.SIGSYS


def test_a_command_that_stays_here_is_let_run(tmp_path: Path) -> None:
    (tmp_path / "local.py").write_text(
        "import pathlib, socket; socket.socketpair(); (pathlib.Path.home() / 'id').touch()"
    )
    code, said, left = Watched(tmp_path, 0, tmp_path / "local.py").end()
    assert (code, said, left) == (0, "", {"HOME/id"})
