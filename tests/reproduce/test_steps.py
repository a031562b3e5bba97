"""Steps run once, again where an input changed, and resume where they can."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from seg.errors import SegError
from seg.reproduce.steps import ROOT, Step, check_checkout, execute, hash_files, run_steps

ENVIRONMENT = {"code": "a", "versions": {"python": "3"}}


class Runner:
    """Runs no command: writes what a step makes, or ends with the codes that were asked for."""

    def __init__(self, *codes):
        self.codes, self.commands = list(codes), []

    def __call__(self, command):
        self.commands.append(list(command))
        code = self.codes.pop(0) if self.codes else 0
        if code in (0, "half"):
            Path(command[1]).write_text(" ".join(command))
        if code == "half":
            raise KeyboardInterrupt
        return code


@pytest.fixture
def steps(tmp_path):
    """Two steps; the second one reads what the first one makes."""
    one, two, data = (tmp_path / name for name in ("one", "two", "data"))
    data.mkdir()
    (data / "image").write_text("pixels")
    first = Step(name="first", command=("make", str(one)), output=one, inputs=(data,), resumes=True)
    return [first, Step(name="second", command=("make", str(two)), output=two, inputs=(one,))]


@pytest.fixture
def run(steps, tmp_path, caplog):
    """Runs the steps with a environment; returns the commands and what was said."""

    def once(*codes, environment=ENVIRONMENT):
        runner = Runner(*codes)
        records = run_steps(steps, tmp_path / "records", environment, runner)
        return runner.commands, caplog.messages, records

    return once


def names(commands):
    return [Path(command[1]).name for command in commands]


def test_what_is_done_is_not_done_again(run):
    commands, _, first = run()
    assert names(commands) == ["one", "two"]
    commands, said, second = run()
    assert not commands and second == first
    assert [line.partition(":")[2][:13] for line in said[-2:]] == [" done already"] * 2


def test_a_changed_input_repeats_only_what_depends_on_it(run, tmp_path):
    run()
    (tmp_path / "one").write_text("by hand")  # neither what first made, nor what second read
    assert names(run()[0]) == ["one"]
    (tmp_path / "two").unlink()
    assert names(run()[0]) == ["two"]
    (tmp_path / "data" / "image").write_text("other pixels")
    assert names(run()[0]) == ["one"]  # which makes the same again, so the second is still true
    assert names(run(environment={**ENVIRONMENT, "versions": {"python": "4"}})[0]) == ["one", "two"]


def test_a_renamed_image_is_a_change(run, tmp_path):
    run()
    before = hash_files(tmp_path / "data")
    (tmp_path / "data" / "image").rename(tmp_path / "data" / "painting")
    assert hash_files(tmp_path / "data") != before


def test_a_failure_names_the_step_and_stops(run, steps):
    with pytest.raises(SegError, match=r"'second' failed with exit code 3.*python make .*two"):
        run(0, 3)
    assert names(run()[0]) == ["two"]
    steps[0] = Step(name="first", command=("make", "elsewhere"), output=steps[0].output)
    with pytest.raises(SegError, match="'first' failed with exit code 1"):
        run(1)


def test_a_command_that_makes_nothing_has_failed(steps, tmp_path):
    with pytest.raises(SegError, match="'first' failed"):
        run_steps(steps, tmp_path / "records", ENVIRONMENT, lambda command: 0)


def test_an_interrupted_training_resumes_and_others_start_anew(run, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run("half")
    assert [command[2] for command in run()[0]] == ["--resume", "--overwrite"]
    (tmp_path / "data" / "image").write_text("other pixels")
    with pytest.raises(KeyboardInterrupt):
        run(130)  # before it wrote anything: what an earlier training left is not taken up
    assert not (tmp_path / "one").exists()
    assert run()[0][0][2] == "--overwrite"


def test_seconds_add_up_and_say_where_they_miss_some(run, tmp_path, monkeypatch):
    clock = iter(range(0, 1000, 10))
    monkeypatch.setattr("seg.reproduce.steps.time.monotonic", lambda: next(clock))
    with pytest.raises(KeyboardInterrupt):
        run("half")
    record = run()[2]["first"]
    assert (record.seconds, record.is_timing_complete) == (20, True)
    (tmp_path / "data" / "image").write_text("other pixels")

    with pytest.raises(KeyboardInterrupt):
        run("half")
    file = tmp_path / "records" / "first.json"  # as a kill leaves it
    file.write_text(
        file.read_text().replace('"is_timing_complete": true', '"is_timing_complete": false')
    )
    assert not run()[2]["first"].is_timing_complete


def test_scratch_is_empty_at_a_start_and_gone_at_the_end(tmp_path):
    scratch, made = tmp_path / "scratch", tmp_path / "made"
    step = Step(name="a", command=("make", str(made)), output=made, resumes=True, scratch=scratch)
    scratch.mkdir()
    (scratch / "old").touch()
    seen = []

    def runner(command):
        seen.append([path.name for path in scratch.glob("*")])
        scratch.mkdir(exist_ok=True)
        (scratch / "new").touch()
        made.touch()
        return 130 if len(seen) == 1 else 0

    with pytest.raises(KeyboardInterrupt):
        run_steps([step], tmp_path / "records", {}, runner)
    run_steps([step], tmp_path / "records", {}, runner)
    assert seen == [[], ["new"]] and not scratch.exists()


def test_a_damaged_record_is_no_record(run, tmp_path):
    run()
    (tmp_path / "records" / "first.json").write_text("{")
    assert names(run()[0]) == ["one"]


def test_commands_run_with_this_python_and_their_exit_code_comes_back(capfd):
    assert execute(["train.py", "--version-that-is-not"]) == 2
    assert "train.py" in capfd.readouterr().err
    assert (ROOT / "train.py").exists() and Path(sys.executable).exists()


INTERRUPTED = """
import sys
from pathlib import Path

from seg import cli
from seg.reproduce import steps

steps.ROOT = Path(sys.argv[1])
cli.run(lambda argv: steps.execute(["slow.py", sys.argv[1]]))
"""
SLOW = """
import signal, sys, time
from pathlib import Path

def save(number, frame):
    time.sleep(0.5)
    (Path(sys.argv[1]) / "saved").touch()
    sys.exit(143)

signal.signal(signal.SIGTERM, save)
(Path(sys.argv[1]) / "started").touch()
time.sleep(60)
"""


def test_a_command_saves_its_state_where_reproduce_is_terminated(tmp_path):
    (tmp_path / "slow.py").write_text(SLOW)
    process = subprocess.Popen([sys.executable, "-c", INTERRUPTED, str(tmp_path)])
    while not (tmp_path / "started").exists():
        time.sleep(0.01)
    process.terminate()
    process.wait(30)
    assert (tmp_path / "saved").exists()


def test_without_a_checkout_one_line_says_so(tmp_path, monkeypatch):
    check_checkout()
    monkeypatch.setattr("seg.reproduce.steps.ROOT", tmp_path)
    with pytest.raises(SegError, match=f"{tmp_path} is not a checkout of it; clone it"):
        check_checkout()
