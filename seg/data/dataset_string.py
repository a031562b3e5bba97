"""What `--data` and `--images` take: a path and how to use it."""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Self

from seg.errors import DataError

# Option -> how it is written.
OPTIONS: Final[Mapping[str, str]] = {
    "val": "val=COUNT",
    "seed": "seed=SEED",
    "weight": "weight=W",
    "only": "only=PATTERN",
    "ignore_above": "ignore_above=P",
    "negatives": "negatives",
    "recursive": "recursive",
}
RENAMED: Final[Mapping[str, str]] = {"doubt": "ignore_above"}


@dataclasses.dataclass(frozen=True, slots=True)
class DataOptions:
    """A path and how to use it.

    Attributes:
        path: A folder, or a video where those are taken.
        val: Number of validation images; None is 24 of 170, as Penn-Fudan is split.
        seed: Seed of the split; None is 0.
        weight: See `DataSet.weight`.
        only: Pattern of the file names to use, such as `ikea_*`, or `[!i]*` for all others.
        ignore_above: See `DataSet.ignore_above`.
        negatives: The images show the background class only.
        recursive: Subfolders are searched, too.
    """

    path: Path
    val: int | None = None
    seed: int | None = None
    weight: float = 1.0
    only: str = "*"
    ignore_above: float = 0.0
    negatives: bool = False
    recursive: bool = False

    @classmethod
    def parse(cls, text: str, allowed: Sequence[str] = tuple(OPTIONS)) -> Self:
        """Reads `PATH[,OPTION=VALUE...]`.

        The path is the longest beginning that exists, so it may have commas.

        Args:
            text: What the user wrote.
            allowed: Names of the options that have a meaning here.

        Raises:
            DataError: There is no path, or an option is unknown, doubled or has no sensible value.
        """
        expected = "".join(f"[,{OPTIONS[option]}]" for option in allowed)
        parts = text.split(",")
        if not parts[0]:  # which would be the current folder
            raise DataError(f"'{text}' names no path; expected PATH{expected}.")
        paths = [Path(",".join(parts[:end])).expanduser() for end in range(1, len(parts) + 1)]
        end = max((i for i, path in enumerate(paths) if _can_be_seen(path)), default=0)
        values: dict[str, Any] = {}
        for word in parts[end + 1 :]:
            name = word.partition("=")[0]
            if name in RENAMED:
                raise DataError(f"'{text}': {name}= is now called {RENAMED[name]}=.")
            value = _value(word) if name in allowed else None
            if value is None or name in values:
                problem = "doubled" if name in values else "unknown or bad"
                raise DataError(f"'{text}': {problem} option '{word}'; expected PATH{expected}.")
            values[name] = value
        return cls(paths[end], **values)


def _can_be_seen(path: Path) -> bool:
    """Says whether a path exists, as far as this user may know."""
    try:
        path.stat()
    except (OSError, ValueError):  # no permission, too long for a name, a zero byte
        return False
    return True


def _count(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() else None


def _number_below(limit: float) -> Callable[[str], float | None]:
    def read(text: str) -> float | None:
        try:
            number = float(text)
        except ValueError:
            return None
        return number if 0 < number < limit else None

    return read


_READERS: Final[Mapping[str, Callable[[str], Any]]] = {
    "val": _count,
    "seed": _count,
    "weight": _number_below(math.inf),
    "only": lambda text: text or None,
    "ignore_above": _number_below(1),
}


def _value(word: str) -> Any:
    """Returns an option's value; None where it is none."""
    name, equals, text = word.partition("=")
    if name in _READERS:
        return _READERS[name](text) if equals else None
    return None if equals else True
