"""What `--data` says: a folder and how to use it."""

import dataclasses
import math
from pathlib import Path
from typing import Self

from seg.errors import DataError

SYNTAX = "PATH[,val=COUNT][,seed=SEED][,weight=W][,only=PATTERN][,doubt=P][,negatives]"


@dataclasses.dataclass(frozen=True, slots=True)
class Options:
    """A folder and how to use it.

    Attributes:
        folder: The folder.
        val: Number of validation pictures; None is 24 of 170, as Penn-Fudan is split.
        seed: Seed of the split; None is 0.
        weight: See `DataSet.weight`.
        only: Pattern of the file names to use, such as `ikea_*`, or `[!i]*` for all others.
        doubt: See `DataSet.doubt`.
        negatives: The pictures show the background class only.
    """

    folder: Path
    val: int | None = None
    seed: int | None = None
    weight: float = 1.0
    only: str = "*"
    doubt: float = 0.0
    negatives: bool = False

    @classmethod
    def parse(cls, text: str) -> Self:
        """Reads `PATH[,val=COUNT][,seed=SEED][,weight=W][,only=PATTERN][,doubt=P][,negatives]`.

        The path is the longest beginning that exists, so it may have commas.

        Raises:
            DataError: An option is unknown, doubled or has no sensible value.
        """
        parts = text.split(",")
        folders = [Path(",".join(parts[:end])).expanduser() for end in range(1, len(parts) + 1)]
        end = max((i for i, folder in enumerate(folders) if folder.exists()), default=0)
        values: dict[str, int | float | str] = {}
        for word in parts[end + 1 :]:
            name = word.partition("=")[0]
            value = _value(word)
            if value is None or name in values:
                problem = "doubled" if name in values else "unknown or bad"
                raise DataError(f"'{text}': {problem} option '{word}'; expected {SYNTAX}.")
            values[name] = value
        return cls(folders[end], **values)  # type: ignore[arg-type]


def _value(word: str) -> int | float | str | None:
    """Returns an option's value; None where the option is unknown or its value bad."""
    name, _, value = word.partition("=")
    if word == "negatives":
        return True
    if name in ("val", "seed") and value.isascii() and value.isdigit():
        return int(value)
    if name == "only":
        return value or None
    if name in ("weight", "doubt"):
        try:
            number = float(value)
        except ValueError:
            return None
        return number if 0 < number < (1 if name == "doubt" else math.inf) else None
    return None
