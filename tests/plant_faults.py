"""Plants faults in a scratch copy of the repository and runs the nearest tests on each.

    python tests/plant_faults.py                    every fault of tests/faults.toml
    python tests/plant_faults.py --only geometry    those whose file or reason has this word
    python tests/plant_faults.py --jobs 2

A fault is caught when its tests fail. The exit code is 1 where a required fault survives, where
fewer than 95 % of all are caught, or where a fault does not fit the code any more.
"""

import argparse
import dataclasses
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
LIST = ROOT / "tests" / "faults.toml"
LEAST = 0.95
TIMEOUT_S = 300
FAILED = 1  # pytest: tests ran and some failed


@dataclasses.dataclass(frozen=True, kw_only=True)
class Fault:
    """A change of the code that would hurt a user.

    Attributes:
        file: Where, from the repository's root.
        old: Text that occurs there exactly once.
        new: What replaces it.
        why: What would go wrong for whom.
        tests: What is run, from the repository's root; empty: the tests beside the file.
        required: Whether it must be caught, whatever the share of the others.
    """

    file: str
    old: str
    new: str
    why: str
    tests: tuple[str, ...] = ()
    required: bool = False

    def misfit(self, root: Path) -> str:
        """Returns why the fault cannot be planted in `root`; empty where it can."""
        path = root / self.file
        if not path.is_file():
            return f"{self.file} does not exist"
        count = path.read_text("utf-8").count(self.old)
        return "" if count == 1 else f"{self.file} has {count} places with {self.old!r}"

    def nearest(self, root: Path) -> list[str]:
        """Returns the tests to run: those named, or the test file or folder of the same place."""
        if self.tests:
            return list(self.tests)
        place = Path("tests") / Path(self.file).relative_to(
            "seg" if self.file[:4] == "seg/" else "."
        )
        exact = place.with_name(f"test_{place.name}")
        return [(exact if (root / exact).is_file() else place.parent).as_posix()]


def read(path: Path = LIST) -> list[Fault]:
    """Reads the list of faults."""
    rows: list[dict[str, Any]] = tomllib.loads(path.read_text("utf-8"))["fault"]
    return [Fault(**row | {"tests": tuple(row.get("tests", ()))}) for row in rows]


def copy_of(root: Path, target: Path) -> Path:
    """Copies what git tracks or would track, and links the environment and the data."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=root, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    for name in filter(None, listed.split("\0")):
        if (root / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(root / name, target / name)
    return target


def outcome(fault: Fault, root: Path, environment: dict[str, str]) -> str:
    """Plants a fault in `root`, runs its tests, takes it out; returns what happened."""
    if misfit := fault.misfit(root):
        return f"DOES NOT FIT: {misfit}"
    path = root / fault.file
    original = path.read_text("utf-8")
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider"]
    try:
        path.write_text(original.replace(fault.old, fault.new), "utf-8")
        done = subprocess.run(
            [*command, *fault.nearest(root)], cwd=root, env=environment,
            capture_output=True, text=True, timeout=TIMEOUT_S, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return "caught, by a test that did not end"
    finally:
        path.write_text(original, "utf-8")
    if done.returncode == FAILED:
        failed = [line for line in done.stdout.splitlines() if line.startswith("FAILED")]
        return f"caught by {failed[0].split()[1]}" if failed else "caught"
    if done.returncode == 0:
        return "SURVIVES"
    return f"DOES NOT START: pytest's exit code is {done.returncode}"


def plant_all(faults: Sequence[Fault], root: Path, jobs: int) -> list[str]:
    """Plants the faults one by one, in as many copies as jobs; returns what happened to each."""
    data = os.environ.get("DINOSEG_DATA", str(root.parent / "shared" / "data"))

    def share(job: int, folder: Path) -> list[tuple[int, str]]:
        scratch = copy_of(root, folder)
        environment = {**os.environ, "PYTHONPATH": str(scratch), "DINOSEG_DATA": data}
        environment["PYTHONDONTWRITEBYTECODE"] = "1"
        found = []
        for index in range(job, len(faults), jobs):
            result = outcome(faults[index], scratch, environment)
            print(f"{index + 1}/{len(faults)} {faults[index].file}: {result}", flush=True)
            found.append((index, result))
        return found

    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(jobs) as pool:
        folders = [Path(folder) / str(job) for job in range(jobs)]
        parts = list(pool.map(share, range(jobs), folders))
    return [result for _, result in sorted(pair for part in parts for pair in part)]


def verdict(faults: Sequence[Fault], results: Sequence[str]) -> tuple[bool, str]:
    """Returns whether enough was caught, and a summary that lists what was not."""
    pairs = list(zip(faults, results, strict=True))
    missed = [(fault, result) for fault, result in pairs if not result.startswith("caught")]
    share = 1 - len(missed) / len(pairs)
    lines = [
        f"  {fault.file}: {result}; {fault.why}{' (required)' * fault.required}"
        for fault, result in missed
    ]
    is_enough = share >= LEAST and not any(
        fault.required or result != "SURVIVES" for fault, result in missed
    )
    return is_enough, "\n".join([f"{len(pairs) - len(missed)} of {len(pairs)} caught", *lines])


def main(argv: Sequence[str] | None = None) -> int:
    """Plants; returns 0 only if enough faults are caught."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default="", metavar="WORD", help="of the file or the reason")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="copies side by side")
    args = parser.parse_args(argv)
    faults = [fault for fault in read() if args.only in f"{fault.file} {fault.why}"]
    if not faults:
        parser.error(f"no fault has '{args.only}' in its file or reason")
    is_enough, text = verdict(faults, plant_all(faults, ROOT, args.jobs))
    print(text)
    return 0 if is_enough else 1


if __name__ == "__main__":
    raise SystemExit(main())
