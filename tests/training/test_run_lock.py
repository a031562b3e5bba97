"""Two trainings do not write into one folder."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from seg import cli
from seg.errors import ArtifactError
from seg.training.run import locked
from train import main

ROOT = Path(__file__).resolve().parents[2]
HOLDS = "import sys, time; from pathlib import Path; from seg.training.run import locked\n"
HOLDS += "with locked(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"


@pytest.fixture
def other(tmp_path):
    """Another process that trains into a folder."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(tmp_path / "run")],
        stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert process.stdout.readline() == b"held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


@pytest.mark.parametrize("words", [[], ["--overwrite"], ["--resume"]])
def test_the_second_training_is_refused(other, discs, tmp_path, words, capsys):
    run = tmp_path / "run"
    args = ["--data", str(discs), "--arch", "lite", "--imgsz", "96", "96", "--output", str(run)]
    assert cli.run(main, [*args, *words]) == 1
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("error: Another training writes into") and "--output" in line
    assert [path.name for path in run.iterdir()] == [".lock"]


def test_a_killed_training_keeps_nobody_out(other, tmp_path):
    other.send_signal(signal.SIGKILL)
    other.wait()
    time.sleep(0.05)
    with locked(tmp_path / "run"), pytest.raises(ArtifactError), locked(tmp_path / "run"):
        pass
    assert not list((tmp_path / "run").iterdir())
