"""Steps: commands that run once, and again only where something that decides them has changed."""

import dataclasses
import functools
import hashlib
import json
import logging
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

log = logging.getLogger("dinoseg")

ROOT = Path(__file__).resolve().parents[2]
INTERRUPTED = 130
PATIENCE_S = 60.0  # for a command that was interrupted and saves its state
Execute = Callable[[Sequence[str]], int]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """A command, its inputs and its output.

    Attributes:
        name: Unique, short.
        command: The script, from the repository's root, and its arguments.
        output: The file that exists once the command has succeeded. It belongs to the step.
        inputs: Files and folders whose contents decide the output.
        resumes: Whether `--resume` continues an interrupted command.
        scratch: A folder that only this command uses, and only until it has succeeded.
    """

    name: str
    command: tuple[str, ...]
    output: Path
    inputs: tuple[Path, ...] = ()
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
        fingerprint: What decides the output: command, hashes of the inputs, environment.
        seconds: Wall clock of the command, over all runs that led to the output.
        date: When it last ended, `YYYY-MM-DD`, UTC.
        output_sha256: Empty while the step is not done.
        is_timing_complete: Whether the end of every run was seen, so that `seconds` misses none.
    """

    fingerprint: Mapping[str, Any]
    seconds: float = 0.0
    date: str = ""
    output_sha256: str = ""
    is_timing_complete: bool = True


def check_checkout() -> None:
    """Raises SegError where this is not a checkout, whose scripts the steps run."""
    if not (ROOT / "train.py").is_file():
        raise SegError(
            f"The steps run scripts of the repository, and {ROOT} is not a checkout of it; clone "
            "it and run this there."
        )


def run_steps(
    steps: Sequence[Step],
    folder: Path,
    environment: Mapping[str, Any],
    execute: Execute,
) -> dict[str, Record]:
    """Runs the steps that are not done, in order.

    Args:
        steps: All of them; the output of one may be an input of a later one.
        folder: Where their records are kept.
        environment: What else decides every output, such as versions; plain JSON values.
        execute: Runs a command and returns its exit code.

    Returns:
        The record of each step, by name.

    Raises:
        SegError: A step failed; those before it stay done.
        KeyboardInterrupt: A step was interrupted.
    """
    records = {}
    for number, step in enumerate(steps, 1):
        title = f"step {number}/{len(steps)}, {step.name}"
        records[step.name] = _run(step, folder / f"{step.name}.json", environment, execute, title)
    return records


def _run(
    step: Step,
    file: Path,
    environment: Mapping[str, Any],
    execute: Execute,
    title: str,
) -> Record:
    """Runs a step unless it is done; returns its record."""
    fingerprint = _fingerprint(step, environment)
    record = _read(file)
    if record and record.fingerprint != fingerprint:
        record = None
    if record and record.output_sha256 and _hash(step.output) == record.output_sha256:
        log.info(f"{title}: done already, on {record.date}")
        return record
    is_resuming = bool(
        step.resumes and record and not record.output_sha256 and step.output.exists()
    )
    if record is None or not is_resuming:
        # An older output must not be taken for this one, whatever stops the command.
        step.output.unlink(missing_ok=True)
        _clear(step.scratch)
        record = Record(fingerprint)
    command = (*step.command, "--resume" if is_resuming else "--overwrite")
    log.info(f"{title}: {step.line}{' --resume' * is_resuming}")
    record, code = _execute(step, command, execute, file, record)
    if code == INTERRUPTED:
        raise KeyboardInterrupt
    if not record.output_sha256:
        raise SegError(
            f"Step '{step.name}' failed with exit code {code}; its messages are above. "
            f"It was: {step.line}. Run this again once that is mended; finished steps are kept."
        )
    _clear(step.scratch)
    return record


def _execute(
    step: Step, command: Sequence[str], execute: Execute, file: Path, record: Record
) -> tuple[Record, int]:
    """Runs a command and writes its record, also where it is interrupted."""
    _write(file, dataclasses.replace(record, is_timing_complete=False))
    started, code = time.monotonic(), INTERRUPTED
    try:
        code = execute(command)
    finally:
        record = dataclasses.replace(
            record,
            seconds=record.seconds + time.monotonic() - started,
            date=datetime.now(UTC).date().isoformat(),
            output_sha256=_hash(step.output) if code == 0 else "",
        )
        _write(file, record)
    return record, code


def _clear(folder: Path | None) -> None:
    if folder:
        shutil.rmtree(folder, ignore_errors=True)


def execute(command: Sequence[str]) -> int:
    """Runs a script of the repository with this Python, in the current folder.

    Where this process is interrupted, so is the command; it has a minute to save its state.
    """
    with subprocess.Popen([sys.executable, str(ROOT / command[0]), *command[1:]]) as process:
        try:
            return process.wait()
        except KeyboardInterrupt:
            process.terminate()  # Ctrl-C has reached it already, but SIGTERM has not
            try:
                process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                process.kill()
            raise


def hash_files(*paths: Path) -> str:
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


def _fingerprint(step: Step, environment: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what decides a step's output, as JSON would give it back."""
    inputs = {str(path): _hash_files_once(path, _state(path)) for path in step.inputs}
    return {"command": list(step.command), "inputs": inputs, **environment}


State = tuple[tuple[int, int], ...]


def _state(path: Path) -> State:
    """Returns sizes and times, by which a change is noticed without reading it all."""
    stats = [file.stat() for file in _files(path)]
    return tuple((stat.st_size, stat.st_mtime_ns) for stat in stats)


@functools.lru_cache(maxsize=64)
def _hash_files_once(path: Path, state: State) -> str:
    """Returns `hash_files`, once while the state is the same: data sets serve many steps."""
    return hash_files(path)


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
