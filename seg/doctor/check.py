"""One check's outcome."""

import dataclasses
from typing import Literal

State = Literal["ok", "absent", "fail"]


@dataclasses.dataclass(frozen=True, slots=True)
class Check:
    """What was checked and what came out.

    Attributes:
        name: What was checked.
        state: `ok`; `absent`, for what only some commands need; or `fail`.
        text: What was found, and what to do where it failed.
    """

    name: str
    state: State
    text: str


def first_line(error: BaseException) -> str:
    """Returns an error's first line, or its type where it says nothing."""
    return next(iter(str(error).splitlines()), "") or type(error).__name__
