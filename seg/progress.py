"""Progress of long work: a bar with the time left on a terminal, now and then a line elsewhere."""

import sys
import time
from collections.abc import Iterable, Iterator, Sized
from typing import TypeVar

from tqdm import tqdm

from seg.notes import note

T = TypeVar("T")
INTERVAL_S = 10.0  # between two lines where stderr is no terminal


def track(items: Iterable[T], doing: str, total: int | None = None) -> Iterator[T]:
    """Yields the items and says on stderr how many are done and how long the rest takes.

    Args:
        items: What is worked on.
        doing: What is done with them, such as "evaluating".
        total: Their number; None takes their length, if they have one.
    """
    if total is None and isinstance(items, Sized):
        total = len(items)
    if sys.stderr.isatty():
        yield from tqdm(items, doing, total, leave=False)
        return
    started = said = time.monotonic()
    for count, item in enumerate(items):
        if (now := time.monotonic()) - said >= INTERVAL_S and count:
            note(_line(doing, count, total, now - started))
            said = now
        yield item


def _line(doing: str, count: int, total: int | None, elapsed_s: float) -> str:
    if not total:
        return f"{doing}: {count} in {elapsed_s:.0f} s"
    left_s = elapsed_s / count * (total - count)
    return f"{doing}: {count} of {total} ({count / total:.0%}), about {left_s:.0f} s left"
