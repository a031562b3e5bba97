"""Steps: command lines that are run once, and again only where what they depend on has changed."""

import dataclasses
import functools
import hashlib
import json
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from seg.errors import SegError
from seg.files.atomic import atomic_write
from seg.files.checksum import sha256_of
from seg.notes import note

ROOT = Path(__file__).resolve().parents[2]
INTERRUPTED = 130
Execute = Callable[[Sequence[str]], int]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """A command line, what it makes, and what it reads.

    Attributes:
        name: Unique, short.
        command: The script, from the repository's root, and its words.
        makes: The file that is there when it has succeeded. It belongs to the step.
        needs: Files and folders whose contents decide what it makes.
        resumes: Whether `--resume` goes on where the command was stopped.
        scratch: A folder that only this command uses, and only until it has succeeded.
    """

    name: str
    command: tuple[str, ...]
    makes: Path
    needs: tuple[Path, ...] = ()
    resumes: bool = False
    scratch: Path | None = None

    @property
    def line(self) -> str:
        """The command as a user types it."""
        return f"python {shlex.join(self.command)}"


@dataclasses.dataclass(frozen=True, slots=True)
class Record:
    """What is known of a step's runs.

    Attributes:
        inputs: What decided it: its command, the hashes of what it needs, and the world's state.
        seconds: Wall clock of the command, over all runs that led to the result.
        date: When it last ended, `YYYY-MM-DD`, UTC.
        made: Hash of what it made; empty while it is not done.
        is_whole: Whether every run's end was seen, so that `seconds` misses nothing.
    """

    inputs: Mapping[str, Any]
    seconds: float = 0.0
    date: str = ""
    made: str = ""
    is_whole: bool = True


def run_steps(
    steps: Sequence[Step],
    folder: Path,
    world: Mapping[str, Any],
    execute: Execute,
) -> dict[str, Record]:
    """Runs the steps that are not done, in order.

    Args:
        steps: All of them; a step may need what an earlier one makes.
        folder: Where their records are kept.
        world: What else decides every step, such as versions; plain JSON values.
        execute: Runs a command's words and returns its exit code.

    Returns:
        The record of each step, by name.

    Raises:
        SegError: A step failed; those before it stay done.
        KeyboardInterrupt: A step was interrupted.
    """
    records = {}
    for number, step in enumerate(steps, 1):
        place = f"step {number}/{len(steps)}, {step.name}"
        records[step.name] = _run(step, folder / f"{step.name}.json", world, execute, place)
    return records


def _run(
    step: Step,
    file: Path,
    world: Mapping[str, Any],
    execute: Execute,
    place: str,
) -> Record:
    """Brings one step about; returns its record."""
    inputs = _inputs(step, world)
    known = _read(file)
    if known and known.inputs == inputs and known.made and _hash(step.makes) == known.made:
        note(f"{place}: done already, on {known.date}")
        return known
    goes_on = bool(
        step.resumes and known and known.inputs == inputs and not known.made and step.makes.exists()
    )
    if not goes_on:
        # An older result must not be taken for this one's, whatever stops the command.
        step.makes.unlink(missing_ok=True)
        _clear(step.scratch)
        known = Record(inputs)
    assert known is not None
    command = (*step.command, "--resume" if goes_on else "--overwrite")
    note(f"{place}: {step.line}{' --resume' * goes_on}")
    _write(file, dataclasses.replace(known, is_whole=False))
    started, code = time.monotonic(), INTERRUPTED
    try:
        code = execute(command)
    finally:
        made = _hash(step.makes) if code == 0 else ""
        seconds = known.seconds + time.monotonic() - started
        date = datetime.now(UTC).date().isoformat()
        known = dataclasses.replace(known, seconds=seconds, date=date, made=made)
        _write(file, known)
    if code == INTERRUPTED:
        raise KeyboardInterrupt
    if not known.made:
        raise SegError(
            f"Step '{step.name}' failed with exit code {code}; what it said is above. "
            f"It was: {step.line}. Run this again when that is mended; what is done is kept."
        )
    _clear(step.scratch)
    return known


def _clear(folder: Path | None) -> None:
    if folder:
        shutil.rmtree(folder, ignore_errors=True)


def execute(command: Sequence[str]) -> int:
    """Runs a script of the repository with this Python, in the current folder."""
    words = [sys.executable, str(ROOT / command[0]), *command[1:]]
    return subprocess.run(words, check=False).returncode


def digest(*paths: Path) -> str:
    """Returns a hash of the names and contents of files, and of all below folders.

    Names are those below the folder, so the same data set elsewhere has the same hash. Compiled
    Python is left out.
    """
    whole = hashlib.sha256()
    for path in paths:
        for file in _files(path):
            name = file.relative_to(path).as_posix()
            whole.update(f"{name}\0{sha256_of(file)}\n".encode())
    return whole.hexdigest()


def _files(path: Path) -> list[Path]:
    files = [path] if path.is_file() else sorted(one for one in path.rglob("*") if one.is_file())
    return [file for file in files if file.suffix != ".pyc"]


def _inputs(step: Step, world: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what decides a step's result, as JSON would give it back."""
    needs = {str(path): _digest_once(path, _state(path)) for path in step.needs}
    return {"command": list(step.command), "needs": needs, **world}


State = tuple[tuple[int, int], ...]


def _state(path: Path) -> State:
    """Returns sizes and times, by which a change is noticed without reading it all."""
    stats = [file.stat() for file in _files(path)]
    return tuple((stat.st_size, stat.st_mtime_ns) for stat in stats)


@functools.lru_cache(maxsize=64)
def _digest_once(path: Path, state: State) -> str:
    """Returns `digest`, once while the state is the same: data sets serve many steps."""
    return digest(path)


def _hash(path: Path) -> str:
    return sha256_of(path) if path.is_file() else ""


def _read(file: Path) -> Record | None:
    """Reads a record; None where there is none or it cannot be understood."""
    try:
        return Record(**json.loads(file.read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _write(file: Path, record: Record) -> None:
    with atomic_write(file) as part:
        part.write_text(json.dumps(dataclasses.asdict(record), indent=2) + "\n", "utf-8")
