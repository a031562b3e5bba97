"""The one logging handler: what the library says, on stderr, above any progress bar."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

PREFIXES = {logging.WARNING: "warning: ", logging.ERROR: "error: "}


def note(text: str) -> None:
    """Says something about a command's progress."""
    logging.getLogger("dinoseg").info("%s", text)


class StderrHandler(logging.Handler):
    """Writes each record as one line."""

    def emit(self, record: logging.LogRecord) -> None:
        """Writes a record; does nothing where stderr is closed."""
        line = PREFIXES.get(record.levelno, "") + record.getMessage()
        tqdm = getattr(sys.modules.get("tqdm"), "tqdm", None)
        try:
            if tqdm is not None:
                tqdm.write(line, file=sys.stderr)
            else:
                print(line, file=sys.stderr, flush=True)
        except (OSError, ValueError):
            return


@contextmanager
def logging_to_stderr() -> Iterator[None]:
    """Shows what the library says, from the level INFO on, for the length of a block."""
    log, handler = logging.getLogger("dinoseg"), StderrHandler()
    if any(isinstance(other, StderrHandler) for other in log.handlers):  # a command in a command
        yield
        return
    level = log.level
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(level)
