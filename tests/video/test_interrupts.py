import os
import signal
import subprocess
import sys

import av
import pytest

from seg.video.interrupts import HeldInterrupts, interrupts_pending

NUM_INTERRUPTS = int(os.environ.get("DINOSEG_SOAK", "20"))
only_posix = pytest.mark.skipif(sys.platform == "win32", reason="about POSIX signals")


def test_an_interrupt_waits_for_the_end_of_the_outer_block():
    done = []
    with pytest.raises(KeyboardInterrupt), HeldInterrupts():
        with HeldInterrupts():
            assert not interrupts_pending()
            signal.raise_signal(signal.SIGINT)
            assert interrupts_pending()
        signal.raise_signal(signal.SIGINT)
        done.append("all")
    assert done == ["all"] and not interrupts_pending()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_the_third_interrupt_does_not_wait():
    with pytest.raises(KeyboardInterrupt), HeldInterrupts():
        for times in range(3):
            assert times < 3
            signal.raise_signal(signal.SIGINT)
        pytest.fail("it waited")
    assert not interrupts_pending()


def test_an_error_is_not_hidden_by_an_interrupt_that_waits():
    # Of any kind: pytest itself would end on a KeyboardInterrupt.
    with pytest.raises(BaseException) as told, HeldInterrupts():
        signal.raise_signal(signal.SIGINT)
        raise ZeroDivisionError
    assert told.type is ZeroDivisionError


@only_posix
def test_what_is_ignored_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with HeldInterrupts():
            signal.raise_signal(signal.SIGHUP)
            assert not interrupts_pending()
    finally:
        signal.signal(signal.SIGHUP, before)


# Frames as fast as the encoder takes them, so that its queue is full and everybody waits. One
# process imports everything and forks the runs.
RECORD = """
import os, random, signal, sys, time
from pathlib import Path
import numpy as np
from seg import cli
from seg.video import loop
from seg.video.base import Frame, Processed, Source
from seg.video.recorder import Mp4Writer
class Noise(Source):
    def __iter__(self):
        image, index = np.random.default_rng(0).integers(0, 256, (90, 160, 3), np.uint8), 0
        while not self.stop.is_set():
            yield Frame(np.roll(image, index, 1), index, index / 25)
            index += 1
class Pass:
    tasks = ()
    def __call__(self, frame):
        return Processed(frame.image, {})
def main(argv):
    writer = Mp4Writer(Path(f"{index}.mp4"), fps=25)
    os.write(ready, b".")
    loop.run(Noise(), Pass(), [writer])
    return 0
moments = random.Random(0)
for index in range(int(sys.argv[1])):
    wait, ready = os.pipe()
    child = os.fork()
    if not child:
        sys.exit(cli.run(main))
    os.read(wait, 1)
    time.sleep(0.2 * moments.random())
    for _ in range(1 + index % 2):
        os.kill(child, signal.SIGINT)
        time.sleep(0.05 * moments.random())
    deadline = time.monotonic() + 20
    while not (ended := os.waitpid(child, os.WNOHANG))[0]:
        time.sleep(0.002)
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
    print(os.waitstatus_to_exitcode(ended[1]), flush=True)
"""


@only_posix
def test_interrupts_at_any_moment_leave_a_recording_each(tmp_path):
    """One or two each, up to half a second after the start."""
    words = [sys.executable, "-c", RECORD, str(NUM_INTERRUPTS)]
    runs = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert runs.stdout.split() == ["130"] * NUM_INTERRUPTS
    said = runs.stderr.splitlines()
    assert said.count("interrupted") == NUM_INTERRUPTS and len(said) <= 2 * NUM_INTERRUPTS
    assert "Traceback" not in said
    for index in range(NUM_INTERRUPTS):
        path = tmp_path / f"{index}.mp4"
        if path.exists():  # else it was stopped before the first frame
            with av.open(str(path)) as file:
                assert len([*file.decode(video=0)]) == file.streams.video[0].frames > 0
    assert 0.75 * NUM_INTERRUPTS < len(list(tmp_path.iterdir())) <= NUM_INTERRUPTS
