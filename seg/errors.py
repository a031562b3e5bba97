"""The errors of the library. A message says what was expected, what came, and what to do.

SegError
├── ShapeError    (ValueError)   an array has the wrong shape, dtype or layout
├── SpecMismatch  (ValueError)   an artifact is not what this task or size needs
├── ArtifactError                a weights file is missing, foreign or damaged
├── EngineMissing                a runtime's package or device is not available
├── EngineFailure                the engine itself failed; the original is __cause__
├── ParityError                  an exported artifact disagrees with its source
├── SourceError                  a camera, file or stream cannot be opened or read
└── DataError                    a data set has faults; lists all of them at once
"""

from collections.abc import Sequence


class SegError(Exception):
    """The base of every error that this library raises on purpose."""


class ShapeError(SegError, ValueError):
    """An array has the wrong shape, dtype or layout."""


class SpecMismatch(SegError, ValueError):
    """An artifact is not what this task, size or data set needs."""


class ArtifactError(SegError):
    """A weights file is missing, foreign or damaged."""


class EngineMissing(SegError):
    """The package or the device of a runtime is not available here."""


class EngineFailure(SegError):
    """The engine failed while it ran; the engine's own error is `__cause__`."""


class ParityError(SegError):
    """An exported artifact draws other masks than its source."""


class SourceError(SegError):
    """A camera, file or stream cannot be opened, read or written."""


class DataError(SegError):
    """A data set has faults.

    Attributes:
        faults: One line for each fault, all of them.
    """

    shown = 20

    def __init__(self, summary: str, faults: Sequence[str] = ()) -> None:
        self.faults = tuple(faults)
        lines = [f"  {fault}" for fault in self.faults[: self.shown]]
        if len(self.faults) > self.shown:
            lines.append(f"  ... and {len(self.faults) - self.shown} more")
        super().__init__("\n".join([summary, *lines]))
