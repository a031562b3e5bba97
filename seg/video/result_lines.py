"""Sinks that tell what was predicted for each frame, as lines of JSON or of text."""

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from seg.files.atomic import atomic_write, check_writable
from seg.video.base import Frame, Processed, Sink


@runtime_checkable
class Describable(Protocol):
    """A result that a few plain values tell."""

    def to_dict(self) -> dict[str, Any]:
        """Returns plain numbers, words and lists."""


class ResultLines(Sink):
    """Writes a line of JSON for each frame: its number, time, name, and results by task.

    Args:
        path: The file.
        overwrite: Whether it may exist.
        tasks: The tasks whose results are written.

    Raises:
        ArtifactError: The file exists, or cannot be written.
    """

    stage = "results"

    def __init__(self, path: Path, overwrite: bool, tasks: tuple[str, ...]) -> None:
        check_writable(path, overwrite)
        self.path, self.needs = path, tuple(tasks)
        self._stack = contextlib.ExitStack()
        part = self._stack.enter_context(atomic_write(path, overwrite=overwrite))
        self._file = part.open("w", encoding="utf-8", errors="surrogateescape")

    def write(self, frame: Frame, processed: Processed) -> None:
        """Writes a frame's line."""
        line: dict[str, Any] = {"frame": frame.index, "time_s": round(frame.time_s, 6)}
        if frame.name:
            line["name"] = frame.name
        for task in self.needs:
            result = processed.results[task]
            if isinstance(result, Describable):
                line[task] = result.to_dict()
        self._file.write(json.dumps(line) + "\n")

    def close(self) -> None:
        """Gives the file its name, with what is written so far; harmless twice."""
        self._file.close()
        self._stack.close()


class PrintedResults(Sink):
    """Hands a line for each image to a function: its name and what was predicted.

    Args:
        task: The task whose result is told.
        text_of: Tells a result.
        write: Gets the line.
    """

    stage = "results"

    def __init__(
        self, task: str, text_of: Callable[[Any], str], write: Callable[[str], None]
    ) -> None:
        self.needs, self._text_of, self._write = (task,), text_of, write

    def write(self, frame: Frame, processed: Processed) -> None:
        """Hands on the frame's line."""
        (task,) = self.needs
        self._write(f"{frame.name or frame.index}  {self._text_of(processed.results[task])}")

    def close(self) -> None:
        """Does nothing."""
