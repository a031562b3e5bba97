"""Closing: what holds something open and is used in a `with` block."""

from types import TracebackType
from typing import Self


class Closing:
    """Closes itself at the end of a `with` block, however the block ends."""

    def close(self) -> None:
        """Frees what is held; harmless twice."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
