"""Progress of long work: a bar with the time left on a terminal, now and then a line elsewhere."""

import logging
import sys
import time
from collections.abc import Generator, Iterable, Sized
from typing import TypeVar

from tqdm import tqdm

log = logging.getLogger("dinoseg")
T = TypeVar("T")
INTERVAL_S = 10.0  # between two lines where stderr is no terminal


def track(items: Iterable[T], doing: str, total: int | None = None, unit: str = "") -> Generator[T]:
    """Yields the items and says how many are done and how long the rest takes.

    Says nothing where the logger "dinoseg" is silent, as in a program that has not set it up.

    Args:
        items: What is worked on.
        doing: What is done with them, such as "evaluating".
        total: Their number; None takes their length, if they have one.
        unit: What one of them is, such as "image", to say how many a second.
    """
    if total is None and isinstance(items, Sized):
        total = len(items)
    if sys.stderr.isatty() and log.isEnabledFor(logging.INFO):
        yield from tqdm(items, doing, total, leave=False, unit=unit or "it")
        return
    started = said = time.monotonic()
    for count, item in enumerate(items):
        if (now := time.monotonic()) - said >= INTERVAL_S and count:
            rate = f", {count / (now - started):.1f} {unit}s/s" if unit else ""
            log.info("%s", _line(doing, count, total, now - started) + rate)
            said = now
        yield item


def _line(doing: str, count: int, total: int | None, elapsed_s: float) -> str:
    if not total:
        return f"{doing}: {count} in {elapsed_s:.0f} s"
    left_s = elapsed_s / count * (total - count)
    return f"{doing}: {count} of {total} ({count / total:.0%}), about {left_s:.0f} s left"
